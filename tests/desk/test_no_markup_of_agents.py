"""Three hundred attempts at markup in everything that an agent writes: on no page does one become part of it.

Every attempt holds MARK in the tag, the attribute or the script that it wants to bring in. A parser then finds the mark
in text alone, or in the few attributes that hold a value as it is.
"""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from audit.actors import Actor
from intents import execution
from intents.models import Intent
from reviews import notes
from reviews.decisions import decide
from tests.desk.test_every_page import addresses, filled
from tests.factories import in_force_as, load_action_type, load_policy, make_intent, make_user

MARK = "zhvx"
OPENERS = (
    "", '"', "'", "`", '">', "'>", "</script>", "</textarea>", "</title>", "</style>", "-->", "]]>", "<!--", "</bdi>",
    "</a>", "\u2028", "{{", "{%", "&lt;", "%3C",
)  # fmt: skip
VECTORS = (
    "<script>{m}</script>",
    "<img src=x onerror={m}(1)>",
    "<svg/onload={m}(1)>",
    "<svg><script href='{m}'></script></svg>",
    "<math><mi xlink:href='javascript:{m}'></math>",
    "<iframe srcdoc='{m}'></iframe>",
    "<a href='javascript:{m}'>here</a>",
    "<{m} onclick=alert(1)>",
    " onmouseover={m}(1) x=",
    "<style>@import '{m}';</style>",
    "<meta http-equiv=refresh content='0;{m}'>",
    "<form action='{m}'><input name='{m}'>",
    "<base href='//{m}/'>",
    "<template shadowrootmode=open><b id={m}></template>",
    "{{{{ '{m}'.constructor }}}}<b x-init={m} hx-get={m} @click={m}></b>",
)
ATTEMPTS = [
    opener + vector.format(m=f"{MARK}{number}")
    for number, (opener, vector) in enumerate(itertools.product(OPENERS, VECTORS))
]
# Attributes that hold a value as it is, and never run or load it.
HOLD = {"value", "title", "aria-label", "content", "alt", "placeholder"}
# An address of the portal itself, in which what was written is escaped.
OWN = re.compile(r"(/admin/|\?|#)[^\s\"'<>]*\Z")


class Page(HTMLParser):
    """Collects where MARK stands in a page other than as text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.seen_as_text = 0
        self._raw = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._raw = tag if tag in ("script", "style") else ""
        if MARK in tag:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if MARK in name:
                self.found.append(f"<{tag} {name}>")
            if MARK in (value or "") and name not in HOLD and not (name == "href" and OWN.match(value or "")):
                self.found.append(f"<{tag} {name}={value!r}>")

    def handle_endtag(self, tag: str) -> None:
        self._raw = ""

    def handle_data(self, data: str) -> None:
        if MARK in data:
            self.seen_as_text += 1
            if self._raw:
                self.found.append(f"in <{self._raw}>: {data[:80]!r}")

    def handle_comment(self, data: str) -> None:
        if MARK in data:
            self.found.append(f"comment {data[:80]!r}")


def read(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    return page


def test_the_parser_would_notice() -> None:
    """Each attempt, put into a page as it is, is found by the parser: in text, in an attribute, or in a script."""
    assert len(ATTEMPTS) == 300 and len(set(ATTEMPTS)) == 300
    places = (
        "<p>{}</p>",
        '<p title="{}">x</p>',
        "<textarea>{}</textarea>",
        "<script>var a = '{}'</script>",
        "<a id='{}'>x</a>",
    )
    for attempt in ATTEMPTS:
        assert any(read(f"<div>{place.format(attempt)}</div>").found for place in places), attempt


@pytest.fixture
def hostile(key: str, rita: Any, settings: Any) -> list[Intent]:
    """An intent for each attempt, which stands in every member that an agent may write."""
    # All of them wait at once.
    settings.ZEHRAVA_PENDING_PER_AGENT = 0
    load_policy(
        "name: some\nmatch: {actions: ['a.b']}\nrules:\n"
        '  - {id: all, when: payload.n != "", effect: require_approval, reason: "because of {payload.n}"}\n'
    )
    load_action_type(
        "name: a.b\ntitle: A kind of thing\nderive: {target: payload.n}\n"
        "present: {title: 'Do {payload.n}', fields: [{path: payload.n, label: N}, {path: payload.url, as: url},\n"
        "  {path: payload.n, as: sql}, {path: payload.n, as: diff}, {path: payload.to, as: email}]}\n"
    )
    made = []
    for number, attempt in enumerate(ATTEMPTS):
        payload = {
            "n": attempt,
            "url": attempt,
            "to": [attempt],
            attempt: [attempt, {attempt: attempt}],
            f"only {number}": 1,
        }
        members = {"summary": attempt, "context": {attempt: attempt}, "tags": [attempt], "on_behalf_of": attempt}
        made.append(make_intent(key, action="a.b", payload=payload, **members))
    for n in range(2):  # alike, and no action type: the action itself is all there is
        make_intent(key, action="c.d", payload={"n": ATTEMPTS[n]}, target=ATTEMPTS[n + 2])
    question = notes.ask(made[0], by=rita, text="Which?")
    notes.answer(
        made[0], by=Actor.agent(made[0].agent_id, "billing"), question_id=question.pk, text=" ".join(ATTEMPTS[::4])
    )
    return made


@pytest.mark.timeout(300)
def test_on_no_page_does_an_attempt_become_part_of_it(signed_in: Any, hostile: list[Intent], key: str) -> None:
    client = signed_in(make_user("root", "reviewers", is_superuser=True))
    first = hostile[0]
    # One runs and reports what its agent likes.
    ran = hostile[1]
    decide(ran.pk, by=make_user("yes", "reviewers"), vote="approve", digest=ran.digest, rationale=ATTEMPTS[5])
    attempt, _ = execution.claim(ran.pk, agent=in_force_as(key))
    alike = Intent.objects.filter(action="c.d").first()
    assert alike is not None
    pages = [filled(route) for route in addresses()]
    pages += [f"/admin/?page={n}" for n in range(1, 14)] + [f"/admin/intents/intent/?p={n}" for n in range(1, 13)]
    pages += [f"/admin/intents/intent/{intent.pk}/change/" for intent in hostile]
    pages += [f"/admin/intents/intent/{first.pk}/{door}/" for door in ("history", "raw", "edit", "edit/?as=json")]
    pages += [
        f"/admin/alike/{alike.alike}/",
        f"/admin/?q={MARK}7",
        f"/admin/?agent={ATTEMPTS[16]}",
        "/admin/?tab=groups",
    ]
    pages += [f"/admin/intents/intent/{ran.pk}/change/", f"/admin/intents/execution/{attempt.pk}/change/"]
    broken: dict[str, list[str]] = {}
    texts = 0

    def look(address: str, answer: Any) -> None:
        nonlocal texts
        if "html" not in answer.get("Content-Type", ""):
            return
        page = read(answer.content.decode())
        texts += page.seen_as_text
        if page.found:
            broken[address] = page.found[:3]

    for address in dict.fromkeys(pages):
        look(address, client.get(address, follow=True))
    client.post("/admin/desk-view/", {"view": "table"})
    look("the table", client.get("/admin/"))
    edit = f"/admin/intents/intent/{first.pk}/edit/"
    form = dict(re.findall(r'name="(value-\d+|digest)" value="([^"]*)"', client.get(edit).content.decode()))
    look("a change", client.post(edit, {**form, "mode": "fields", "step": "look", "value-1": ATTEMPTS[9]}))

    assert broken == {}
    assert texts > 3_000
