"""Who may not view every intent is told of those that they have a say in, and of no others, by no way round."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.factories import load_policy, make_agent, make_intent, make_user


@pytest.fixture
def fred() -> User:
    return make_user("fred", "finance")


@pytest.fixture(autouse=True)
def _policies(db: None) -> None:
    load_policy(
        "name: ours\nmatch: {actions: ['fin.*']}\n"
        "rules: [{id: all, effect: require_approval, approval: {all_of: [{group: finance}]}}]\n"
    )
    load_policy(
        "name: theirs\nmatch: {actions: ['board.*']}\nrules:\n"
        "  - id: all\n    effect: require_approval\n"
        "    approval: {all_of: [{group: board-of-merger}], escalation: [{after: 1h, do: escalate, to: [board]}]}\n"
    )


@pytest.mark.parametrize("tab", ["mine", "groups", "soon", "escalated"])
@pytest.mark.parametrize("relation", ["owner", "principal"])
def test_what_they_have_no_say_in_is_on_no_tab_and_is_not_found(signed_in, fred, tab, relation):
    key = make_agent(owner=fred)[1] if relation == "owner" else None
    hidden = make_intent(
        key,
        action="fin.own",
        target="acct-OWNT",
        summary="SUMMARYWORD",
        expires_in="5m",
        **({"on_behalf_of": "Fred"} if relation == "principal" else {}),
    )
    shown = make_intent(action="fin.other", target="acct-SHOWN", summary="SUMMARYWORD", expires_in="5m")
    client = signed_in(fred)
    assert client.get(f"/admin/intents/intent/{hidden.pk}/change/").status_code == 403
    page = client.get(f"/admin/?tab={tab}&q=SUMMARYWORD").content.decode()
    assert "acct-OWNT" not in page and hidden.pk not in page
    if tab in ("mine", "groups", "soon"):
        assert shown.pk in page


def test_what_asks_others_changes_nothing_that_they_see(signed_in, fred):
    make_intent(action="fin.other")
    client = signed_in(fred)
    before, told = client.get("/admin/").content.decode(), client.get("/admin/follow/").json()
    make_intent(action="board.merge", payload={"amount": "77.00"})
    after = client.get("/admin/").content.decode()
    assert "board-of-merger" not in after and "tab=escalated" not in after
    assert client.get("/admin/follow/").json() == told
    assert ("tab=escalated" in before, "<option>board" in before) == (False, False)
    everybody = signed_in(make_user("vera", "reviewers")).get("/admin/").content.decode()
    assert "tab=escalated" in everybody


def test_what_comes_to_them_and_is_decided_moves_their_desk(signed_in, fred):
    client = signed_in(fred)
    seen = [client.get("/admin/follow/").json()["revision"]]
    make_intent(action="fin.other")
    seen.append(client.get("/admin/follow/").json()["revision"])
    assert len(set(seen)) == 2


def test_the_record_of_an_agent_counts_what_they_may_open(signed_in, fred):
    key = make_agent()[1]
    for number in range(3):
        make_intent(key, action="fin.pay", payload={"n": number})
    last = make_intent(key, action="fin.pay", payload={"n": 9})
    address = f"/admin/intents/intent/{last.pk}/change/"
    assert "This agent, this action" not in signed_in(fred).get(address).content.decode()
    assert "Last 3: 3 waiting for approval" in signed_in(make_user("vera", "reviewers")).get(address).content.decode()


def test_the_record_of_an_agent_is_of_what_came_before(signed_in):
    key = make_agent()[1]
    first = make_intent(key, action="fin.pay", payload={"n": 1})
    make_intent(key, action="fin.pay", payload={"n": 2})
    page = signed_in(make_user("vera", "reviewers")).get(f"/admin/intents/intent/{first.pk}/change/").content.decode()
    assert "This agent has never asked for this action before." in page


def test_a_page_says_where_too_few_people_are_left(signed_in):
    load_policy(
        "name: two\nmatch: {actions: [a.b]}\n"
        "rules: [{id: all, effect: require_approval, approval: {all_of: [{group: finance, count: 2}]}}]\n"
    )
    fiona = make_user("fiona", "finance")
    intent = make_intent(action="a.b")
    client = signed_in(fiona)
    address = f"/admin/intents/intent/{intent.pk}/change/"
    assert "nobody can meet this" in client.get(address).content.decode()
    make_user("flo", "finance")
    assert "nobody can meet this" not in client.get(address).content.decode()


def test_what_is_hidden_from_them_names_no_group_and_opens_no_tab(signed_in, fred):
    load_policy(
        "name: both\nmatch: {actions: ['both.*']}\nrules:\n"
        "  - id: all\n    effect: require_approval\n"
        "    approval: {all_of: [{group: finance}, {group: board-of-merger}],"
        " escalation: [{after: 1h, do: escalate, to: [board]}]}\n"
    )
    make_intent(action="fin.other")
    make_intent(action="both.x", on_behalf_of="fred")
    page = signed_in(fred).get("/admin/").content.decode()
    assert "board-of-merger" not in page and "tab=escalated" not in page
