"""Sending: one mail with all that is due, what is moot left out, and a mail server that is down for a while."""

from __future__ import annotations

import smtplib
from typing import Any

import pytest
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction

from audit import clock
from audit.actors import Actor
from intents import lifecycle
from intents.models import Intent
from reviews import notes
from reviews.decisions import decide
from reviews.models import Delivery
from reviews.notifications import following, sending, turns
from tests.factories import load_policy, make_intent
from tests.reviews.notifications.conftest import pass_by, person, sent, told, wish


class Server(BaseEmailBackend):
    """A mail server that does as a test says."""

    down = False
    refuses: tuple[str, ...] = ()
    took: list[Any] = []
    opened = 0

    def open(self) -> bool:
        if self.down:
            raise ConnectionRefusedError("smtp://user:password@mail.example.com")
        type(self).opened += 1
        return True

    def send_messages(self, messages):
        for message in messages:
            if message.to[0] in self.refuses:
                raise smtplib.SMTPDataError(550, b"secret words of a server")
            self.took.append(message)
        return len(messages)


@pytest.fixture
def server(settings, monkeypatch) -> type[Server]:
    settings.EMAIL_BACKEND = f"{__name__}.Server"
    for name, value in (("down", False), ("refuses", ()), ("took", []), ("opened", 0)):
        monkeypatch.setattr(Server, name, value)
    return Server


# --- together -------------------------------------------------------------------------------------------------------


def test_all_that_is_due_for_one_person_is_one_mail(key, rita):
    rolf = person("rolf", "reviewers")
    made = [make_intent(key, payload={"n": n}) for n in range(3)]
    notes.comment(made[0], by=rolf, text="@rita look")

    mails = sent()

    assert {message.to[0] for message in mails} == {"rita@example.com", "rolf@example.com"}
    mail = next(message for message in mails if message.to == ["rita@example.com"])
    assert mail.subject == "Zehrava: 3 intents wait for you, 1 mention of you"
    assert all(mail.body.count(f"/admin/intents/intent/{intent.pk}/change/") >= 1 for intent in made)
    assert "rolf wrote:\n> @rita look" in mail.body
    assert sent() == []


def test_between_two_mails_to_one_person_there_is_a_pause(key, rita):
    make_intent(key, payload={"n": 1})
    assert len(sent()) == 1
    make_intent(key, payload={"n": 2})
    assert sent() == []
    pass_by(minutes=1)

    assert len(sent()) == 1


def test_a_digest_collects_and_high_risk_does_not_wait(key, rita):
    wish(rita, asks="hourly")
    for n in range(3):
        make_intent(key, payload={"n": n})
    assert sent() == []
    urgent = make_intent(key, payload={"n": 4})
    Intent.objects.filter(pk=urgent.pk).update(risk_level="critical")
    [alone] = sent()
    assert urgent.pk in alone.body and "critical risk" in alone.subject
    pass_by(hours=1)

    [digest] = sent()
    assert digest.subject == "Zehrava: 3 intents wait for you"


def test_one_intent_that_was_changed_stands_in_the_mail_once(key, rita):
    rolf = person("rolf", "reviewers")
    wish(rolf, asks="hourly")
    intent = make_intent(key)
    following.follow()
    changes = [{"op": "replace", "path": "/amount", "value": "9.00"}]
    decide(intent.pk, by=rita, vote="approve", digest=intent.digest, rationale="x", ground="other", changes=changes)
    following.follow()
    pass_by(hours=1)

    mails = [message for message in sent() if message.to == ["rolf@example.com"]]

    assert [mail.subject[:35] for mail in mails] == ["Changed by a reviewer, waits for you"[:35]]
    assert Delivery.objects.filter(person=rolf, sent_at__isnull=False).count() == 2


