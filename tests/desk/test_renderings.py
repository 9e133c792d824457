"""Fields shown as what they are: nothing of a value is lost, and nothing in it becomes markup."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviews import presentation, renderings
from reviews.renderings import diff, recipients, sql, url
from tests.factories import load_action_type, make_intent
from zehrava.action_types import ActionType


def as_read(shown: str) -> str:
    """The text of the HTML, hidden characters and marks left out."""
    without = re.sub(r'<span class="zhv-(?:chip|mark)".*?</span>', "", shown)
    return html.unescape(re.sub(r"<[^>]*>", "", without))


def marked(shown: str, kind: str) -> list[str]:
    return [as_read(part) for part in re.findall(rf'<span class="{kind}">(.*?)</span>', shown)]


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=300))
def test_all_of_a_text_is_there_whatever_it_is_shown_as(value):
    assert as_read(sql(value)) == value
    assert as_read(diff(value)) == value


@pytest.mark.parametrize(
    "statement",
    [
        "delete from users",
        "SELECT 1; DROP TABLE users",
        "SELECT 1 /*! DELETE FROM users */",
        "SELECT 1 -- \\n DELETE FROM users",
        "SELECT 'a\\\\' ; UPDATE users SET x = ' '",
    ],
)
def test_what_changes_data_stands_out_wherever_it_stands(statement):
    assert marked(sql(statement), "is-change")


def test_what_only_reads_does_not():
    assert marked(sql("SELECT deleted, updated_at FROM users WHERE dropped = 'no'"), "is-change") == []


def test_a_diff_tells_added_from_taken_also_where_a_line_looks_like_a_heading():
    shown = diff("--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n--- old\n+++ new\n same\n-gone\n+<b>here</b>")

    assert marked(shown, "is-comment") == ["--- a/x", "+++ b/x", "@@ -1,2 +1,2 @@"]
    assert marked(shown, "is-taken") == ["--- old", "-gone"]
    assert marked(shown, "is-added") == ["+++ new", "+<b>here</b>"]


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://bank.example/login", "bank.example"),
        ("https://bank.example@evil.example/login", "evil.example"),
        ("https://bаnk.example/", "xn--bnk-6cd.example"),
        ("javascript:alert(1)", None),
        ("https://[::1", None),
        ("not an address", None),
    ],
)
def test_an_address_says_where_it_leads_and_is_no_link(address, host):
    shown = url(address)

    assert "<a" not in shown and as_read(shown).startswith(address)
    assert (f"leads to {host}" if host else "leads to no host") in as_read(shown)


def test_recipients_are_counted_by_domain_and_all_listed():
    shown = as_read(recipients([*(f"a{n}@one.example" for n in range(3)), "B <b@Two.example>"]))

    assert "4 recipients" in shown and "3 at one.example, 1 at two.example" in shown
    assert "a0@one.example, a1@one.example, a2@one.example, B <b@Two.example>" in shown


def test_the_page_of_an_intent_shows_each_as_what_it_is(signed_in, rita, key):
    load_action_type(
        "name: ops.do\npresent:\n  fields:\n"
        "    - {path: payload.q, as: sql}\n    - {path: payload.d, as: diff}\n    - {path: payload.u, as: url}\n"
        "    - {path: payload.to, as: email}\n"
    )
    payload = {"q": "DROP TABLE x", "d": "-a\n+b", "u": "https://x@y.example", "to": ["a@b.example", "c@b.example"]}
    intent = make_intent(key, action="ops.do", payload=payload)

    page = signed_in(rita).get(f"/admin/intents/intent/{intent.pk}/change/").content.decode()

    for part in (
        'class="is-sql zhv-code"',
        'class="is-diff zhv-code"',
        'class="is-change"',
        "2 recipients",
        "leads to",
    ):
        assert part in page


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("https://paypal.com@evil.example/x", "evil.example"),
        ("see https://user:secret@evil.example:8443/a?b=@c", "evil.example:8443"),
        ("[https://bank.example](https://evil.example)", "evil.example"),
        ("https:\\\\evil.example\\@bank.example", "evil.example"),
        ("<a href='http://evil.example'>x</a>", "evil.example"),
        ("HTTPS://EVIL.example", "EVIL.example"),
    ],
)
def test_of_an_address_the_host_that_it_leads_to_stands_out(written, host):
    shown = presentation.text(written)
    assert f'<b class="zhv-host" title="the host it leads to"><bdi>{host}</bdi></b>' in shown
    assert as_read(shown) == written


def test_a_disguised_host_is_marked_as_any_word_is():
    shown = presentation.text("https://p\u0430ypal.com/")
    assert 'class="zhv-host"' in shown and "zhv-mixed" in shown


def test_more_recipients_than_fit_are_counted_by_domain_all_the_same():
    action_type = ActionType.parse(
        "name: m.s\npresent: {title: x, fields: [{path: payload.to, label: To, as: email}]}\n"
    )
    [to] = renderings.fields(action_type, {"to": [f"c{n}@{'a' if n % 3 else 'b'}.example" for n in range(300)]})
    assert "300 recipients" in to.value and "200 at a.example" in to.value and "listed below" in to.value


def test_an_amount_is_shown_with_the_currency_that_stands_beside_it():
    action_type = ActionType.parse("name: m.s\npresent: {title: x, fields: [{path: payload.pay.amount, as: money}]}\n")
    for payload, shown in (
        ({"pay": {"amount": "12000", "currency": "JPY"}}, "12,000 JPY"),
        ({"pay": {"amount": "12000", "currency": "<b>"}}, "12,000"),
        ({"pay": {"amount": "12000"}, "currency": "EUR"}, "12,000"),
    ):
        [amount] = renderings.fields(action_type, payload)
        assert as_read(amount.value) == shown
