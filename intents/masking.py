"""What people read of an intent: the parts that its action type marks sensitive are masked until somebody reveals them.

Whatever draws an intent for a person asks here, and never reads `payload` or `document`, which are what runs. A mask is
drawn over the intent as it stands in memory; whoever is shown it without (see `reviews.revealing`) gets an intent that
was `unmasked`. Other texts that repeat a masked value, such as the reason of a rule, are masked where they do.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from intents.models import Intent
from zehrava import canonical, sensitive
from zehrava.action_types import ActionType
from zehrava.narrowing import EACH
from zehrava.policy.limits import money
from zehrava.sensitive import Hidden, Masked

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


def paths(intent: Intent) -> tuple[str, ...]:
    """The paths that its action type marks sensitive and that lead to something here, whoever reads it."""
    return _mask_for_all(intent).paths


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
    return _masked(payload, _paths(intent))


def patch(intent: Intent, changes: Sequence[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """A JSON Patch (RFC 6902) of its payload as people read it: a value that is put under a mask is masked too."""
    if changes is None:
        return None
    return [
        {**step, "value": at(intent, step["value"], _steps(step["path"]))} if "value" in step else step
        for step in changes
    ]


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
    shown = _masked(around, paths)
    for step in steps:
        if isinstance(shown, Masked):
            return Masked(value)
        shown = shown[0] if isinstance(step, int) else shown[step]
    return shown


def is_read_by(intent: Intent, expression: str) -> bool:
    """Whether this part of a condition reads something of the payload that is masked."""
    names = {".".join(["payload", *(step for step in path if step != EACH)]) for path in _paths(intent)}
    plain = expression.replace(" ", "")
    return any(name in plain or name.split(".")[-1] in plain for name in names)


def _paths(intent: Intent) -> tuple[sensitive.Path, ...]:
    return () if is_unmasked(intent) else _sensitive(intent)


def _sensitive(intent: Intent) -> tuple[sensitive.Path, ...]:
    action_type = action_type_of(intent)
    return () if action_type is None else action_type.sensitive


def _masked(payload: Any, paths: Iterable[sensitive.Path]) -> Any:
    for path in paths:
        payload, _ = sensitive.mask(payload, path)
    return payload


def _texts_before(intent: Intent, paths: Sequence[sensitive.Path]) -> set[str]:
    """What stood under the masks before it was amended: the agent's own words may still say it. No query else."""
    if not intent.amendments:
        return set()
    replaced = [json.loads(text)["payload"] for text in intent.amended_by.values_list("replaced", flat=True)]
    covered = [value for payload in replaced for path in paths for value in sensitive.mask(payload, path)[1]]
    return {text for value in covered for text in sensitive.leaves(value)}


def _worked_out(intent: Intent) -> Mask:
    if not (paths := _sensitive(intent)):
        return Mask(intent.document)
    payload, found, texts = intent.document["payload"], [], set[str]()
    for path in paths:
        payload, covered = sensitive.mask(payload, path)
        # What was amended says more than stands there now: what was proposed, and each change.
        if covered or intent.amendments:
            found.append(".".join(["payload", *path]))
            texts.update(text for value in covered for text in sensitive.leaves(value))
    if not found:
        return Mask(intent.document)
    texts |= _texts_before(intent, paths)
    hidden, shown = Hidden(texts), {**intent.document, "payload": payload}
    shown["target"], shown["records"] = hidden.figure(shown["target"]), hidden.figure(shown["records"])
    if shown["value"] is not None:
        shown["value"] = {**shown["value"], "amount": hidden.figure(shown["value"]["amount"])}
    for name in ("summary", "context", "tags", "on_behalf_of"):
        shown[name] = hidden.without(shown[name])
    return Mask(shown, tuple(found), hidden)
