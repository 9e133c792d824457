"""How a standing approval comes into force and leaves it: every state of one is written here.

    ask ── requested ─┬─ active ─┬─ used_up                (its last use)
                      │          ├─ suspended ── active    (people disagreed with samples; a second person again)
                      ├─ refused ├─ over                   (its time ended; also from requested and suspended)
                      └──────────┴─ revoked                (also from suspended)

Each step is a conditional UPDATE under the row's lock, with its history row and its event in the same transaction. The
row is locked last of all, see `intents.attention`: who holds it waits for nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now

from audit import clock, ledger
from audit.actors import Actor
from intents import one_person, recorded
from intents.lifecycle import SWEEPER
from intents.models import Agent
from intents.reasons import read_reason
from reviews import stepping_up
from reviews.second_factor import Factor, was_just_now
from reviews.standing.models import OPEN, StandingApproval, StandingState
from reviews.standing.terms import Terms, digest_of
from zehrava import ids
from zehrava.problems import Problem

ASK, APPROVE, REVOKE = (f"reviews.{verb}_standingapproval" for verb in ("add", "approve", "revoke"))

# From where each state is reached.
_FROM: Mapping[StandingState, tuple[StandingState, ...]] = {
    StandingState.ACTIVE: (StandingState.REQUESTED, StandingState.SUSPENDED),
    StandingState.REFUSED: (StandingState.REQUESTED,),
    StandingState.SUSPENDED: (StandingState.ACTIVE,),
    StandingState.USED_UP: (StandingState.ACTIVE,),
    StandingState.OVER: OPEN,
    StandingState.REVOKED: OPEN,
}
# Contents, which history does not hold; `terms_digest` covers those of the terms.
_COLUMNS = (
    "agent_id", "action", "max_uses", "max_total", "currency", "rate_count", "rate_window", "sample_percent",
    "disagreement_percent", "expires_at", "terms_digest", "state", "owner_id", "owner_factor", "approver_id",
    "approver_factor", "created_at", "approved_at", "moved_at", "used", "spent",
)  # fmt: skip


@transaction.atomic
def ask(terms: Terms, *, by: User, factor: Factor | None = None) -> StandingApproval:
    """Ask for a standing approval; another person has to approve it.

    `factor` is the second factor that this person used last. Raises Problem `forbidden` without the permission, for an
    owner of the agent, who decides nothing about it, and `invalid` with every fault of the terms.
    """
    now = clock.now()
    if refusal := why_not_ask(terms.agent, by):
        raise Problem("forbidden", refusal)
    approval = StandingApproval(
        id=ids.new("sta", at=now),
        **terms.columns(now=now),
        owner=by,
        owner_name=by.get_username(),
        # A key signs for what stands there; these terms stand nowhere yet.
        owner_factor=factor.kind if factor and factor.kind != "webauthn" and was_just_now(factor.at) else None,
        created_at=now,
        moved_at=now,
    )
    approval.terms_digest = digest_of(approval)
    content = {"reason": approval.reason, "when": approval.when}
    ledger.save(approval, "standing_approval.requested", by=Actor.person(by), facts=_facts(approval), content=content)
    return approval


@transaction.atomic
def approve(
    approval: StandingApproval, *, by: User, digest: str, reason: str = "", factor: Factor | None = None
) -> StandingApproval:
    """Bring into force what somebody else asked for, or again what was suspended.

    `digest` is that of the terms that were shown, `reason` why it may go on where it was suspended, and `factor` the
    second factor that this person used last. Raises Problem `forbidden`, `conflict`, `stale-digest`, `invalid` and
    `integrity-failed`.
    """
    approval = locked(approval)
    if refusal := why_not_approve(approval, by):
        raise Problem("conflict" if by.has_perm(APPROVE) else "forbidden", refusal)
    if digest != approval.terms_digest:
        raise Problem("stale-digest", "What you were shown is not what stands here now. Look at it again.")
    again = approval.state == StandingState.SUSPENDED
    needed = "Say why it may go on: people rejected what it would have let pass." if again else None
    reason = read_reason(reason, path="/reason", needed=needed)
    if moved := altered(approval):
        raise Problem("integrity-failed", f"What is stored is not what was asked for: {', '.join(moved)} differs.")
    proved = factor if factor is not None and not stepping_up.why_not(factor, approval.terms_digest) else None
    _move(
        approval,
        StandingState.ACTIVE,
        by=Actor.person(by),
        answer=reason,
        approver=by,
        approver_name=by.get_username(),
        approver_factor=proved and proved.kind,
        approved_at=clock.now(),
    )
    return approval


@transaction.atomic
def refuse(approval: StandingApproval, *, by: User, reason: str) -> StandingApproval:
    """Say no to what somebody else asked for. Raises Problem `forbidden`, `conflict`, `invalid` without a reason."""
    reason = read_reason(reason, path="/reason", needed="Say why you refuse: whoever asked reads this.")
    if not (by.is_active and by.has_perm(APPROVE)):
        raise Problem("forbidden", "Only people who may approve standing approvals refuse one.")
    approval = locked(approval)
    if approval.owner_id == by.pk:
        raise Problem("conflict", "You asked for this yourself: revoke it instead.")
    _move(approval, StandingState.REFUSED, by=Actor.person(by), answer=reason)
    return approval


@transaction.atomic
def revoke(approval: StandingApproval, *, by: User, reason: str) -> StandingApproval:
    """End it at once: nothing more passes on it. Raises Problem `forbidden`, `conflict`, `invalid` without a reason."""
    reason = read_reason(reason, path="/reason", needed="Say why you revoke it: the record keeps your reason.")
    approval = locked(approval)
    if not may_revoke(approval, by):
        raise Problem("forbidden", "Its owner, its approver, operators and administrators revoke it.")
    _move(approval, StandingState.REVOKED, by=Actor.person(by), answer=reason)
    return approval


def suspend(approval: StandingApproval, *, by: Actor, because_of: str, facts: dict[str, Any]) -> None:
    """Stop a locked one because people disagreed on too many samples, the last of them the intent `because_of`."""
    approval.because_of = because_of  # type: ignore[attr-defined]
    _move(approval, StandingState.SUSPENDED, by=by, facts={"intent": because_of, **facts})


def use_up(approval: StandingApproval, *, by: Actor) -> None:
    """End a locked one whose last use was just counted."""
    _move(approval, StandingState.USED_UP, by=by)


def overdue(limit: int) -> list[str]:
    """The ids of those whose time is over by the database's clock, oldest first."""
    ended = StandingApproval.objects.filter(state__in=OPEN, expires_at__lte=Now())
    return list(ended.order_by("expires_at").values_list("pk", flat=True)[:limit])


