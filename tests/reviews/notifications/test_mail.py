"""The mail itself: what it says, what an agent cannot make of it, and how mail programs are to take it."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as portal

from audit.actors import Actor
from audit.text import is_hidden
from intents import execution
from intents.models import Intent
from reviews import notes
from reviews.decisions import decide
from reviews.models import Delivery
from reviews.notifications.contents import LONGEST, SUBJECT_LONGEST
from tests.desk.test_no_markup_of_agents import ATTEMPTS, MARK
from tests.factories import in_force_as, load_action_type, load_policy, make_intent
from tests.reviews.notifications.conftest import pass_by, person, sent, wish

REFUND = """
name: stripe.refund
title: Refund a charge
derive: {value: "{'amount': payload.amount, 'currency': 'EUR'}"}
present: {title: "Refund {payload.amount} to {payload.customer}"}
"""
ASKS = (
    "name: money\nmatch: {actions: ['*']}\n"
    'rules: [{id: large, effect: require_approval, reason: "{payload.customer} gets {payload.amount}"}]\n'
)


def html_of(message) -> str:
    return next(content for content, kind in message.alternatives if kind == "text/html")


def on_the_wire(message) -> Any:
    """As another program reads it."""
    return message_from_bytes(message.message().as_bytes(), policy=policy.default)


def test_it_says_all_that_is_needed_to_know_and_links_to_the_page(key, rita):
    load_policy(ASKS)
    wish(rita, time_zone="Europe/Berlin")
    intent = make_intent(key, payload={"amount": "120.00", "customer": "ACME"}, target="customer-7", records=1200)

    [mail] = sent()

    link = f"http://127.0.0.1:8000/admin/intents/intent/{intent.pk}/change/"
    assert mail.subject.startswith("Waits for you · ") and "stripe.refund" in mail.subject
    for text in (mail.body, html_of(mail)):
        for said in (
            "stripe.refund", "billing", "customer-7", "claimed by the agent", "1,200 records", "money v1 › large",
            "ACME gets 120.00", "1 of reviewers", "Europe/Berlin", "then it expires and does not run", "risk", link,
            "http://127.0.0.1:8000/admin/notifications/",
        ):  # fmt: skip
            assert said in text, said
    assert [found for found in re.findall(r'href="([^"]*)"', html_of(mail))] == [
        link,
        "http://127.0.0.1:8000/admin/notifications/",
    ]
    assert not re.search(r"<(form|button|input|img|script|link|iframe)\b", html_of(mail))
    assert "url(" not in html_of(mail) and "@import" not in html_of(mail)


def test_an_outcome_says_who_said_what(key, rita, owner):
    intent = make_intent(key)
    sent()
    decide(intent.pk, by=rita, vote="reject", digest=intent.digest, ground="duplicate", rationale="Paid last week")

    [mail] = sent()

    assert mail.to == ["olivia@example.com"]
    assert mail.subject.startswith("Rejected: ")
    assert "rita rejected: Paid last week" in mail.body
    # She owns the agent, and may not see the page.
    assert "/admin/intents/" not in mail.body + html_of(mail)


def test_opening_the_link_decides_nothing(key, rita, client):
    intent = make_intent(key)
    [mail] = sent()
    client.force_login(rita)
    [link] = re.findall(r"http://127\.0\.0\.1:8000(/admin/intents/\S+)", mail.body)

    assert client.get(link).status_code == 200
    assert client.get(link + "?vote=approve").status_code == 200
    assert Intent.objects.get(pk=intent.pk).status == "pending_approval"


# --- headers --------------------------------------------------------------------------------------------------------


def test_mail_programs_see_a_thread_and_answer_nothing(key, rita, owner, settings):
    settings.BASE_URL = "https://gate.example.com"
    intent = make_intent(key)
    [ask] = sent()
    notes.comment(intent, by=owner, text="@rita please")
    pass_by(minutes=2)
    [mention] = sent()

    for mail in (ask, mention):
        headers = on_the_wire(mail)
        assert headers["Auto-Submitted"] == "auto-generated"
        assert headers["In-Reply-To"] == headers["References"] == f"<{intent.pk}@gate.example.com>"
        assert re.fullmatch(r"<evt_\w+\.\d+@gate\.example\.com>", headers["Message-ID"])
    assert on_the_wire(ask)["Message-ID"] != on_the_wire(mention)["Message-ID"]


def test_several_intents_are_no_thread(key, rita):
    for n in range(2):
        make_intent(key, payload={"n": n})
    [mail] = sent()

    assert on_the_wire(mail)["References"] is None
    assert on_the_wire(mail)["Message-ID"].startswith("<together.")


@pytest.mark.parametrize(
    "text",
    [
        "x\r\nBcc: evil@example.com",
        "x\nBcc: evil@example.com",
        "x\r\n\r\n<html>",
        "x\u2028Bcc: evil@example.com",
        "x\x0bBcc: y\x0c\x1c\x85z",
        "\u202etxt.exe",
        "a" * 5000,
        " " * 400 + "Approved",
        "=?utf-8?q?Bcc:_evil?=",
    ],
)
def test_no_text_becomes_a_header_or_a_line_of_ours(key, rita, text):
    load_action_type("name: a.b\npresent: {title: '{payload.n}'}\n")
    make_intent(key, action="a.b", payload={"n": text}, target=text[:1000])
    [mail] = sent()
    read = on_the_wire(mail)

    assert "\n" not in mail.subject and "\r" not in mail.subject
    assert len(mail.subject) <= SUBJECT_LONGEST
    assert not any(is_hidden(letter) for letter in mail.subject)
    assert str(read["Subject"]).strip() == mail.subject
    assert read["Bcc"] is None and read["To"] == "rita@example.com"
    assert set(read.keys()) <= {
        "Content-Type", "MIME-Version", "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted",
        "X-Auto-Response-Suppress", "In-Reply-To", "References",
    }  # fmt: skip
    body = mail.body
    assert not [line for line in body.splitlines() if line.startswith(("Bcc", "Approved", "<html>"))]
    assert not any(is_hidden(letter) for letter in body.replace("\n", ""))
    assert "     Approved" not in body + html_of(mail)


def test_what_is_too_long_is_cut_with_a_word_on_how_long_it_is(key, rita, owner):
    intent = make_intent(key)
    sent()
    notes.comment(intent, by=owner, text="@rita " + "b" * 4_000)
    pass_by(minutes=2)
    [mail] = sent()

    for text in (mail.body, html_of(mail)):
        assert "4,006 characters in all: the page shows them" in text
        assert "b" * (LONGEST - 6) in text and "b" * (LONGEST - 5) not in text


def test_an_address_of_an_agents_is_no_link(key, rita):
    make_intent(key, target="see https://evil.example/approve")
    [mail] = sent()

    for text in (mail.body, html_of(mail)):
        assert "https[://]evil.example/approve" in text and "https://evil" not in text


def test_an_address_that_makes_no_header_is_a_trouble_of_that_person_alone(key, rita):
    rolf = person("rolf", "reviewers")
    rita.email = "rita@example.com\nBcc: evil@example.com"
    rita.save()
    make_intent(key)

    assert [mail.to for mail in sent()] == [["rolf@example.com"]]
    assert Delivery.objects.get(person=rita).trouble == "It could not be sent: BadHeaderError."
    assert Delivery.objects.get(person=rolf).trouble == ""


# --- 300 attempts at markup -----------------------------------------------------------------------------------------


class Mail(HTMLParser):
    """Collects the elements and attributes of a mail, and where MARK stands other than as text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shape: list[tuple[str, tuple[str, ...]]] = []
        self.found: list[str] = []
        self.texts = 0
        self._raw = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._raw = tag if tag in ("script", "style") else ""
        # Chips and marks of ours are made of what stands in the text.
        if (tag, dict(attrs).get("class", "")) not in {("span", f"zhv-{each}") for each in ("chip", "mark", "mixed")}:
            self.shape.append((tag, tuple(sorted(name for name, _ in attrs))))
        self.found += [f"<{tag} {name}={value}>" for name, value in attrs if MARK in f"{name}{value}"]
        if MARK in tag:
            self.found.append(f"<{tag}>")

    def handle_endtag(self, tag: str) -> None:
        self._raw = ""

    def handle_data(self, data: str) -> None:
        if MARK in data:
            self.texts += 1
            if self._raw:
                self.found.append(f"in <{self._raw}>: {data[:60]}")

    def handle_comment(self, data: str) -> None:
        self.found.append(f"comment {data[:60]}")


