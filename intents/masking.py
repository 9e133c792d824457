"""What people read of an intent: the parts that its action type marks sensitive are masked until somebody reveals them.

Whatever draws an intent for a person asks here, and never reads `payload` or `document`, which are what runs. A mask is
drawn over the intent as it stands in memory; whoever is shown it without (see `reviews.revealing`) gets an intent that
was unmasked. What the agent says elsewhere is masked where it repeats a masked value, and what the action type derives
where it reads one; the reason of a rule was told masked where it was made, see `zehrava.policy.telling`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from intents.models import Intent
from zehrava import canonical, sensitive
from zehrava.action_types import ActionType
from zehrava.policy.limits import money
from zehrava.sensitive import SHOWN, Hidden, Masked

_SAFE = frozenset({"agent", "usage", "now", "context"})
_COLUMNS = (("target", "target"), ("value", "value_amount"), ("records", "records"))


@dataclass(frozen=True, slots=True)
class Mask:
    """What people read instead: the `document` with its masks, which these `paths` of its action type put there."""

    document: dict[str, Any]
    paths: tuple[str, ...] = ()
    hidden: Hidden = field(default_factory=Hidden)

    def __bool__(self) -> bool:
        """Whether anything is masked."""
        return bool(self.paths)


def action_type_of(intent: Intent) -> ActionType | None:
    """The action type that was in force when the intent was proposed; None without one, or if it cannot be read."""
    version = intent.action_type_version
    return None if version is None else _parsed(version.pk, version.text)


@functools.lru_cache(maxsize=256)
def _parsed(version_id: int, document: str) -> ActionType | None:
    try:
        return ActionType.parse(document)
    except ValueError:
        # Shown as a tree then: what cannot be presented can still be read.
        return None


def unmask(intent: Intent) -> None:
    """Let this intent, as it stands in memory, be read without its masks: whoever reads it has revealed them."""
    intent.__dict__["_unmasked"] = True


def is_unmasked(intent: Intent) -> bool:
    """Whether it is read without its masks, if it has any."""
    return "_unmasked" in intent.__dict__


def mask_of(intent: Intent) -> Mask:
    """What people read of this intent, worked out once for each text that it has in memory."""
    return Mask(intent.document) if is_unmasked(intent) else _mask_for_all(intent)


def _mask_for_all(intent: Intent) -> Mask:
    known: tuple[str, Mask] | None = intent.__dict__.get("_mask")
    if known is None or known[0] != intent.canonical:
        intent.__dict__["_mask"] = known = intent.canonical, _worked_out(intent)
    return known[1]


def marks(intent: Intent) -> bool:
    """Whether its action type marks anything sensitive, be it there or not; the payload is not looked at."""
    return bool(_sensitive(intent))


def paths(intent: Intent) -> tuple[str, ...]:
    """The paths that its action type marks sensitive and that lead to something here, whoever reads it."""
    # What was amended says more than stands there now: what was proposed, and each change.
    found = [
        path for path in _sensitive(intent) if intent.amendments or sensitive.mask(intent.document["payload"], path)[1]
    ]
    return tuple(".".join(["payload", *path]) for path in found)


def document(intent: Intent) -> dict[str, Any]:
    """The canonical intent as people read it."""
    return mask_of(intent).document


def masked(intent: Intent) -> dict[str, Any]:
    """The canonical intent as it is read before anything is revealed, by whomever."""
    return _mask_for_all(intent).document


def payload(intent: Intent) -> Any:
    """Its payload as people read it."""
    return document(intent)["payload"]


def text(intent: Intent) -> str:
    """The canonical text as people read it; it has the intent's digest only where nothing is masked."""
    mask = mask_of(intent)
    return canonical.dumps(mask.document).decode() if mask else intent.canonical


def said(intent: Intent, value: Any) -> Any:
    """Something that was said of it, a text or JSON, without what is masked."""
    return mask_of(intent).hidden.without(value) if _paths(intent) else value


def about(intent: Intent) -> list[str]:
    """What tells it from others of its action, as people read it: its target, value and number of records.

    Read from columns, where nothing of its action is masked: whoever lists intents does not load their texts.
    """
    read = document(intent) if _paths(intent) else {}
    target, value, records = (read.get(name, getattr(intent, column)) for name, column in _COLUMNS)
    found = [target] if target else []
    hides_value = isinstance(value, dict) and isinstance(value["amount"], Masked)
    if intent.value_amount is not None and not hides_value:
        found.append(f"{money(intent.value_amount)} {intent.value_currency}")
    if records is not None and not isinstance(records, Masked):
        found.append(f"{records:,} record{'' if records == 1 else 's'}")
    return [str(each) for each in found]


def another_payload(intent: Intent, payload: Any) -> Any:
    """Another payload of the same action, such as the one before a change, as people read it."""
    return sensitive.mask_all(payload, _paths(intent))[0]


