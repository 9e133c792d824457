"""What lint says, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WARNING = "warning"
NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth knowing about a policy.

    Attributes:
        policy: its name, or "" where the finding is about all policies together.
        path: the place in its document, such as ``rules[2].when``; "" for the whole document.
        line, column: of that place, from 1.
        level: ``warning`` where the policy does not do what it seems to say, ``note`` where it may be meant so.
        code: names the kind of finding, such as ``shadowed``.
        message: one sentence for people. It may quote the policy.
    """

    policy: str
    path: str
    line: int
    column: int
    level: str
    code: str
    message: str

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}