def read(html: str) -> Mail:
    parser = Mail()
    parser.feed(html)
    parser.close()
    return parser


TOGETHER = 25


def everything_said(key: str, rita, owner, attempts: list[str], first: int) -> list[Any]:
    """The mails about intents in all of whose fields the attempts stand, from their proposal to their end."""
    intents = [
        make_intent(
            key,
            action="a.b",
            payload={"n": attempt, "unique": first + n, attempt: attempt, "customer": attempt, "amount": attempt},
            target=attempt,
            summary=attempt,
            context={attempt: attempt},
            tags=[attempt],
            on_behalf_of=attempt,
        )
        for n, attempt in enumerate(attempts)
    ]
    asked = sent()
    for intent, attempt in zip(intents, attempts, strict=True):
        question = notes.ask(intent, by=rita, text="Which?")
        notes.answer(intent, by=Actor.agent(intent.agent_id, "billing"), question_id=question.pk, text=attempt)
        notes.comment(intent, by=owner, text=f"@rita {attempt}")
    pass_by(minutes=2)
    answered = sent()
    for intent, attempt in zip(intents, attempts, strict=True):
        decide(intent.pk, by=rita, vote="approve", digest=intent.digest, rationale=f"{attempt} ok")
        execution.claim(intent.pk, agent=in_force_as(key))
    pass_by(minutes=2)
    return [*asked, *answered, *sent()]


