"""Shadow mode: a version of a policy is judged beside the active set on live traffic, and has no say.

What is in shadow is one pointer of the policy, moved as the one that is in force: in one transaction with its history,
its ledger event and the version of what is in force. Whatever goes wrong in here is logged and forgotten: a proposal
is neither refused nor judged otherwise because of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from audit import clock, inserting, ledger
from audit.actors import Actor
from intents import in_force, limits, proving
from intents.in_force import Shadow
from intents.judging import Facts, Judgement, judge
from intents.models import Change, Intent, Policy, PolicyVersion, ShadowVerdict
from intents.parsing import parse_policy
from zehrava.problems import Problem

logger = logging.getLogger(__name__)

DROPPED_AT_ONCE = 5_000
LOCK_WAIT = "100ms"


@transaction.atomic
def start(version: PolicyVersion, *, by: Actor) -> Policy:
    """Put a version in shadow, instead of the one that is. Putting it there again changes nothing.

    Raises PolicyError for a version that this portal can no longer read, and Problem `conflict` for the one in force:
    it cannot differ from itself.
    """
    parse_policy(version.text, version=version.number)
    policy = Policy.objects.select_for_update().get(pk=version.policy_id)
    if policy.active_id == version.pk:
        raise Problem("conflict", f"v{version.number} is in force: in shadow it could say nothing else.")
    if policy.shadow_id == version.pk:
        return policy
    facts = {"version": version.number, "digest": version.digest, "instead_of": _number(policy)}
    return _point_at(policy, version, clock.now(), "policy.shadow_started", by=by, facts=facts)


@transaction.atomic
def stop(policy: Policy, *, by: Actor) -> Policy:
    """Take what is in shadow out of it; what it would have said stays to be read for a while."""
    policy = Policy.objects.select_for_update().get(pk=policy.pk)
    return _stop(policy, by=by)


def stop_activated(policy: Policy, *, by: Actor) -> Policy:
    """The same, where what is in shadow has just come into force: it could no longer differ from what decides.

    For whoever moved the pointer of the policy, in that transaction and with its row locked.
    """
    if policy.active_id is None or policy.shadow_id != policy.active_id:
        return policy
    return _stop(policy, by=by, activated=True)


def _stop(policy: Policy, *, by: Actor, activated: bool = False) -> Policy:
    if policy.shadow is None:
        return policy
    found = figures(policy.shadow, since=policy.shadow_since, among=Q())
    facts = {"version": policy.shadow.number, "digest": policy.shadow.digest, "counts": found["counts"]}
    if activated:
        facts["activated"] = True
    return _point_at(policy, None, None, "policy.shadow_stopped", by=by, facts=facts)


def _number(policy: Policy) -> int | None:
    return policy.shadow.number if policy.shadow else None


def _point_at(
    policy: Policy,
    version: PolicyVersion | None,
    since: datetime | None,
    event: str,
    *,
    by: Actor,
    facts: dict[str, Any],
) -> Policy:
    policy.shadow, policy.shadow_since = version, since
    ledger.save(policy, event, by=by, facts=facts, update_fields=["shadow", "shadow_since"])
    in_force.bump()
    return policy


# --- on every proposal ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """What a version in shadow says of a proposal; `then` is None where it could not be judged, and `failed` why."""

    shadow: Shadow
    then: Judgement | None
    failed: str = ""


def look(facts: Facts, shadows: Sequence[Shadow], *, now: datetime) -> list[Seen]:
    """What each version in shadow says of a proposal, before its transaction begins: however long a draft takes to
    be judged, nobody waits for a lock meanwhile.

    Limits count only what would have passed under the version since it is in shadow. No counter is locked for it: of
    two proposals at the same moment one may not see the other's use.
    """
    seen = []
    for shadow in shadows:
        try:
            seen.append(_look(facts, shadow, now))
        except OperationalError:
            # Whoever holds a lock here holds it against the others too: the proposal waits once and not for each.
            logger.exception("no proposal could be judged in shadow by %s and those after it", shadow)
            break
    return seen


def _look(facts: Facts, shadow: Shadow, now: datetime) -> Seen:
    try:
        then = judge(shadow.policies, facts, unreadable=shadow.unreadable)
        if then.uses:
            with _reading():
                usage = limits.read(then.uses, now=now, namespace=shadow.namespace)
            then = judge(shadow.policies, facts, usage=usage, unreadable=shadow.unreadable)
    except OperationalError:
        raise
    except Exception as error:
        logger.exception("%s cannot judge a proposal in shadow", shadow)
        return Seen(shadow, None, type(error).__name__)
    return Seen(shadow, then)


def observe(intent: Intent, facts: Facts, said: Judgement, seen: Sequence[Seen]) -> None:
    """Write down what each version in shadow says of an intent that has just been stored, in its transaction.

    `said` is what the active set said. An intent that neither the version nor the one it would replace covers is
    passed over: of that it says nothing.
    """
    for each in seen:
        try:
            # A savepoint, so that a failure in here leaves the transaction of the proposal usable.
            with transaction.atomic(), _not_waiting():
                _observe(intent, facts, said, each)
        except OperationalError:
            logger.exception("%s could not be judged in shadow by %s and those after it", intent.pk, each.shadow)
            return
        except Exception:
            logger.exception("%s could not be judged by %s in shadow", intent.pk, each.shadow)


@contextmanager
def _not_waiting() -> Iterator[None]:
    """Give up on a lock after LOCK_WAIT; nothing else on SQLite, where the transaction has the only lock already.

    Inside a savepoint: rolling it back puts the old bound back, leaving the block without an error does it here.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        # OFFSET keeps the inner query apart: what is read there is from before the outer one sets it.
        cursor.execute(
            "SELECT before, set_config('lock_timeout', %s, true)"
            " FROM (SELECT current_setting('lock_timeout') AS before OFFSET 0) AS was",
            [LOCK_WAIT],
        )
        before = cursor.fetchone()[0]
    yield
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [before])


