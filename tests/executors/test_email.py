"""The e-mail executor against a loopback SMTP server, and against Django's backend for tests."""

import email
import smtplib
import socket
from email import policy as email_policy

import pytest
from django.core import mail

from intents.executors import run

PAYLOAD = {"to": "ann@example.com", "subject": "Spring sale", "body": "Hello\nthere"}


@pytest.fixture(autouse=True)
def sender(settings):
    settings.DEFAULT_FROM_EMAIL = "Zehrava <gate@example.org>"


@pytest.fixture
def send(order):
    """Run the executor on PAYLOAD with these changes; settings of the action type go under `block`."""

    def send(*, seconds=10.0, block=None, attempt=1, **changes):
        payload = {name: value for name, value in (PAYLOAD | changes).items() if value is not None}
        return run("email", order(payload, attempt=attempt, **(block or {})), seconds)

    return send


def recipients_of(post):
    return [c.partition("<")[2].rstrip(">") for c in post.commands if c.lower().startswith("rcpt")]


# --- what leaves ---------------------------------------------------------------------------------------------------


def test_one_message_goes_to_everybody_and_bcc_stays_unseen(send, post):
    outcome = send(
        to=["ann@example.com", "bob@example.com"],
        cc="cc@example.com",
        bcc=["secret@example.com"],
        reply_to="desk@example.org",
        body="Grüße\r\n.\r\nnot the end\rnor here",
        subject="Zürich",
        attempt=2,
    )
    assert outcome.state == "succeeded"
    assert outcome.result == {
        "message_id": "<int_01hzz0000000000000000000ab.2@example.org>",
        "recipients": 4,
        "accepted": 4,
    }
    [text] = post.texts
    assert recipients_of(post) == ["ann@example.com", "bob@example.com", "cc@example.com", "secret@example.com"]
    assert any(c.lower().startswith("mail from:<gate@example.org>") for c in post.commands)
    assert b"secret@example.com" not in text
    message = email.message_from_bytes(
        text.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n."), policy=email_policy.SMTP
    )
    assert message["Message-ID"] == outcome.result["message_id"]
    assert message["X-Zehrava-Intent"] == "int_01hzz0000000000000000000ab"
    assert message["To"] == "ann@example.com, bob@example.com"
    assert message["Reply-To"] == "desk@example.org"
    assert message["Subject"] == "Zürich"
    assert message.get_content() == "Grüße\r\n.\r\nnot the end\r\nnor here\r\n"


def test_the_action_type_may_name_the_sender(send, post):
    outcome = send(block={"from": "sales@shop.example"})
    assert outcome.result["message_id"].endswith("@shop.example>")
    assert any(c.lower().startswith("mail from:<sales@shop.example>") for c in post.commands)


def test_any_other_backend_of_django_sends_too(send):
    outcome = send(cc=["cc@example.com"], body="Hello\r\nthere\rnow")
    [message] = mail.outbox
    assert outcome.state == "succeeded"
    assert outcome.result["recipients"] == outcome.result["accepted"] == 2
    assert message.to == ["ann@example.com"]
    assert message.cc == ["cc@example.com"]
    assert message.body == "Hello\nthere\nnow"
    assert message.from_email == "Zehrava <gate@example.org>"


# --- what is not sent ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"to": None},
        {"to": []},
        {"to": ""},
        {"to": 7},
        {"to": {"ann@example.com": 1}},
        {"to": ["ann@example.com", 7]},
        {"to": "ann"},
        {"to": "ann@"},
        {"to": "@example.com"},
        {"to": "ann@@example.com"},
        {"to": "ann@example..com"},
        {"to": "ann@-example.com"},
        {"to": "ann@example.com,evil@example.net"},
        {"to": "ann@example.com evil@example.net"},
        {"to": "Boss <evil@example.net>"},
        {"to": '"ann@example.com" <evil@example.net>'},
        {"to": '"ann"@example.com'},
        {"to": "ann@example.com\n"},
        {"to": "ann@example.com\r\nBcc: evil@example.net"},
        {"to": "ann@exa\u202emple.com"},
        {"to": "аnn@example.com"},
        {"to": "ann@[127.0.0.1]"},
        {"to": "a" * 250 + "@example.com"},
        {"to": ["ann@example.com", "ANN@example.com"]},
        {"to": "ann@example.com", "bcc": "ann@example.com"},
        {"cc": "ann@example.com\nBcc: evil@example.net"},
        {"bcc": ["evil"]},
        {"reply_to": "evil\r\nX: y"},
        {"subject": None},
        {"subject": 7},
        {"subject": "Sale\nBcc: evil@example.net"},
        {"subject": "Sale\r\n\r\nbody"},
        {"subject": "Sale\u2028"},
        {"body": None},
        {"body": ["Hello"]},
        {"html": "<b>Hello</b>"},
        {"from": "boss@example.org"},
        {"attachments": []},
    ],
)
def test_a_payload_that_cannot_be_sent_as_approved_is_not_sent(send, post, changes):
    outcome = send(**changes)
    assert outcome.state == "failed"
    assert outcome.result["error"]
    assert post.commands == []


@pytest.mark.parametrize("payload", [[], "ann@example.com", False, 7])
def test_a_payload_that_is_no_object_is_not_sent(order, post, payload):
    assert run("email", order(payload), 5).state == "failed"
    assert post.commands == []