# --- moot -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("decided", "moot"),
        ("expired", "moot"),
        ("voted", "not_theirs"),
        ("left", "not_theirs"),
        ("deactivated", "not_theirs"),
        ("no address", "nowhere"),
        ("not wanted", "not_wanted"),
    ],
)
def test_what_is_not_needed_any_more_is_not_sent(key, rita, what, why):
    load_policy(
        "name: p\nmatch: {actions: ['*']}\nrules: [{id: all, effect: require_approval,"
        " approval: {all_of: [{group: reviewers, count: 2}]}}]\n"
    )
    intent = make_intent(key)
    assert told() == {("rita", "ask")}
    if what == "decided":
        with transaction.atomic():
            lifecycle.cancel(lifecycle.locked(intent.pk), by=Actor.system("x"))
    elif what == "expired":
        Intent.objects.filter(pk=intent.pk).update(created_at="2020-01-01T00:00Z", expires_at="2020-01-02T00:00Z")
    elif what == "voted":
        decide(intent.pk, by=rita, vote="approve", digest=intent.digest)
    elif what == "left":
        rita.groups.clear()
    elif what == "not wanted":
        wish(rita, asks="never")
    else:
        rita.is_active = what != "deactivated"
        rita.email = "" if what == "no address" else rita.email
        rita.save()

    assert [message for message in sent() if message.to == ["rita@example.com"]] == []
    row = Delivery.objects.get(person=rita, occasion="ask")
    assert (row.dropped, row.sent_at) == (why, None)


# --- a server that is down ------------------------------------------------------------------------------------------


def test_a_mail_server_that_is_down_holds_nothing_up_and_gets_all_of_it_later(key, rita, server):
    person("rolf", "reviewers")
    server.down = True
    intent = make_intent(key)
    assert turns.take_a_turn() == 0
    waiting = Delivery.objects.filter(sent_at=None, dropped="")
    assert waiting.count() == 2
    assert set(waiting.values_list("trouble", flat=True)) == {
        "",
        "The mail server takes no mail (ConnectionRefusedError).",
    }
    # Meanwhile it is not even asked, and people go on.
    server.down = False
    assert turns.take_a_turn() == 0 and server.opened == 0
    made = make_intent(key, payload={"n": 2})
    decide(made.pk, by=rita, vote="approve", digest=made.digest)
    pass_by(minutes=2)

    assert turns.take_a_turn() == 3
    assert server.opened == 1
    assert {message.to[0] for message in server.took} == {f"{n}@example.com" for n in ("rita", "rolf", "olivia")}
    assert sum(intent.pk in message.body for message in server.took) == 2
    assert not Delivery.objects.exclude(trouble="").exists()


def test_one_address_that_is_refused_keeps_no_other_from_its_mail(key, rita, server):
    person("rolf", "reviewers")
    server.refuses = ("rita@example.com",)
    make_intent(key)

    assert turns.take_a_turn() == 1
    assert [message.to for message in server.took] == [["rolf@example.com"]]
    row = Delivery.objects.get(person=rita)
    assert row.trouble == "It could not be sent: SMTPDataError 550."
    assert (row.due_at - clock.now()).total_seconds() == pytest.approx(60, abs=20)


def test_it_is_tried_ever_more_rarely_and_given_up(key, rita, server):
    server.refuses = ("rita@example.com",)
    make_intent(key)
    following.follow()
    waits = []
    for _ in range(len(sending.AGAIN) + 1):
        sending.send_due()
        row = Delivery.objects.get()
        if not row.dropped:
            waits.append(round((row.due_at - clock.now()).total_seconds() / 60))
        pass_by(hours=13)

    assert waits == [1, 5, 15, 60, 240, 720]
    assert (row.dropped, row.attempts) == ("gave_up", 7)
    assert "SMTPDataError" in row.trouble
    server.refuses = ()
    assert sending.send_due() == 0


def test_a_worker_that_dies_while_it_sends_gives_the_row_back(key, rita, server, monkeypatch):
    make_intent(key)
    following.follow()

    def killed(self, messages):
        raise SystemExit

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(server, "send_messages", killed)
        sending.send_due()
    assert sending.send_due() == 0
    pass_by(minutes=6)

    assert sending.send_due() == 1
    assert Delivery.objects.get().attempts == 2


def test_what_ends_every_process_that_sends_it_is_given_up(key, rita, server):
    make_intent(key)
    following.follow()
    Delivery.objects.update(attempts=7)

    assert sending.send_due() == 0
    assert Delivery.objects.get().dropped == "gave_up"


def test_a_run_ends_when_its_time_is_over(key, rita, server):
    person("rolf", "reviewers")
    make_intent(key)
    following.follow()

    assert sending.send_due(seconds=0) == 0
    assert sending.send_due() == 2
