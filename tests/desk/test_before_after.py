"""Before and after, on the page of an intent: what stands at the target now, read by the page once it stands."""

import json
import re

import pytest

from audit.actors import Actor
from intents.cancelling import cancel
from intents.models import Intent
from reviews.decisions import decide
from tests.desk.test_every_page import state
from tests.desk.test_intent_page import page_of
from tests.desk.test_no_markup_of_agents import ATTEMPTS, read
from tests.factories import load_action_type, make_intent, make_user
from tests.targets import Target, serve

SECRET = "s3cr3t-t0ken"
HTMX = {"HX-Request": "true"}
FIELDS = """
      Name: {now: name}
      Status: {now: status, then: payload.status}
      E-mail: {now: contact.email, then: payload.email}
      Phone: {now: phone, then: "has(payload.phone) ? payload.phone : null"}
      VAT: {now: vat, then: payload.vat}
      Credit: {now: credit, then: payload.credit}
      Language: {now: language, then: payload.language}
      Sum: {now: sum, then: "payload.credit + 1"}
"""
ANSWER = b"""{"name": "Ada", "status": "active", "contact": {"email": "old@x.example"}, "phone": "1", "vat": null,
"credit": 5000, "sum": 1}"""
PAYLOAD = {"customer": "4711", "status": "active", "email": "new@x.example", "vat": "GB1", "credit": "5000"}


@pytest.fixture
def target():
    with serve(Target()) as running:
        running.say(200, ANSWER)
        yield running


@pytest.fixture
def propose(key, target):
    """An intent whose action type reads from the loopback target."""

    def propose(payload=None, *, fields: str = FIELDS, path: str = "customers/{payload.customer}", more: str = ""):
        load_action_type(
            f'name: crm.update\npresent:\n  before:\n    url: "http://127.0.0.1:{target.port}/{path}"\n'
            f"    allow_private: true\n{more}    fields: {fields}"
        )
        return make_intent(key, action="crm.update", payload=payload or PAYLOAD)

    return propose


def before_of(intent: Intent) -> str:
    return f"{page_of(intent)[:-7]}before/"


def rows(html: str) -> dict[str, list[str]]:
    """By the name of the field: now, then and the difference, as somebody reads them."""
    found = {}
    for row in re.findall(r"<tr[^>]*>\s*(<th scope=\"row\">.*?)</tr>", html, re.DOTALL):
        name, *cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        found[_words(name)] = [_words(cell) for cell in cells]
    return found


def _words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_each_field_is_shown_as_it_is_and_as_it_will_be_with_a_word_for_the_difference(signed_in, rita, propose):
    html = signed_in(rita).get(before_of(propose()), headers=HTMX).content.decode()

    assert rows(html) == {
        "Name": ["Ada", "only shown", ""],
        "Status": ["active", "active", "same"],
        "E-mail": ["old@x.example", "new@x.example", "changed"],
        "Phone": ["1", "nothing", "removed"],
        "VAT": ["nothing", "GB1", "new"],
        "Credit": ["5000", "5000", "changed a number becomes text"],
        "Language": ["nothing", "–", "not said"],
        "Sum": ["1", "–", rows(html)["Sum"][2]],
    }
    assert rows(html)["Sum"][2].startswith("unclear ")
    assert "Read just now from" in html and "/customers/4711" in html
    assert re.search(r'<time data-here datetime="[^"]*">\d\d:\d\d:\d\d UTC</time>', html)
    assert "It may change until the action runs" in html and "which no decision is bound to" in html
    assert "<html" not in html


def test_the_page_asks_nobody_and_loads_the_panel_afterwards(
    signed_in, rita, propose, target, django_assert_max_num_queries
):
    intent = propose()
    client = signed_in(rita)
    client.get(page_of(intent))

    with django_assert_max_num_queries(20):
        html = client.get(page_of(intent)).content.decode()

    assert f'hx-get="{before_of(intent)}"' in html and 'hx-trigger="load"' in html
    assert html.index("What will change") < html.index("Before and after") < html.index("How much, and where")
    assert "Reading what stands at the target now" in html and "Read again" in html
    assert f'data-digest="{intent.digest}"' in html
    # Neither the proposal nor the page went to the target.
    assert target.connections == 0


