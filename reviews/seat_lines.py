"""The seats of a requirement as the page of an intent shows them: who fills each, who could, and who could not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from reviews.entitlement import Eligible
from reviews.models import Decision
from reviews.presentation import text
from reviews.quorum import Standing


@dataclass(frozen=True, slots=True)
class SeatLine:
    """A seat: who fills it, or who still could.

    `after` are the groups that are asked first, `instead` what would do as well, and `also` the groups that may fill it
    besides, if there are any; `weight` is what an approval weighs there, where weights are asked for.
    """

    group: SafeString
    filled_by: SafeString | None
    could: list[SafeString]
    after: SafeString | None
    instead: SafeString | None
    also: SafeString | None
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class WeighLine:
    """How much of a weight is given, who weighs what, and what would do `instead` of all seats that are empty."""

    given: int
    at_least: int
    of: SafeString
    instead: SafeString | None


def seat_lines(
    stood: Standing, votes: Sequence[Decision], eligible: Iterable[Eligible], person: User
) -> list[SeatLine]:
    """The seats as `person` reads them, of the votes that stand and those who may still fill one."""
    names = {vote.reviewer_id: vote.who for vote in votes}
    lines = []
    for seat in stood.seats:
        groups = {seat.group, *seat.others, *seat.also}
        could = [_name(one, person) for one in eligible if not groups.isdisjoint(one.groups)]
        filled = None if seat.filled_by is None else text(names[seat.filled_by])
        after = text(" and ".join(seat.after)) if seat.after else None
        # What would do instead of all that is lacking of a weight is said once, by its own line.
        instead = text(seat.instead) if seat.instead and seat.weight is None else None
        also = text(" or ".join(seat.also)) if seat.also else None
        lines.append(SeatLine(text(seat.group), filled, could, after, instead, also, seat.weight))
    return lines


def weigh_lines(stood: Standing) -> list[WeighLine]:
    """What is weighed, each with how much of it is given."""
    return [
        WeighLine(
            each.given,
            each.weighing.at_least,
            text(", ".join(f"{group} {weight} each" for group, weight in each.weighing.heaviest_first)),
            text(each.instead) if each.instead else None,
        )
        for each in stood.weighed
    ]


def _name(one: Eligible, person: User) -> SafeString:
    if one.id != person.pk:
        return text(one.told)
    return format_html("<b>you</b> for {}", text(one.delegator)) if one.delegator else mark_safe("<b>you</b>")
