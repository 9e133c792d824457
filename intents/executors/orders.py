"""What an executor is handed, and what it may say afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

State = Literal["succeeded", "failed", "indeterminate"]
STATES: frozenset[str] = frozenset({"succeeded", "failed", "indeterminate"})


@dataclass(frozen=True)
class Order:
    """One attempt to carry out one approved action.

    `payload_bytes` are the RFC 8785 bytes of `payload`; `settings` is the block of the action type that is named like
    its executor; `digest` that of the canonical intent, as approved.
    """

    intent_id: str
    attempt: int
    action: str
    # Contents stay out of repr(), and by that out of logs and tracebacks.
    payload: Any = field(repr=False)
    payload_bytes: bytes = field(repr=False)
    digest: str
    settings: dict[str, Any] = field(default_factory=dict, repr=False)
    safe_to_repeat: bool = False

    @property
    def key(self) -> str:
        """What a target recognises a repetition of this very attempt by."""
        return f"{self.intent_id}:{self.attempt}"


@dataclass(frozen=True)
class Outcome:
    """What is known about the effect: certain to have happened, certain not to have, or neither.

    `result` is strict JSON: it is stored with the execution and shown to people.
    """

    state: State
    result: dict[str, Any] = field(default_factory=dict)


class NotBegun(Exception):
    """The effect is certain not to have happened: nothing left this process.

    `detail` is a sentence for people, `result` what else is worth keeping. Neither may hold a secret.
    """

    def __init__(self, detail: str, **result: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.result = result


@contextmanager
def before_the_effect() -> Iterator[None]:
    """Everything in here happens before anything leaves: whatever breaks, the effect did not happen.

    Raises NotBegun in place of any other exception, without its words, which may quote a secret.
    """
    try:
        yield
    except NotBegun:
        raise
    except TimeoutError as error:
        raise NotBegun("The time was up before anything was sent.") from error
    except Exception as error:
        raise NotBegun(f"The attempt could not be prepared ({type(error).__name__}); nothing was sent.") from error


class Executor(Protocol):
    """Code that carries an order out within `seconds`, and never raises for what a target does."""

    def __call__(self, order: Order, *, seconds: float) -> Outcome: ...