def patch(intent: Intent, changes: Sequence[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """A JSON Patch (RFC 6902) of its payload as people read it: what it puts or names below a mask is masked too."""
    if changes is None or not _paths(intent):
        return None if changes is None else list(changes)
    hidden = mask_of(intent).hidden
    return [{name: _of_step(intent, step, name, hidden) for name in step} for step in changes]


def _of_step(intent: Intent, step: dict[str, Any], name: str, hidden: Hidden) -> Any:
    if name == "value":
        return hidden.without(at(intent, step["value"], _steps(step["path"])))
    return hidden.without(_place(intent, step[name])) if name in ("path", "from") else step[name]


def _place(intent: Intent, pointer: str) -> str:
    """A JSON Pointer up to where a mask is."""
    parts = pointer.split("/")
    for length in range(2, len(parts)):
        if isinstance(at(intent, "", _steps("/".join(parts[:length]))), Masked):
            return "/".join([*parts[:length], SHOWN])
    return pointer


def _steps(pointer: str) -> list[str | int]:
    names = [name.replace("~1", "/").replace("~0", "~") for name in pointer.split("/")[1:]]
    return [0 if name.isdecimal() or name == "-" else name for name in names]


def at(intent: Intent, value: Any, steps: Sequence[str | int]) -> Any:
    """A value that stands at this place of its payload, or stood there, as people read it; numbers are of items."""
    if isinstance(value, Masked) or not (paths := _paths(intent)):
        return value
    # As it reads in a payload that has nothing else.
    around = value
    for step in reversed(steps):
        around = [around] if isinstance(step, int) else {step: around}
    shown, _ = sensitive.mask_all(around, paths)
    for step in steps:
        if isinstance(shown, Masked):
            return Masked(value)
        shown = shown[0] if isinstance(step, int) else shown[step]
    return shown


def is_read_by(intent: Intent, expression: str) -> bool:
    """Whether this part of a condition reads something that is masked, or may: what cannot be told, does."""
    paths = _paths(intent)
    return bool(paths) and any(_reads_masked(intent, chain, paths) for chain in sensitive.named_in(expression))


def _reads_masked(intent: Intent, chain: list[str], paths: Sequence[sensitive.Path]) -> bool:
    root, steps = chain[0], chain[1:]
    if root == "payload":
        return any(sensitive.meet(steps, path) for path in paths)
    if root == "intent":
        read = document(intent)
        figures = ("target", "records", "value") if not steps else (steps[0],)
        return any(_is_masked(read[name]) for name in figures if name in ("target", "records", "value"))
    return root not in _SAFE


def _is_masked(figure: Any) -> bool:
    if isinstance(figure, dict):
        return any(isinstance(part, Masked) for part in figure.values())
    return isinstance(figure, Masked) or (isinstance(figure, str) and SHOWN in figure)


def hides_value(intent: Intent) -> bool:
    """Whether what it is worth is masked for whoever reads it now."""
    return _is_masked(document(intent)["value"])


def risk_reasons(intent: Intent) -> list[str]:
    """Why it is as risky as it is, as people read it."""
    read = document(intent) if _paths(intent) else {}
    hides = {"moves ": _is_masked(read.get("value")), "touches ": _is_masked(read.get("records"))}
    return [_reason_of(each, hides) for each in intent.risk_reasons]


def _reason_of(reason: str, hides: Mapping[str, bool]) -> str:
    verb = next((verb for verb, hidden in hides.items() if hidden and reason.startswith(verb)), None)
    return reason if verb is None else f"{verb}{SHOWN} {reason.rpartition(' ')[2]}"


def _paths(intent: Intent) -> tuple[sensitive.Path, ...]:
    return () if is_unmasked(intent) else _sensitive(intent)


def _sensitive(intent: Intent) -> tuple[sensitive.Path, ...]:
    if intent.action_type_version_id is None:
        return ()
    action_type = action_type_of(intent)
    # Of a document that cannot be read any more nobody can say what it marks: then it is all (promise 1).
    return ((),) if action_type is None else action_type.sensitive


def _worked_out(intent: Intent) -> Mask:
    found = paths(intent)
    if not found:
        return Mask(intent.document)
    hidden = Hidden(_covered(intent))
    payload, _ = sensitive.mask_all(intent.document["payload"], _sensitive(intent))
    shown = {**intent.document, "payload": payload}
    for name in ("summary", "context", "tags", "on_behalf_of"):
        shown[name] = hidden.without(shown[name])
    return Mask({**shown, **_figures(intent, hidden)}, found, hidden)


def _covered(intent: Intent) -> set[str]:
    """The texts under the masks, and under those of what it was before it was amended: the agent's own words may still
    say these. No query where it was not."""
    payloads = [intent.document["payload"]]
    if intent.amendments:
        payloads += [json.loads(text)["payload"] for text in intent.amended_by.values_list("replaced", flat=True)]
    return sensitive.texts(value for each in payloads for value in sensitive.mask_all(each, _sensitive(intent))[1])


def _figures(intent: Intent, hidden: Hidden) -> dict[str, Any]:
    """Target, records and value: one that was derived is masked where it was derived of something masked, so that no
    text behind a mask blots out what stands beside it. One that is claimed, where it says what is masked."""
    action_type, document = action_type_of(intent), intent.document
    veiled = action_type.veiled(document["payload"]) if action_type else frozenset(intent.derived)
    figures: dict[str, Any] = {}
    for name in ("target", "records", "value"):
        figure = document[name]
        if name in intent.derived:
            figures[name] = sensitive.covered(figure) if name in veiled else figure
        elif isinstance(figure, dict):
            figures[name] = {**figure, "amount": hidden.figure(figure["amount"])}
        else:
            figures[name] = hidden.figure(figure)
    return figures
