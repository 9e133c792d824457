"""What happens when an agent proposes something that policy asks people about: whether a standing approval covers it.

It is asked in the transaction that stores the intent, with the agent's turn to ask held (`intents.attention`). The row
of what would cover it is locked before its uses are counted, so that of any number of proposals at once exactly as many
pass as two people said, and whoever revokes it is waited for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from audit import clock, inserting, ledger
from audit.actors import Actor
from audit.comparing import BATCH, Finding, key_batches
from audit.models import Event
from intents import preapproval
from intents.judging import Facts, Judgement
from intents.models import Intent
from intents.preapproval import Given
from reviews import entitlement, quorum, stepping_up
from reviews.entitlement import groups_of_person
from reviews.standing import samples, steps, terms
from reviews.standing.models import StandingApproval, StandingUse
from reviews.ties import Bonds, Ties
from zehrava.policy.limits import EXACT, plain

USED, SAMPLED = "standing_approval.used", "standing_approval.sampled"


def take(intent: Intent, facts: Facts, judgement: Judgement) -> Given | None:
    """Use a standing approval for this new intent, or make it a sample of one; None where none covers it."""
    for approval in _covering(intent, facts, judgement):
        now = _locked(approval)
        if now is None or not _is_good_for(now, intent):
            continue
        if not samples.suspend_where_few_are_decided(now, by=_agent(intent)):
            return _sample(now, intent) or _use(now, intent)
    return None


def look(intent: Intent, facts: Facts, judgement: Judgement) -> str | None:
    """The id of what this intent would pass on; nothing is used and nothing locked."""
    found = (each for each in _covering(intent, facts, judgement) if _is_good_for(each, intent))
    return next((approval.pk for approval in found), None)


def shown_on(intents: Sequence[Intent]) -> Mapping[str, dict[str, Any]]:
    """By intent id, on which use of which standing approval it passed; one query."""
    rows = StandingUse.objects.filter(intent__in=[intent.pk for intent in intents], number__isnull=False)
    found = rows.values_list("intent_id", "standing_approval_id", "number")
    return {intent_id: {"id": approval_id, "use": number} for intent_id, approval_id, number in found}


# --- whether it covers the intent ----------------------------------------------------------------------------------


def _covering(intent: Intent, facts: Facts, judgement: Judgement) -> list[StandingApproval]:
    """Those in force whose agent, action and conditions are this intent's, oldest first; their counts may be old."""
    active = _in_force().filter(agent=intent.agent_id).order_by("id")
    covering = [each for each in active if terms.cover(each, facts)]
    # What is asked only because something failed was never approved in advance.
    return [] if covering and preapproval.something_failed(judgement) else covering


def _locked(approval: StandingApproval) -> StandingApproval | None:
    """As it is now, locked until the transaction ends; None where it is not in force any more."""
    StandingApproval.objects.select_for_update().only("pk").get(pk=approval.pk)
    # Asked anew: while the row was waited for its time may have ended, and its people may have gone.
    return _in_force().filter(pk=approval.pk).first()


def _in_force() -> QuerySet[StandingApproval]:
    """Those that count at this moment, with their two people."""
    rows = StandingApproval.objects.filter(state="active", expires_at__gt=Now())
    return rows.select_related("owner", "approver")


def _is_good_for(approval: StandingApproval, intent: Intent) -> bool:
    return (
        approval.used < approval.max_uses
        and _is_within_total(approval, intent)
        and _is_within_rate(approval)
        and would_meet(approval, intent)
        and not steps.altered(approval)
    )


def _is_within_total(approval: StandingApproval, intent: Intent) -> bool:
    if approval.max_total is None:
        return True
    amount = intent.value_amount
    # Less than nothing would make room for others.
    if amount is None or amount < 0 or intent.value_currency != approval.currency:
        return False
    return EXACT.add(approval.spent, amount) <= approval.max_total


def _is_within_rate(approval: StandingApproval) -> bool:
    if approval.rate_count is None or approval.rate_window is None:
        return approval.rate_count is None and approval.rate_window is None
    since = clock.now() - timedelta(seconds=approval.rate_window)
    lately = StandingUse.objects.filter(standing_approval=approval, number__isnull=False, at__gt=since)
    return lately.count() < approval.rate_count


def would_meet(approval: StandingApproval, intent: Intent) -> bool:
    """Whether the approvals of its two people, as they are now, would meet what policy asks for this intent.

    The rules are those of votes: neither of the two may be one who never decides on it, the two are seated once where
    they count once together, and where policy wants a second factor, both had used one.
    """
    owner, approver, ties = approval.owner, approval.approver, Ties()
    if approver is None or any(
        not each.is_active or entitlement.bars(intent, each, ties) for each in (owner, approver)
    ):
        return False
    proved = bool(approval.owner_factor and approval.approver_factor)
    return meets(intent.requirement, [owner, approver], proved=proved, bonds=ties.bonds_of(intent))


def meets(requirement: Mapping[str, Any] | None, people: Sequence[User], *, proved: bool, bonds: Bonds) -> bool:
    """Whether the approvals of these people in their order, of today's groups, would meet this requirement.

    `proved` is whether each of them used a second factor for it; `bonds` say who counts once together.
    """
    if stepping_up.is_wanted(requirement) and not proved:
        return False
    says = [entitlement.Say(person, None, frozenset(groups_of_person(person))) for person in people if person.is_active]
    return quorum.standing(requirement, [say.approval(bonds) for say in says]).met


