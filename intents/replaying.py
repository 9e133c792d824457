"""Judging stored intents by other policies than those that decided about them, one after the other in their time."""

from __future__ import annotations

import copy
import gc
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from intents import integrity, proving
from intents.judging import Judgement, attributes_of, facts_of, joined, judge
from intents.models import Agent, Backtest, BacktestDifference, Change, Intent, PolicyVersion, Status
from intents.outlines import Unreadable, read_all
from intents.parsing import parse_policy
from zehrava import canonical
from zehrava.policy import Policy, PolicySet
from zehrava.policy.limits import Meter

logger = logging.getLogger(__name__)


class Unusable(Exception):
    """A backtest that cannot be carried out, and why, in words for whoever asked for it."""


class Replay:
    """One pass over intents, oldest first. Limits begin unused and count what would have passed.

    Attributes:
        counts: whether any policy of the set has limits, so that what came before matters to what comes next.
        between: called after each intent; whatever it raises ends the pass.
        summary: `counts` by kind of change, `rules` by kind of change and rule, `rejected_before` (newly allowed ones
            that people had rejected), `covered` (by this policy, then or now), `assumed` (judged by their agent's
            present attributes, for lack of those it had).
    """

    # The columns of an intent that are read; any other would cost a query per intent.
    READS = (
        "action",
        "action_type_version_id",
        "agent_id",
        "agent_name",
        "canonical",
        "created_at",
        "derived",
        "digest",
        "execution_mode",
        "requirement",
        "status",
        "verdict",
    )

    def __init__(self, backtest: Backtest, policies: PolicySet, unreadable: dict[str, Unreadable]) -> None:
        self._backtest = backtest
        self._policies = policies
        self._unreadable = unreadable
        self._name = backtest.policy.name
        self._meter = Meter()
        self._clock: datetime | None = None
        self._agents: dict[str, Agent] = {}
        limited = {policy.name for policy in policies.policies if any(rule.limits for rule in policy.rules)}
        self.counts = bool(limited)
        # Those by which an intent can matter: what it uses of another policy's limits can decide about a later one.
        self._bearing = limited | {self._name}
        self.between: Callable[[], None] = lambda: None
        self.summary: dict[str, Any] = {}
        self.restart(backtest.summary)

    @classmethod
    def of(cls, backtest: Backtest) -> Replay:
        """Prepare the policies that counted when the backtest was asked for, with the version in its place.

        Raises Unusable where the version cannot be read. Another policy that cannot be read any more lets nothing
        pass, as in force.
        """
        unreadable = read_all(backtest.beside["unreadable"])
        try:
            policies = [_parsed(backtest.version)]
        except ValueError as error:
            raise Unusable(f"{backtest.version} cannot be used: {error}") from error
        others = PolicyVersion.objects.select_related("policy").filter(pk__in=backtest.beside["policies"].values())
        for version in others:
            try:
                policies.append(_parsed(version))
            except ValueError as error:
                unreadable[version.policy.name] = Unreadable(str(error), version.outline)
        return cls(backtest, PolicySet(policies, default=backtest.beside["default"]), unreadable)

    def restart(self, summary: dict[str, Any]) -> None:
        """Go on counting from these figures."""
        empty = {"counts": {}, "rules": {}, "rejected_before": 0, "covered": 0, "assumed": 0}
        # A copy of its own: what is counted while catching up must not count in what was committed.
        self.summary = {**empty, **copy.deepcopy(summary)}

    def judge(self, intents: Sequence[Intent]) -> list[BacktestDifference]:
        """Judge these intents and count them; returns those that differ, in the order of their ids."""
        self._know_agents(intents)
        found = []
        # Ids made by several processes in one millisecond are in no order; what counts towards limits must be.
        for intent in sorted(intents, key=lambda each: (each.created_at, each.pk)):
            with _uncollected():
                difference = self._one(intent)
                # Parsed, a text can take many times its length; nobody reads it again.
                intent.__dict__.pop("document", None)
            if difference is not None:
                found.append(difference)
            self.between()
        return sorted(found, key=lambda each: each.intent_id)

    def _one(self, intent: Intent) -> BacktestDifference | None:
        try:
            if not integrity.text_is_intact(intent):
                raise Unusable("What is stored of it is not what was proposed, or was erased.")
            inputs = intent.verdict.get("inputs")
            then = None if self._passes_by(intent, inputs or {}) else self._judged(intent)
        except Exception as error:
            logger.warning("%s could not be replayed: %s", intent.pk, type(error).__name__)
            return self._difference(intent, Change.UNREADABLE, "", "", _why_not(error))
        self.summary["assumed"] += inputs is None
        if then is None or not self._concerns(intent, then, inputs or {}):
            self._count(Change.SAME, None)
            return None
        self.summary["covered"] += 1
        asked = joined(then.requirement, (inputs or {}).get("joined"))
        change = proving.change(intent.verdict, intent.requirement, then, asked)
        by = proving.said_by(then.verdict)
        if change == Change.SAME:
            self._count(change, by)
            return None
        if change == Change.ALLOWED and intent.status == Status.REJECTED:
            self.summary["rejected_before"] += 1
        return self._difference(intent, change, then.verdict["effect"], by, then.verdict["reason"] or "")

    def _passes_by(self, intent: Intent, inputs: dict[str, Any]) -> bool:
        """Whether no policy that matters here covered it or could, which is told without its document being parsed."""
        # The text begins with its action; where the column says another, the text counts and has to be read.
        begins = canonical.dumps({"action": intent.action}).decode().removesuffix("}") + ","
        if self._concerned(intent, inputs) or not intent.canonical.startswith(begins):
            return False
        agent = inputs.get("agent") or attributes_of(intent.agent)
        could = self._policies.may_cover(action=intent.action, agent=agent, policy=inputs.get("named"))
        return self._bearing.isdisjoint(could)

    def _judged(self, intent: Intent) -> Judgement:
        facts = facts_of(intent)
        then = judge(self._policies, facts, unreadable=self._unreadable)
        if then.uses:
            self._clock = max(self._clock or intent.created_at, intent.created_at)
            usage = self._meter.usage(then.uses, self._clock)
            then = judge(self._policies, facts, usage=usage, unreadable=self._unreadable)
            self._meter.count(then.uses, self._clock)
        return then

    def _concerns(self, intent: Intent, then: Judgement, inputs: dict[str, Any]) -> bool:
        """Whether the policy had, or would have had, any say: else other policies changed, which is not its effect."""
        return proving.concerns(self._name, then) or self._concerned(intent, inputs)

    def _concerned(self, intent: Intent, inputs: dict[str, Any]) -> bool:
        return (
            self._name in inputs.get("policies", {})
            or intent.verdict["policy"] == self._name
            or inputs.get("named") == self._name
        )

    def _difference(self, intent: Intent, change: Change, effect: str, by: str, reason: str) -> BacktestDifference:
        self._count(change, by)
        return BacktestDifference(
            backtest_id=self._backtest.pk,
            intent_id=intent.pk,
            change=change,
            effect=effect,
            said_by=by,
            reason=reason,
            was_status=intent.status,
        )

    def _count(self, change: Change, by: str | None) -> None:
        counts = self.summary["counts"]
        counts[change.value] = counts.get(change.value, 0) + 1
        if by is not None:
            rules = self.summary["rules"].setdefault(change.value, {})
            rules[by] = rules.get(by, 0) + 1

    def _know_agents(self, intents: Iterable[Intent]) -> None:
        """Give each intent its agent, whose present attributes stand in where none were stored; one query at most."""
        unknown = {intent.agent_id for intent in intents} - self._agents.keys()
        if unknown:
            self._agents |= Agent.objects.select_related("owner").in_bulk(unknown)
        for intent in intents:
            intent.agent = self._agents[intent.agent_id]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector: it would go through everything again and again while a large text is parsed.

    What is parsed refers to nothing that refers to it, and is gone as soon as nobody holds it.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _parsed(version: PolicyVersion) -> Policy:
    if canonical.digest(version.text.encode()) != version.digest:
        raise ValueError("The stored text is not the one that was saved: its digest differs.")
    return parse_policy(version.text, version=version.number)


def _why_not(error: Exception) -> str:
    return str(error) if isinstance(error, Unusable) else f"It could not be read again ({type(error).__name__})."
