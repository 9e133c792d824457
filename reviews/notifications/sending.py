"""Sending what is due: to each person one mail, to each channel one message, with all that is due for it.

A row is claimed by a conditional UPDATE and held for a while, so that two workers never send the same. Whoever is
killed between the sending and the note that it was sent leaves a row that is sent once more when the hold ends: mail
and channels know no key by which a repetition is seen, though a repeated mail has the same Message-ID.

What cannot be sent is tried again, ever more rarely, and given up in the end; its trouble is shown to operators. A mail
server that is down is left alone for a minute, and holds up nothing else.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import Exists, F, Min, OuterRef, Q, QuerySet

from audit import clock
from audit.models import Event
from intents.giving_way import GivingWay
from intents.models import Status
from reviews.entitlement import may_view, viewers_of, votes_of
from reviews.notifications import contents, mail, slack, webhook
from reviews.notifications.audience import Recheck
from reviews.notifications.models import Delivery, Dropped, Following, Occasion, Way
from reviews.notifications.preferences import settings_of, wants
from reviews.notifications.timing import zone_of
from reviews.ties import Ties

logger = logging.getLogger(__name__)

# One run, so that the worker's hands are free for executions again.
SECONDS = 20
RECIPIENTS = 200
MOST_AT_ONCE = 50
# How long a row is held by who sends it: longer than any sending.
HELD = timedelta(minutes=5)
# Between two mails to one person, so that an agent that asks much fills no mailbox.
PAUSE = timedelta(minutes=1)
MAIL_DOWN = timedelta(minutes=1)
# After each attempt the next one; then it is given up.
AGAIN = (60, 5 * 60, 15 * 60, 3600, 4 * 3600, 12 * 3600)  # seconds


class MailDown(Exception):
    """The mail server takes no mail at all."""


@dataclass
class Postman:
    """One connection to the mail server for all that one run sends."""

    _connection: BaseEmailBackend | None = field(default=None)

    def send(self, message: EmailMultiAlternatives) -> None:
        """Raises MailDown where there is no server to talk to, and what the server says to this message otherwise."""
        if self._connection is None:
            connection = get_connection(fail_silently=False)
            try:
                connection.open()
            except Exception as error:
                raise MailDown(_named(error)) from error
            self._connection = connection
        message.connection = self._connection
        try:
            message.send()
        except Exception:
            # After an error its state is not known.
            self.close()
            raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except Exception:
                logger.debug("The mail server's connection did not close properly", exc_info=True)


def send_due(*, seconds: float = SECONDS) -> int:
    """Send what is due, for so many seconds at most; returns how many mails and messages were sent."""
    ends, sent, postman, give_way = time.monotonic() + seconds, 0, Postman(), GivingWay()
    _give_up_on_the_exhausted()
    try:
        for way, person, channel in _recipients(clock.now()):
            if time.monotonic() > ends:
                break
            claimed = _claim(way, person, channel)
            if claimed:
                sent += _send_claimed(claimed, postman)
            give_way()
    except MailDown as error:
        logger.warning("The mail server takes no mail (%s); it is asked again in a minute", error)
        Following.objects.filter(pk=1).update(mail_down_until=clock.now() + MAIL_DOWN)
    finally:
        postman.close()
    return sent


# --- claiming -------------------------------------------------------------------------------------------------------


def _due(now: datetime) -> QuerySet[Delivery]:
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    return Delivery.objects.filter(free, sent_at=None, dropped="", due_at__lte=now)


def _recipients(now: datetime) -> list[tuple[str, int | None, str]]:
    """Who has something due, longest waiting first; channels before mail, whose server may be down."""
    due = _due(now).order_by()
    if Following.objects.filter(pk=1, mail_down_until__gt=now).exists():
        due = due.exclude(way=Way.EMAIL)
    just_now = Delivery.objects.filter(person=OuterRef("person"), sent_at__gt=now - PAUSE)
    due = due.filter(~Exists(just_now))
    found = due.values("way", "person", "channel").annotate(first=Min("due_at")).order_by("-way", "first")
    return [(each["way"], each["person"], each["channel"]) for each in found[:RECIPIENTS]]


def _claim(way: str, person: int | None, channel: str) -> list[Delivery]:
    """Take what is due for one recipient, most urgent and oldest first; what another worker took is left out."""
    now, claim = clock.now(), secrets.token_hex(16)
    most = slack.MOST_ITEMS if way == Way.WEBHOOK else MOST_AT_ONCE
    theirs = _due(now).filter(way=way, person=person, channel=channel)
    keys = list(theirs.order_by("-urgent", "due_at", "pk").values_list("pk", flat=True)[:most])
    _due(now).filter(pk__in=keys).update(claim=claim, claimed_until=now + HELD, attempts=F("attempts") + 1)
    rows = Delivery.objects.filter(claim=claim).order_by("-urgent", "pk")
    return list(rows.select_related("intent__agent__owner", "intent__action_type_version", "person", "note__question"))


def _give_up_on_the_exhausted() -> None:
    """What was claimed again and again and never noted as sent ends the process that sends it: it is left alone."""
    now = clock.now()
    _due(now).filter(attempts__gt=len(AGAIN)).update(
        dropped=Dropped.GAVE_UP, trouble="Every attempt to send it was broken off.", claim="", claimed_until=None
    )


# --- one recipient --------------------------------------------------------------------------------------------------


def _send_claimed(claimed: Sequence[Delivery], postman: Postman) -> int:
    claim = claimed[0].claim
    try:
        left = _still_to_be_told(claimed)
        if left:
            _tell(left, postman)
    except MailDown as error:
        _again(claim, f"The mail server takes no mail ({error}).")
        raise
    except webhook.Undelivered as error:
        if error.for_good:
            _drop(Delivery.objects.filter(claim=claim), Dropped.GAVE_UP, str(error))
        else:
            _again(claim, str(error), wait=error.wait)
        return 0
    except Exception as error:
        logger.warning("A notification could not be sent and is tried again: %s", _named(error))
        _again(claim, f"It could not be sent: {_named(error)}.")
        return 0
    _still(claim).update(sent_at=clock.now(), claim="", claimed_until=None, trouble="")
    return bool(left)


def _still_to_be_told(claimed: Sequence[Delivery]) -> list[Delivery]:
    """Of these, what still is to be told; what is not is dropped, and says why."""
    now = clock.now()
    people = [each.person for each in claimed if each.person is not None]
    recheck, wanted = Recheck([each.intent for each in claimed], people), settings_of(people)
    left = []
    for each in claimed:
        why = _why_not(each, recheck, wanted, now)
        if why is None:
            left.append(each)
        else:
            _drop(Delivery.objects.filter(pk=each.pk, claim=each.claim), why, "")
    return left


def _why_not(each: Delivery, recheck: Recheck, wanted: dict, now: datetime) -> Dropped | None:
    occasion = Occasion(each.occasion)
    waits = each.intent.status == Status.PENDING_APPROVAL and each.intent.expires_at > now
    if recheck.is_moot(each.intent, occasion, waits=waits):
        return Dropped.MOOT
    if each.person is None:
        return None if each.channel in settings.ZEHRAVA_NOTIFY_WEBHOOKS else Dropped.NOWHERE
    if not recheck.is_theirs(each.intent, occasion, each.person):
        return Dropped.NOT_THEIRS
    if not wants(wanted[each.person.pk], occasion):
        return Dropped.NOT_WANTED
    return None if each.person.email else Dropped.NOWHERE


def _tell(left: Sequence[Delivery], postman: Postman) -> None:
    told = _newest_of_each(left)
    events = Event.objects.in_bulk([each.event_id for each in told])
    votes = votes_of([each.intent for each in told])
    person = told[0].person
    if person is None:
        items = [contents.item(each, contents.Background(events, votes)) for each in told]
        webhook.post(settings.ZEHRAVA_NOTIFY_WEBHOOKS[told[0].channel], slack.body(items))
        return
    viewers, ties = viewers_of([person]), Ties()
    background = contents.Background(events, votes, zone_of(settings_of([person])[person.pk]), ties)
    items = [contents.item(each, background, linked=may_view(each.intent, person, viewers, ties)) for each in told]
    postman.send(mail.compose(person, items, key=_key(told, person)))


def _newest_of_each(left: Sequence[Delivery]) -> list[Delivery]:
    """One of each intent and occasion: what it was before somebody changed it is not asked any more. Notes are all."""
    newest = {(each.intent_id, each.occasion, each.note_id): each for each in sorted(left, key=lambda d: d.event_id)}
    return [each for each in left if each in newest.values()]


def _key(told: Sequence[Delivery], person: User) -> str:
    if len(told) == 1:
        return f"{told[0].event_id}.{person.pk}"
    keys = sorted(each.pk for each in told)
    return f"together.{keys[0]}.{keys[-1]}.{len(keys)}.{person.pk}"


# --- what became of it ----------------------------------------------------------------------------------------------


def _still(claim: str) -> QuerySet[Delivery]:
    """What this claim still holds and did not drop."""
    return Delivery.objects.filter(claim=claim, sent_at=None, dropped="")


def _again(claim: str, trouble: str, *, wait: int | None = None) -> None:
    """Try once more later, each row by how often it was tried; after the last attempt it is given up."""
    now = clock.now()
    for attempts in list(_still(claim).values_list("attempts", flat=True).distinct()):
        rows = _still(claim).filter(attempts=attempts)
        if attempts > len(AGAIN):
            _drop(rows, Dropped.GAVE_UP, trouble)
        else:
            later = timedelta(seconds=max(AGAIN[attempts - 1] if wait is None else wait, 1))
            rows.update(due_at=now + later, claim="", claimed_until=None, trouble=trouble)


def _drop(rows: QuerySet[Delivery], why: Dropped, trouble: str) -> None:
    rows.update(dropped=why, trouble=trouble, claim="", claimed_until=None)


def _named(error: BaseException) -> str:
    """What kind of error it was, and a server's code: never its words, in which addresses and secrets may stand."""
    code = getattr(error, "smtp_code", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__