def end(approval_id: str) -> bool:
    """Note that one is over, if its time has come. Until then it is the clock that keeps it from being used."""
    with transaction.atomic():
        approval = StandingApproval.objects.select_for_update(of=("self",)).get(pk=approval_id)
        if not approval.is_open or approval.expires_at > clock.now():
            return False
        _move(approval, StandingState.OVER, by=SWEEPER)
        return True


# --- who may -------------------------------------------------------------------------------------------------------


def why_not_ask(agent: Agent, person: User) -> str:
    """Why this person cannot ask for one for this agent; empty where they can."""
    if not (person.is_active and person.has_perm(ASK)):
        return "Only people who may ask for standing approvals do so."
    if agent.owner_id in one_person.accounts().of(person.pk):
        return f"You own {agent.name}, and owners do not decide on their agents' intents. Somebody else has to ask."
    return ""


def why_not_approve(approval: StandingApproval, person: User) -> str:
    """Why this person cannot approve it as it stands, with what to do; empty where they can."""
    if not (person.is_active and person.has_perm(APPROVE)):
        return "Only people who may approve standing approvals do so."
    if approval.state not in _FROM[StandingState.ACTIVE]:
        return f"It no longer waits for anybody: {approval.get_state_display().lower()}."
    if approval.expires_at <= clock.now():
        return "Its time is over. Somebody has to ask for a new one."
    mine = one_person.accounts().of(person.pk)
    if approval.owner_id in mine:
        return "You asked for this: somebody else has to approve it."
    if approval.agent.owner_id in mine:
        return f"You own {approval.agent_name}, and owners do not decide on their agents' intents."
    return ""


def may_refuse(approval: StandingApproval, person: User) -> bool:
    return (
        approval.state == StandingState.REQUESTED and approval.owner_id != person.pk and bool(person.has_perm(APPROVE))
    )


def may_revoke(approval: StandingApproval, person: User) -> bool:
    """Whether this person may end it: its two people, and who may end everybody's."""
    of_theirs = person.pk in (approval.owner_id, approval.approver_id)
    return approval.is_open and person.is_active and (of_theirs or bool(person.has_perm(REVOKE)))


# --- one row -------------------------------------------------------------------------------------------------------


def locked(approval: StandingApproval) -> StandingApproval:
    """As it is now, its row locked until the transaction ends."""
    rows = StandingApproval.objects.select_for_update(of=("self",))
    return rows.select_related("agent", "owner", "approver").get(pk=approval.pk)


def altered(approval: StandingApproval) -> list[str]:
    """What of it is not what the ledger says, in words; empty where all agrees. One query.

    Whoever may write to the database can change a row; nothing passes on one that was changed like that.
    """
    said = recorded.newest(StandingApproval, [approval.pk]).get(approval.pk)
    moved = recorded.differing(said, **{name: getattr(approval, name) for name in _COLUMNS})
    return moved if digest_of(approval) == approval.terms_digest else ["terms", *moved]


def _move(
    approval: StandingApproval,
    to: StandingState,
    *,
    by: Actor,
    facts: dict[str, Any] | None = None,
    answer: str = "",
    **columns: Any,
) -> None:
    """Do the step or raise Problem `conflict`; `approval` is as the step leaves it."""
    columns |= {"state": to, "moved_at": _after(approval.moved_at), "answer": answer}
    if not StandingApproval.objects.filter(pk=approval.pk, state__in=_FROM[to]).update(**columns):
        now = StandingApproval.objects.get(pk=approval.pk)
        raise Problem("conflict", f"It no longer is where this step begins: {now.get_state_display().lower()}.")
    for name, value in columns.items():
        setattr(approval, name, value)
    event = "standing_approval.approved" if to == StandingState.ACTIVE else f"standing_approval.{to.value}"
    content = {"answer": answer} if answer else None
    ledger.record(ledger.Change(event, approval, by, {**_facts(approval), **(facts or {})}, content))


def _after(moved_at: datetime) -> datetime:
    # The clock may have been set back since.
    return max(clock.now(), moved_at)


def _facts(approval: StandingApproval) -> dict[str, Any]:
    return {
        "state": str(approval.state),
        "terms_digest": approval.terms_digest,
        "owner": str(approval.owner_id),
        "approver": None if approval.approver_id is None else str(approval.approver_id),
        "used": approval.used,
    }
