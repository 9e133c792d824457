"""What the page of a standing approval shows: whose word it is, what that is enough for, its terms and its record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.paginator import Page, Paginator
from django.utils.safestring import SafeString

from intents import in_force, reading
from intents.judging import ONE_REVIEWER
from intents.models import Intent, Status
from reviews import entitlement, presentation, stepping_up
from reviews.presentation import text
from reviews.quorum import told
from reviews.second_factor import Factor
from reviews.standing import samples, steps, using
from reviews.standing.models import StandingApproval, StandingState, StandingUse
from reviews.standing.samples import Tally
from reviews.ties import Ties
from zehrava import durations
from zehrava.policy import ASK
from zehrava.policy.globs import glob

PER_PAGE = 25
COLOURS = {
    StandingState.REQUESTED: "amber",
    StandingState.ACTIVE: "green",
    StandingState.SUSPENDED: "red",
    StandingState.REVOKED: "red",
    StandingState.REFUSED: "red",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule in force, or a row of its table, asks for the action: of whom, and whether the two would meet it."""

    rule: SafeString
    needs: SafeString
    met: bool


@dataclass(frozen=True, slots=True)
class Line:
    """An intent that it covered: as which use, when, and where it stands."""

    intent_id: str
    title: SafeString
    number: int | None
    at: datetime
    status: str
    colour: str


@dataclass(frozen=True, slots=True)
class Lines:
    """A page of them."""

    page: Page
    shown: list[Line]


@dataclass(frozen=True, slots=True)
class Abilities:
    """What this person may do; `why_not` says why they cannot approve."""

    approve: bool
    why_not: str
    refuse: bool
    revoke: bool


@dataclass(frozen=True, slots=True)
class Detail:
    """What the template shows."""

    state: str
    colour: str
    # Whose approvals it counts as, each with their groups of today; the viewer's, while they could be the second.
    counts_as: list[tuple[SafeString, SafeString]]
    with_you: bool
    asked: list[Asked]
    terms: list[tuple[str, SafeString]]
    uses: Lines
    samples: Lines
    tally: Tally
    may: Abilities
    # Why the viewer's second factor would not be noted, and where they use one.
    no_factor: str
    factor_address: str
    altered: list[str]

    @property
    def unmet(self) -> list[Asked]:
        return [asked for asked in self.asked if not asked.met]


def detail(
    approval: StandingApproval,
    person: User,
    *,
    now: datetime,
    factor: Factor | None,
    address: str,
    pages: Mapping[str, Any],
) -> Detail:
    """The page for this person; `address` is the page's own, `pages` says which of uses and samples to show."""
    why_not = steps.why_not_approve(approval, person)
    waits = approval.state in (StandingState.REQUESTED, StandingState.SUSPENDED)
    second = person if waits and not why_not else approval.approver
    no_factor = stepping_up.why_not(factor, approval.terms_digest)
    proved = bool(approval.owner_factor and (not no_factor if second is person else approval.approver_factor))
    people = [approval.owner, *([second] if second is not None else [])]
    state = state_of(approval, now)
    return Detail(
        state=state.label,
        colour=COLOURS.get(state, ""),
        counts_as=[(text(each.get_username()), _groups(each)) for each in people],
        with_you=second is person and waits,
        asked=list(_asked(approval, people, proved=proved)),
        terms=list(_terms(approval)),
        uses=_lines(approval, person, pages.get("uses"), number__isnull=False),
        samples=_lines(approval, person, pages.get("samples"), number=None),
        tally=samples.tally(approval, among=reading.visible_to(person, "intent__")),
        may=Abilities(not why_not, why_not, steps.may_refuse(approval, person), steps.may_revoke(approval, person)),
        no_factor=no_factor,
        factor_address=stepping_up.address(approval.terms_digest, back=address),
        altered=steps.altered(approval),
    )


def covered_by(intent: Intent) -> StandingUse | None:
    """How a standing approval covered this intent; no query where `standing_use` was loaded with it."""
    return getattr(intent, "standing_use", None)