@contextmanager
def _reading() -> Iterator[None]:
    """A look at the counters that waits for nobody: on SQLite nobody who reads does, and a transaction would write."""
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic(), _not_waiting():
        yield


def _observe(intent: Intent, facts: Facts, said: Judgement, seen: Seen) -> None:
    shadow, then = seen.shadow, seen.then
    if then is None:
        row = ShadowVerdict(change=Change.UNREADABLE, effect="", said_by="", reason=seen.failed)
    else:
        if then.uses:
            limits.count(then.uses, intent, at=intent.created_at, namespace=shadow.namespace)
        changed = proving.change(intent.verdict, intent.requirement, then, then.requirement)
        if changed == Change.SAME and not proving.concerns(shadow.name, said, then) and facts.named != shadow.name:
            return
        row = ShadowVerdict(
            change=changed,
            effect=then.verdict["effect"],
            said_by=proving.said_by(then.verdict),
            reason=then.verdict["reason"] or "",
        )
    row.intent_id, row.version_id, row.at = intent.pk, shadow.version_id, intent.created_at
    inserting.insert([row])


# --- what the page shows -------------------------------------------------------------------------------------------


def verdicts(version: PolicyVersion, *, since: datetime | None, among: Q) -> QuerySet[ShadowVerdict]:
    """What the version said in shadow, newest first; with `since` only from then on. `among` is which intents' are
    wanted, as `reading.visible_to` has it of `intent__`."""
    found = ShadowVerdict.objects.filter(among, version=version).order_by("-intent_id")
    return found.filter(at__gte=since) if since else found


def figures(version: PolicyVersion, *, since: datetime | None, among: Q) -> dict[str, Any]:
    """`judged`, `counts` by kind of change, and `rules`: counts by kind of change and rule. One query."""
    counted = (
        verdicts(version, since=since, among=among).order_by().values_list("change", "said_by").annotate(n=Count("pk"))
    )
    counts: dict[str, int] = {}
    rules: dict[str, dict[str, int]] = {}
    for kind, rule, n in counted:
        counts[kind] = counts.get(kind, 0) + n
        rules.setdefault(kind, {})[rule] = n
    return {"judged": sum(counts.values()), "counts": counts, "rules": rules}


def judged_before(policy: Policy) -> list[PolicyVersion]:
    """Versions of the policy, newest first, of which verdicts in shadow are kept."""
    return list(policy.versions.filter(Exists(ShadowVerdict.objects.filter(version=OuterRef("pk")))).defer("text"))


def drop_old() -> int:
    """Delete verdicts in shadow older than ZEHRAVA_PROVING_KEPT; returns how many."""
    return proving.drop_old(ShadowVerdict.objects.all(), "at", batch=DROPPED_AT_ONCE)
