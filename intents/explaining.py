"""How a verdict came about, worked out again from what is stored: the versions of policies and what they judged.

The same versions and the same facts give the same verdict (promise 7). Where they do not, something that is stored is
not what it was, and the explanation says so rather than hide it.
"""

from __future__ import annotations

import functools
import logging
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError
from django.db.models import Q

from intents.judging import SAID, Judgement, facts_of, joined, judge
from intents.models import Intent, PolicyVersion
from intents.outlines import read_all
from intents.parsing import parse_policy
from zehrava import canonical
from zehrava.policy import ASK, Policy, PolicyError, PolicySet

logger = logging.getLogger(__name__)

_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict worked out again.

    `judgement` is None where it cannot be, and `why_not` says why; `altered` is whether that is because what is stored
    was changed. `trace` is every rule considered, in order; the limits in it also have their `text`, and `otherwise`:
    the effect above them. `differs` names the parts that are not as they are stored.
    """

    judgement: Judgement | None = None
    trace: Sequence[Mapping[str, Any]] = ()
    differs: tuple[str, ...] = ()
    why_not: str = ""
    altered: bool = False

    @property
    def agrees(self) -> bool:
        """Whether the same came out again; an explanation that could not be given agrees with nothing."""
        return self.judgement is not None and not self.differs


def explain(intent: Intent) -> Explanation:
    """Work the verdict of a stored intent out again. One query; nothing is stored.

    Whatever is wrong with what is stored becomes a part of the explanation, and is not raised.
    """
    inputs = intent.verdict.get("inputs")
    if inputs is None:
        return Explanation(why_not="It is from before verdicts kept what they were worked out from.")
    try:
        return _explain(intent, inputs)
    except DatabaseError:
        raise
    except Exception:
        logger.exception("the verdict of %s cannot be worked out again", intent.pk)
        return Explanation(why_not="What it was worked out from cannot be read.", altered=True)


def _explain(intent: Intent, inputs: Mapping[str, Any]) -> Explanation:
    wanted: dict[str, int] = inputs["policies"]
    found = _versions(wanted)
    policies = []
    for name, number in sorted(wanted.items()):
        version = found.get(name)
        if version is None or canonical.digest(version.text.encode()) != version.digest:
            lost = "gone" if version is None else "not what was saved"
            return Explanation(why_not=f"The text of version {number} of {name} is {lost}.", altered=True)
        try:
            policies.append(_parsed(version.text, number))
        except PolicyError:
            return Explanation(why_not=f"This portal can no longer read version {number} of {name}.")
    judgement = judge(
        PolicySet(policies, default=inputs.get("default", ASK)),
        facts_of(intent),
        usage=inputs.get("usage"),
        unreadable=read_all(inputs.get("unreadable")),
    )
    return Explanation(judgement, _with_bounds(judgement.said.trace, policies), tuple(_differing(judgement, intent)))


def _versions(wanted: Mapping[str, int]) -> dict[str, PolicyVersion]:
    if not wanted:
        return {}
    any_of = functools.reduce(operator.or_, (Q(policy__name=name, number=number) for name, number in wanted.items()))
    return {version.policy.name: version for version in PolicyVersion.objects.filter(any_of).select_related("policy")}


@functools.lru_cache(maxsize=_REMEMBERED)
def _parsed(text: str, number: int) -> Policy:
    """Read again each time a page is opened, a large policy would take longer than all the rest of the page."""
    return parse_policy(text, version=number)


def _differing(judgement: Judgement, intent: Intent) -> list[str]:
    # Not the reason: its words may be put better from one release to the next, and its digest keeps it as it was.
    differing = [part for part in SAID if part != "reason" and judgement.verdict[part] != intent.verdict.get(part)]
    asked = joined(judgement.requirement, intent.verdict["inputs"].get("joined"))
    return differing + (["requirement"] if asked != intent.requirement else [])


def _with_bounds(trace: Sequence[Mapping[str, Any]], policies: Sequence[Policy]) -> list[dict[str, Any]]:
    """The trace, with each limit in words and what the rule says instead where it is over."""
    bounds = {
        limit.name(policy.name, rule.id): {"text": limit.text, "otherwise": limit.over}
        for policy in policies
        for rule in policy.rules
        for limit in rule.limits
    }
    return [{**entry, "limits": [{**use, **bounds[use["limit"]]} for use in entry["limits"]]} for entry in trace]
