"""Who did it, in a form that outlives the row of the agent or person it names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["agent", "person", "system"]
KINDS: tuple[Kind, ...] = ("agent", "person", "system")


@dataclass(frozen=True, slots=True)
class Actor:
    """An agent, a person or the system itself.

    `id` and `name` are copied into history and ledger; `user_id` is the person's primary key, else None.
    """

    kind: Kind
    id: str
    name: str
    user_id: int | None = None

    @classmethod
    def person(cls, user: Any) -> Actor:
        """The actor for a signed-in user."""
        return cls("person", str(user.pk), user.get_username(), user.pk)

    @classmethod
    def agent(cls, id: str, name: str) -> Actor:
        """The actor for an agent; it has no user, so simple-history's own notion of a user stays empty."""
        return cls("agent", id, name)

    @classmethod
    def system(cls, name: str) -> Actor:
        """The actor for what no person or agent asked for: a sweeper, a command, a migration."""
        return cls("system", name, name)


UNATTRIBUTED = Actor.system("unattributed")