def test_one_look_is_one_request_and_few_statements(signed_in, rita, propose, target, django_assert_max_num_queries):
    intent = propose()
    client = signed_in(rita)
    with django_assert_max_num_queries(7):
        client.get(before_of(intent), headers=HTMX)
    assert [(request.method, request.target) for request in target.requests] == [("GET", "/customers/4711")]


def test_looking_changes_nothing_here(signed_in, rita, propose, target):
    intent = propose()
    client = signed_in(rita)
    before = state()
    for headers in (HTMX, {}):
        assert client.get(before_of(intent), headers=headers).status_code == 200
    assert len(target.requests) == 2
    assert state() == before


def test_it_stands_on_a_page_of_its_own_without_scripts(signed_in, rita, propose):
    html = signed_in(rita).get(before_of(propose())).content.decode()

    assert "<html" in html and "Approval desk" in html
    assert rows(html)["E-mail"] == ["old@x.example", "new@x.example", "changed"]
    assert 'hx-trigger="load"' not in html


def test_who_may_not_see_the_intent_asks_no_target(signed_in, client, propose, target):
    intent = propose()

    assert signed_in(make_user("stranger")).get(before_of(intent), headers=HTMX).status_code == 403
    assert client.get(before_of(intent), headers=HTMX).status_code == 302
    assert target.connections == 0


def test_who_may_see_it_and_not_decide_reads_it_too(signed_in, propose):
    html = signed_in(make_user("audrey", "auditors")).get(before_of(propose()), headers=HTMX).content.decode()
    assert "E-mail" in rows(html)


def test_only_a_get_reads(signed_in, rita, propose, target):
    assert signed_in(rita).post(before_of(propose())).status_code == 405
    assert target.connections == 0


def test_an_action_type_without_the_block_has_no_panel(signed_in, rita, key):
    load_action_type("name: crm.update\npresent: {title: Change}\n")
    client = signed_in(rita)
    for action in ("crm.update", "no.type"):
        intent = make_intent(key, action=action)
        assert "Before and after" not in client.get(page_of(intent)).content.decode()
        assert client.get(before_of(intent)).status_code == 404


def test_what_was_approved_and_has_not_run_can_still_be_compared(signed_in, rita, propose):
    intent = propose()
    decide(intent.pk, by=rita, vote="approve", digest=intent.digest)
    client = signed_in(rita)

    assert "Before and after" in client.get(page_of(intent)).content.decode()
    assert "E-mail" in rows(client.get(before_of(intent), headers=HTMX).content.decode())


@pytest.mark.parametrize("end", ["rejected", "cancelled"])
def test_afterwards_it_is_not_asked_any_more(signed_in, rita, propose, target, end):
    intent = propose()
    if end == "rejected":
        decide(intent.pk, by=rita, vote="reject", digest=intent.digest, rationale="No.")
    else:
        cancel(intent, by=Actor.system("test"), reason="No.")
    client = signed_in(rita)

    assert "Before and after" not in client.get(page_of(intent)).content.decode()
    assert "not what stood there before" in client.get(before_of(intent), headers=HTMX).content.decode()
    assert target.connections == 0


@pytest.mark.parametrize("altered", ["canonical", "action type"])
def test_what_was_altered_since_it_was_proposed_asks_no_target(signed_in, rita, propose, target, altered, monkeypatch):
    intent = propose()
    if altered == "canonical":
        Intent.objects.filter(pk=intent.pk).update(canonical=intent.canonical.replace("4711", "4712"))
    else:
        Intent.objects.filter(pk=intent.pk).update(action_type_digest="sha256:" + "0" * 64)

    html = signed_in(rita).get(before_of(intent), headers=HTMX).content.decode()

    assert "was altered since it was proposed" in html
    assert target.connections == 0