# --- using it ------------------------------------------------------------------------------------------------------


def _sample(approval: StandingApproval, intent: Intent) -> Given | None:
    """Where it is drawn for people, or is what they have not approved before: what there is to keep of that."""
    drawn = samples.draw(approval, intent)
    is_again = samples.has_one_like(intent)
    if not is_again and drawn >= approval.sample_percent * samples.OF_PERCENT:
        return None

    def keep(stored: Intent) -> None:
        at = clock.now()
        inserting.insert([StandingUse(standing_approval=approval, intent=stored, number=None, at=at)])
        said = {"intent": stored.pk, "drawn": drawn, "again": is_again}
        change = ledger.Change(SAMPLED, approval, _agent(stored), said, history=None)
        ledger.record(change, at=at)

    return Given(passes=False, facts={"sample_of": approval.pk}, shown=None, keep=keep)


def _use(approval: StandingApproval, intent: Intent) -> Given:
    """Count one use; the row is locked."""
    number, amount = approval.used + 1, Decimal(0)
    if approval.max_total is not None and intent.value_amount is not None:
        amount = intent.value_amount
    approval.used, approval.spent = number, EXACT.add(approval.spent, amount)
    counted = StandingApproval.objects.filter(
        pk=approval.pk, state="active", used=number - 1, max_uses__gt=F("used")
    ).update(used=approval.used, spent=approval.spent)
    if not counted:
        raise RuntimeError(f"{approval.pk} was used by somebody else while it was locked.")

    def keep(stored: Intent) -> None:
        at = clock.now()
        inserting.insert([StandingUse(standing_approval=approval, intent=stored, number=number, at=at)])
        said = {"intent": stored.pk, "use": number, "amount": plain(amount), "digest": stored.digest}
        ledger.record(ledger.Change(USED, approval, _agent(stored), said), at=at)
        if number == approval.max_uses:
            steps.use_up(approval, by=_agent(stored))

    shown = {"id": approval.pk, "use": number}
    people = {"owner": str(approval.owner_id), "approver": str(approval.approver_id)}
    facts = {"standing_approval": {**shown, **people, "terms_digest": approval.terms_digest}}
    return Given(passes=True, facts=facts, shown=shown, keep=keep)


def _agent(intent: Intent) -> Actor:
    return Actor.agent(intent.agent_id, intent.agent_name)


# --- whether it is still what the ledger says ----------------------------------------------------------------------


def unlike_the_ledger() -> Iterator[Finding]:
    """For `audit_check`: standing approvals and their uses that are not what the ledger says, or are missing there."""
    for approval in StandingApproval.objects.select_related("agent").order_by("pk").iterator(chunk_size=BATCH):
        counted = StandingUse.objects.filter(standing_approval=approval, number__isnull=False).count()
        # Read once more: it may have been used meanwhile.
        used = StandingApproval.objects.values_list("used", flat=True).get(pk=approval.pk)
        if not approval.used <= counted <= used:
            yield Finding(_TABLE, approval.pk, f"{counted} of its {approval.used} uses are stored")
        if moved := steps.altered(StandingApproval.objects.get(pk=approval.pk)):
            yield Finding(_TABLE, approval.pk, f"{', '.join(moved)} is not what the ledger says")
    uses = StandingUse.objects.order_by("pk")
    for keys in key_batches(uses):
        rows = list(uses.filter(pk__in=keys))
        lines = Event.objects.filter(type="intent.proposed", intent_id__in=[row.intent_id for row in rows])
        said = {intent: json.loads(line)["facts"] for intent, line in lines.values_list("intent_id", "line")}
        for row in rows:
            if _said_of(said.get(row.intent_id, {})) != (row.standing_approval_id, row.number):
                problem = f"the proposal of {row.intent_id} does not say that it is {row}"
                yield Finding(StandingUse._meta.db_table, str(row.pk), problem)

    yield from _gone_or_moved()


def _gone_or_moved() -> Iterator[Finding]:
    """Uses and samples of which the ledger tells and that are not stored as it does."""
    events = Event.objects.filter(type__in=(USED, SAMPLED)).order_by("pk")
    for keys in key_batches(events):
        told = {
            facts["intent"]: (facts.get("use"), at)
            for at, facts in (
                (at, json.loads(line)["facts"]) for at, line in events.filter(pk__in=keys).values_list("at", "line")
            )
        }
        stored = StandingUse.objects.filter(intent__in=told).values_list("intent", "number", "at")
        found = {intent: (number, at) for intent, number, at in stored}
        for intent, said in told.items():
            if found.get(intent) != said:
                problem = f"what {intent} used or was a sample of is not stored as the ledger tells it"
                yield Finding(StandingUse._meta.db_table, intent, problem)


_TABLE = StandingApproval._meta.db_table


def _said_of(facts: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """Which standing approval a proposal passed on as which use, or is a sample of."""
    used = facts.get("standing_approval")
    return (facts.get("sample_of"), None) if used is None else (used["id"], used["use"])
