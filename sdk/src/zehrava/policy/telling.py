"""What reasons tell of an intent. Conditions see it as it is; what its action type marks sensitive is told masked.

It is masked where a reason is made, not where one is shown: so the reason holds nothing that has to be looked for, for
whomever it is, and an agent that repeats the words of a policy in a masked text blots out none of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from zehrava.sensitive import Hidden, Path, mask_all, texts
from zehrava.sensitive import covered as covered_figure

from .reasons import Template

TOLD = "told"
"""Among the values of an intent: what is told of them, where something is masked."""


class Told(NamedTuple):
    """The values that reasons may name, masked, and the texts that the masks cover."""

    values: Mapping[str, Any]
    hidden: Hidden

    @classmethod
    def of(cls, values: Mapping[str, Any], paths: Sequence[Path], veiled: Collection[str] = ()) -> Told:
        """What is told of these values, where these paths of the payload are sensitive, and these figures veiled."""
        payload, covered = mask_all(values["payload"], paths)
        hidden, intent = Hidden(texts(covered)), dict(values["intent"])
        for name in ("target", "records"):
            intent[name] = hidden.figure(intent[name])
        if intent["value"] is not None:
            intent["value"] = {name: hidden.figure(part) for name, part in intent["value"].items()}
        for name in veiled:
            intent[name] = covered_figure(intent[name])
        intent["on_behalf_of"] = hidden.without(intent["on_behalf_of"])
        intent["tags"] = hidden.without(intent["tags"])
        context = hidden.without(values["context"])
        return cls({**values, "payload": payload, "intent": intent, "context": context}, hidden)


def rendered(template: Template, values: Mapping[str, Any]) -> str:
    """A reason with what it tells of the intent in place."""
    told: Told | None = values.get(TOLD)
    return template.render(values if told is None else told.values)


def error_told(error: Exception, values: Mapping[str, Any]) -> str:
    """An error of a condition: it may quote what the condition read."""
    told: Told | None = values.get(TOLD)
    return str(error) if told is None else told.hidden.without(str(error))


def tells_figures(values: Mapping[str, Any]) -> bool:
    """Whether a reason may say what a limit counts of this intent: not where that may be masked."""
    return TOLD not in values