def state_of(approval: StandingApproval, now: datetime) -> StandingState:
    """Its state by the clock: the sweep may not have noted yet that it is over."""
    return StandingState.OVER if approval.is_open and approval.expires_at <= now else StandingState(approval.state)


def _groups(person: User) -> SafeString:
    if not person.is_active:
        return text("not active: counts for nothing")
    return text(", ".join(sorted(entitlement.groups_of_person(person))) or "in no group")


def _asked(approval: StandingApproval, people: list[User], *, proved: bool) -> Iterator[Asked]:
    """What every rule in force that may be about it asks of people, row by row where it asks by a table."""
    ties = Ties()
    for rule, requirement in _rules(approval):
        bonds = ties.bonds(requirement, approval.action, None, None)
        met = len(people) == 2 and using.meets(requirement, people, proved=proved, bonds=bonds)
        yield Asked(text(rule), text(told(requirement) or "what cannot be read"), met)


def _rules(approval: StandingApproval) -> Iterator[tuple[str, Mapping[str, Any]]]:
    agent, policies = approval.agent, in_force.current().policies
    found = False
    for policy in policies.policies:
        actions = policy.match.actions
        # Tags are each intent's own: any that the policy is for will do here.
        tags = [pattern.replace("*", "") for pattern in policy.match.tags or ()]
        about = actions is None or any(_may_meet(approval.action, each) for each in actions)
        if not about or not policy.match.covers(name=agent.name, environment=agent.environment, tags=tags):
            continue
        found = True
        for rule in policy.rules:
            if rule.table is not None:
                # Which of its rows asks is each intent's own; all of them at once hardly ever do.
                for row in rule.table.rows:
                    yield f"{policy.name} › {rule.id}, row {row.number}", row.requirement.document()
            elif rule.requirement is not None:
                yield f"{policy.name} › {rule.id}", rule.requirement.document()
        if policy.default == ASK and all(rule.condition is not None for rule in policy.rules):
            yield f"{policy.name} › default", policy.ask.document()
    if not found and policies.default == ASK:
        yield "no policy matches", ONE_REVIEWER


def _may_meet(one: str, other: str) -> bool:
    """Whether some action may match both patterns; rather once too often."""
    if "*" in one and "*" in other:
        first, second = one.split("*")[0], other.split("*")[0]
        return first.startswith(second) or second.startswith(first)
    return glob(one, other) or glob(other, one)


def _terms(approval: StandingApproval) -> Iterator[tuple[str, SafeString]]:
    yield "Agent", text(approval.agent_name)
    yield "Action", text(approval.action)
    yield "Only where", text(approval.when) if approval.when else text("always")
    yield "At most", text(f"{approval.max_uses:,} uses")
    if approval.max_total is not None:
        amount = presentation.grouped(f"{approval.max_total.normalize():f}")
        spent = presentation.grouped(f"{approval.spent.normalize():f}")
        yield "In all", text(f"{amount} {approval.currency}, of which {spent} is gone")
    if approval.rate_count is not None and approval.rate_window is not None:
        yield "And within a time", text(f"{approval.rate_count:,} in {durations.text(approval.rate_window)}")
    yield "To people all the same", text(f"{approval.sample_percent} of 100, drawn by chance")
    yield "Suspended", text(f"where people reject or change more than {approval.disagreement_percent} of 100 of those")


def _lines(approval: StandingApproval, person: User, page: Any, **which: Any) -> Lines:
    theirs = reading.visible_to(person, "intent__")
    rows = StandingUse.objects.filter(theirs, standing_approval=approval, **which).order_by("-id")
    rows = rows.select_related("intent__action_type_version")
    found = Paginator(rows, PER_PAGE).get_page(page)
    return Lines(found, [_line(use) for use in found])


def _line(use: StandingUse) -> Line:
    status = Status(use.intent.status)
    colour = presentation.STATUS_COLOURS.get(status, "")
    return Line(use.intent_id, presentation.title(use.intent), use.number, use.at, status.label, colour)