@pytest.mark.timeout(400)
def test_of_three_hundred_attempts_none_becomes_part_of_a_mail(key, rita, owner):
    load_policy(ASKS)
    load_action_type(
        "name: a.b\ntitle: A kind of thing\nderive: {target: payload.n}\npresent: {title: 'Do {payload.n}'}\n"
    )
    plain = everything_said(key, rita, owner, [f"harmless-{n}" for n in range(TOGETHER)], -TOGETHER)
    expected = [read(html_of(mail)).shape for mail in plain]
    assert len(expected) == 3
    broken: dict[int, Any] = {}
    texts = 0
    for first in range(0, len(ATTEMPTS), TOGETHER):
        mails = everything_said(key, rita, owner, ATTEMPTS[first : first + TOGETHER], first)
        assert len(mails) == 3, first
        for mail, shape in zip(mails, expected, strict=True):
            parsed = read(html_of(mail))
            texts += parsed.texts
            if parsed.found or parsed.shape != shape:
                broken[first] = parsed.found[:3] or "another shape"
            whole = on_the_wire(mail)
            if MARK in " ".join(f"{name}: {value}" for name, value in whole.items()):
                broken[first] = "a header"
            body = whole.get_body(("plain",)).get_content()
            if [line for line in body.splitlines() if line.lstrip("> ").startswith(MARK)]:
                broken[first] = "a line of its own"

    assert broken == {}
    assert texts > 2_000


def test_the_parser_would_notice():
    for attempt in ATTEMPTS:
        page = read(f"<p>{attempt}</p><a href='{attempt}'>x</a><style>{attempt}</style>")
        assert page.found or page.shape != read("<p>x</p><a href='x'>x</a><style></style>").shape


def test_no_template_of_a_mail_marks_anything_safe():
    for template in (Path(portal.BASE_DIR) / "templates" / "email").iterdir():
        text = template.read_text()
        assert "|safe" not in text
        assert ("autoescape off" in text) == (template.suffix == ".txt")