def test_the_path_of_what_is_wrong_is_told(send):
    assert send(cc=["ok@example.com", "nobody"]).result["path"] == "/cc/1"
    assert send(to="nobody").result["path"] == "/to"
    assert send(**{"a/b": 1}).result["path"] == "/a~1b"


def test_ten_thousand_recipients_are_the_most(send):
    many = [f"r{index}@example.com" for index in range(10_001)]
    assert send(to=many).state == "failed"
    assert mail.outbox == []
    assert send(to=many[1:]).result["accepted"] == 10_000


@pytest.mark.parametrize("field", ["to", "cc", "bcc"])
def test_nobody_outside_the_allowed_domains_is_written_to(send, field):
    block = {"allowed_domains": ["example.com"]}
    for address in ("x@evil.example", "x@sub.example.com", "x@example.com.evil.example", "x@notexample.com"):
        outcome = send(block=block, **{field: [address]})
        assert outcome.state == "failed"
    assert mail.outbox == []
    assert send(block=block, **{field: ["x@EXAMPLE.com"]}).state == "succeeded"


@pytest.mark.parametrize("allowed", [[], "example.com", {"example.com": 1}, [7]])
def test_domains_that_allow_nobody_allow_nobody(send, allowed):
    assert send(block={"allowed_domains": allowed}).state == "failed"
    assert mail.outbox == []


@pytest.mark.parametrize("sender", ["nobody", "a@b.example\r\nBcc: evil@example.net", 7])
def test_a_sender_that_is_no_address_sends_nothing(send, sender):
    assert send(block={"from": sender}).state == "failed"
    assert mail.outbox == []


# --- what the mail server says -------------------------------------------------------------------------------------


def test_no_mail_server_is_a_failure(send, post, settings):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = unused.getsockname()[1]
        assert send().state == "failed"


@pytest.mark.parametrize(
    "replies",
    [
        {"GREETING": "554 go away"},
        {"GREETING": None},
        {"EHLO": "502 no", "HELO": "502 no"},
        {"EHLO": None},
        {"MAIL": "550 not you"},
        {"MAIL": "451 later"},
        {"MAIL": None},
        {"RCPT": "550 nobody"},
        {"RCPT": "450 later"},
        {"RCPT": "421 bye"},
        {"RCPT": None},
        {"DATA": "554 no"},
        {"DATA": "451 later"},
    ],
)
def test_what_is_refused_before_the_text_is_a_failure(send, post, replies):
    post.replies = replies
    outcome = send()
    assert outcome.state == "failed"
    assert "nothing was sent" in outcome.result["error"]
    assert post.texts == []


def test_a_text_that_is_refused_for_good_is_a_failure(send, post):
    post.replies = {"TEXT": "554 5.7.1 spam"}
    outcome = send()
    assert outcome.state == "failed"
    assert outcome.result["accepted"] == 0


@pytest.mark.parametrize(
    "replies", [{"TEXT": "451 try again"}, {"TEXT": None}, {"TEXT": "gibberish"}, {"TEXT": "354 more"}, {"DATA": None}]
)
def test_what_breaks_once_the_text_is_going_out_is_not_known(send, post, replies):
    post.replies = replies
    outcome = send()
    assert outcome.state == "indeterminate"
    assert outcome.result["message_id"]


@pytest.mark.timeout(20)
def test_a_mail_server_that_never_answers_the_text_is_left_when_the_time_is_up(send, post):
    post.slow = {"TEXT": 15}
    assert send(seconds=0.5).state == "indeterminate"


@pytest.mark.timeout(20)
def test_recipients_that_take_too_long_end_before_the_text(send, post):
    post.slow = {"RCPT": 0.1}
    outcome = send(seconds=0.5, to=[f"r{index}@example.com" for index in range(100)])
    assert outcome.state == "failed"
    assert post.texts == []
    assert len(recipients_of(post)) < 100


def test_recipients_that_were_refused_are_listed_and_the_outcome_is_not_known(send, post):
    post.replies = {"RCPT TO:<bob@": "550 no such user"}
    outcome = send(to=["ann@example.com", "bob@example.com", "eve@example.com"])
    assert outcome.state == "indeterminate"
    assert outcome.result["recipients"] == 3
    assert outcome.result["accepted"] == 2
    assert outcome.result["refused"] == [{"address": "bob@example.com", "code": 550}]
    assert len(post.texts) == 1


def test_when_everybody_is_refused_they_are_listed_and_nothing_is_sent(send, post):
    post.replies = {"RCPT": "550 no such user"}
    outcome = send(to=["ann@example.com", "bob@example.com"])
    assert outcome.state == "failed"
    assert outcome.result["accepted"] == 0
    assert [entry["address"] for entry in outcome.result["refused"]] == ["ann@example.com", "bob@example.com"]


def test_an_accepted_message_stays_accepted_when_the_good_bye_fails(send, post):
    post.replies = {"QUIT": "500 what"}
    assert send().state == "succeeded"


@pytest.mark.parametrize("answer", [0, None, 2])
def test_a_backend_that_does_not_say_that_it_sent_is_not_believed(send, monkeypatch, answer):
    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", lambda *_: answer)
    assert send().state == "indeterminate"


def test_a_backend_that_breaks_is_not_known(send, monkeypatch):
    def broken(*_):
        raise smtplib.SMTPServerDisconnected("gone")

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", broken)
    assert send().state == "indeterminate"


def test_mail_settings_that_cannot_be_used_send_nothing(send, settings):
    settings.EMAIL_BACKEND = "no.such.Backend"
    assert send().state == "failed"
