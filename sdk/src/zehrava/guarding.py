"""What `requires_approval` decides, apart from its I/O: which payload to propose and which call was approved."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from zehrava import canonical
from zehrava.errors import IntegrityError
from zehrava.refusals import Indeterminate
from zehrava.views import IntentView, PermitView

MAX_RESULT_BYTES = 262_144
MAX_MESSAGE_CHARACTERS = 2_000
LONGEST_BEAT = 10.0

_SHAPES: dict[Any, type] = {inspect.Parameter.VAR_POSITIONAL: list, inspect.Parameter.VAR_KEYWORD: dict}


class Guarded:
    """One call of a guarded function, as it is when it is proposed.

    `payload_of` turns the function's arguments into the payload; without it the payload is the bound arguments by
    name, defaults included. Raises StrictError where the payload is not JSON.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        payload_of: Callable[..., Any] | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._signature = inspect.signature(function)
        self._payload_of = payload_of
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        self._bound = bound
        payload = self._payload(bound)
        canonical.check(payload)
        # Copies: whoever holds the arguments may change them while a person decides.
        self.payload = copy.deepcopy(payload)
        self._proposed = canonical.dumps(payload)
        if payload_of is None:
            self._bound = inspect.BoundArguments(self._signature, copy.deepcopy(bound.arguments))

    def approved_call(self, permit: PermitView) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments that mean exactly the approved payload; raises IntegrityError where there are none."""
        approved = canonical.dumps(permit.payload)
        bound = self._bound if approved == self._proposed else self._changed(permit.payload)
        if canonical.dumps(self._payload(bound)) != approved:
            raise IntegrityError(
                "The function's arguments no longer say what was approved: they changed meanwhile, or the approved "
                "changes do not fit its parameters. Nothing was run; propose it again."
            )
        return bound.args, bound.kwargs

    def _payload(self, bound: inspect.BoundArguments) -> Any:
        if self._payload_of is not None:
            return self._payload_of(*bound.args, **bound.kwargs)
        kinds = {name: parameter.kind for name, parameter in self._signature.parameters.items()}
        return {
            name: list(argument) if kinds[name] is inspect.Parameter.VAR_POSITIONAL else argument
            for name, argument in bound.arguments.items()
        }

    def _changed(self, payload: Any) -> inspect.BoundArguments:
        """The call with the reviewer's changes in it. What does not fit is caught by comparing payloads again."""
        if not isinstance(payload, dict):
            raise IntegrityError("The approved payload is no object, so it names no arguments. Nothing was run.")
        arguments = dict(self._bound.arguments)
        for name, parameter in self._signature.parameters.items():
            if name not in payload:
                continue
            shape = _SHAPES.get(parameter.kind)
            if shape is not None and not isinstance(payload[name], shape):
                raise IntegrityError(f"The approved {name} does not fit its parameter. Nothing was run.")
            arguments[name] = tuple(payload[name]) if shape is list else payload[name]
        return inspect.BoundArguments(self._signature, arguments)


def refuse_kind(function: Callable[..., Any], *, asynchronous: bool) -> None:
    """Raise TypeError where calling the function would not run it, so that an outcome would be made up."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError("A generator runs after its call returns, so its outcome cannot be reported; wrap a function.")
    if inspect.iscoroutinefunction(function) is not asynchronous:
        wanted = "an async function; use Gate" if asynchronous else "a plain function; use AsyncGate"
        raise TypeError(f"This gate guards {wanted} for the other kind.")


def summary_text(summary: str | Callable[..., str] | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """The summary of one call: as given, or made from the function's arguments."""
    return summary(*args, **kwargs) if callable(summary) else summary


def success(returned: Any) -> Any:
    """What to report for a returned value: itself, or a note where it cannot travel."""
    try:
        canonical.check(returned)
        if len(canonical.dumps(returned)) <= MAX_RESULT_BYTES:
            return returned
        reason = f"over {MAX_RESULT_BYTES} bytes"
    except canonical.StrictError:
        reason = f"a {type(returned).__name__} is not JSON"
    return {"omitted": reason}


def failure(error: Exception) -> dict[str, str]:
    """What to report for an exception: its type and message."""
    try:
        message = str(error)
    except Exception:  # a broken __str__ must not hide that the function failed
        message = ""
    clean = message.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    return {"error": type(error).__name__, "message": clean[:MAX_MESSAGE_CHARACTERS]}


def unreported(intent: IntentView, returned: Any) -> Indeterminate:
    """The error for a function that ran while its success could not be reported."""
    message = (
        f"{intent.action} ({intent.id}) ran and returned, but the report did not reach the portal; "
        "do not run it again, a person has to settle the intent."
    )
    return Indeterminate(intent, message, result=returned)


def beat(permit: PermitView) -> float:
    """The seconds between two heartbeats: a third of the lease, whatever the two clocks think."""
    try:
        until = datetime.fromisoformat(permit.execution["lease_until"])
        left = (until - datetime.now(UTC)).total_seconds()
    except (KeyError, TypeError, ValueError):
        return LONGEST_BEAT
    return min(max(left / 3, 1.0), LONGEST_BEAT)