def test_a_target_that_fails_is_told_and_holds_nobody_up(signed_in, rita, propose, target):
    target.say(500)
    html = signed_in(rita).get(before_of(propose()), headers=HTMX).content.decode()
    assert "The target failed (500)." in html and "You can decide without it." in html
    assert "/customers/4711" in html and "<table" not in html


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        ("a?b=1", "/customers/a%3Fb%3D1"),
        ("a#b", "/customers/a%23b"),
        ("u@evil.example", "/customers/u%40evil.example"),
        ("\u202e名é", "/customers/%E2%80%AE%E5%90%8D%C3%A9"),
        ("../admin", None),
        ("..", None),
        ("a/../b", None),
        ("%2e%2e", None),
    ],
)
def test_what_an_agent_writes_never_bends_the_address(signed_in, rita, propose, target, value, asked):
    html = signed_in(rita).get(before_of(propose({**PAYLOAD, "customer": value})), headers=HTMX).content.decode()

    assert [request.target for request in target.requests] == ([asked] if asked else [])
    assert ("Read just now" in html) is (asked is not None)
    if asked is None:
        assert "You can decide without it" in html
    assert "\u202e" not in html


def test_nothing_that_a_target_or_an_agent_says_becomes_markup(signed_in, rita, propose, target):
    lines = [f"F{number}: {{now: '{number}', then: 'payload.said[{number}]'}}" for number in range(20)]
    fields = f"{{{', '.join(lines)}}}"
    client = signed_in(rita)
    seen = 0
    for start in range(0, len(ATTEMPTS), 20):
        some = ATTEMPTS[start : start + 20]
        # As a text, as a name of a member and within a list.
        target.say(200, json.dumps([[attempt, {attempt: attempt}] for attempt in some]).encode())
        html = client.get(before_of(propose({"customer": "1", "said": some[::-1]}, fields=fields))).content.decode()
        page = read(html)
        assert page.found == []
        seen += page.seen_as_text
    assert seen >= 3 * len(ATTEMPTS)


def test_hidden_characters_of_a_target_are_drawn(signed_in, rita, propose, target):
    target.say(200, '{"name": "Ada\u202egnp\u200b", "contact": {"email": "аda@x.example"}}'.encode())
    html = signed_in(rita).get(before_of(propose()), headers=HTMX).content.decode()
    assert "U+202E" in html and "U+200B" in html and "zhv-mixed" in html
    assert "\u202e" not in html and "\u200b" not in html


def test_a_long_answer_is_whole(signed_in, rita, propose, target):
    target.say(200, b'{"name": "' + b"n" * 60_000 + b'"}')
    assert "n" * 60_000 in signed_in(rita).get(before_of(propose()), headers=HTMX).content.decode()


def test_a_credential_is_on_no_page(signed_in, rita, propose, target, monkeypatch, caplog):
    monkeypatch.setenv("ZEHRAVA_CREDENTIAL_CRM", SECRET)
    monkeypatch.setenv("ZEHRAVA_CREDENTIAL_CRM_HOSTS", f"127.0.0.1:{target.port}")
    intent = propose(more="    credentials: crm\n")
    client = signed_in(rita)

    shown = client.get(before_of(intent)).content.decode()
    target.say(200, f'{{"name": "Bearer {SECRET}"}}'.encode())
    repeated = client.get(before_of(intent)).content.decode()

    assert target.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    assert "old@x.example" in shown and "repeats the credential" in repeated
    assert SECRET not in shown + repeated + caplog.text


def test_equal_numbers_and_equal_objects_are_the_same_however_they_are_written(signed_in, rita, propose, target):
    target.say(200, b'{"a": 1.0, "b": {"y": [1, 2], "x": true}, "c": "1", "d": 1, "e": ""}')
    fields = "{A: {now: a, then: payload.a}, B: {now: b, then: payload.b}, C: {now: c, then: payload.a},"
    fields += " D: {now: d, then: payload.d}, E: {now: e, then: payload.e}}"
    payload = {"customer": "1", "a": 1, "b": {"x": True, "y": [1, 2]}, "d": True, "e": ""}
    html = signed_in(rita).get(before_of(propose(payload, fields=fields)), headers=HTMX).content.decode()
    assert [rows(html)[name][2] for name in "ABCDE"] == [
        "same", "same", "changed text becomes a number", "changed a number becomes true or false", "same",
    ]  # fmt: skip
