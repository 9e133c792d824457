"""Changing a payload on the desk: nothing is stored before the second look, and what is approved is what was shown."""

import json
import re

import pytest
from django.urls import reverse

from audit.models import Event
from intents import amending, sweeping
from intents.models import Amendment, Intent, Status
from reviews import editing
from reviews.models import Decision
from tests.factories import load_action_type, load_policy, make_agent, make_intent, make_user, time_passes
from zehrava import canonical
from zehrava.problems import Problem

REFUND = """
name: stripe.refund
schema:
  type: object
  required: [amount]
  properties: {amount: {type: string, pattern: '^[0-9]+([.][0-9]+)?$'}}
narrower: {payload.amount: less, payload.to: fewer}
present: {title: "Refund {payload.amount}"}
"""
ASKS = "name: refunds\nmatch: {actions: ['*']}\nrules: [{id: all, effect: require_approval}]\n"
PAYLOAD = {"amount": "100.00", "to": ["ann", "bob", "cy"], "deep": {"on": True, "n": 3, "none": None}, "note": "a\nb"}


@pytest.fixture(autouse=True)
def _rules():
    load_action_type(REFUND)
    load_policy(ASKS)


@pytest.fixture
def intent(key):
    return make_intent(key, payload=PAYLOAD)


def edit_of(intent: Intent) -> str:
    return reverse("admin:intents_intent_edit", args=[intent.pk])


def form_of(response) -> dict[str, str]:
    """What a browser would send back from this page if nobody typed: hidden fields, inputs, areas, choices."""
    import html as markup

    html = response.content.decode()
    form = html[html.index('class="zhv-edit"') :]
    found = {}
    for tag in re.findall(r"<input [^>]*>", form):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if attributes.get("type") != "checkbox" and "name" in attributes:
            found[attributes["name"]] = markup.unescape(attributes.get("value", ""))
    for name, value in re.findall(r'<textarea [^>]*name="([^"]*)"[^>]*>\n?(.*?)</textarea>', form, re.S):
        # As every browser does.
        found[name] = markup.unescape(value).replace("\n", "\r\n")
    for name, chosen in re.findall(r'<select [^>]*name="([^"]*)".*?<option selected>(\w+)', form, re.S):
        found[name] = chosen
    return found


def field_of(page, label: str) -> str:
    return re.search(rf'<label for="([\w-]+)"><bdi>{re.escape(label)}</bdi>', page.content.decode())[1]


def stored() -> tuple[int, int, int]:
    return Amendment.objects.count(), Decision.objects.count(), Event.objects.count()


def test_a_lower_amount_is_typed_looked_at_and_approved(signed_in, rita, intent):
    client = signed_in(rita)
    page = client.get(edit_of(intent))
    before = stored()
    form = form_of(page)
    form[field_of(page, "amount")] = "40.00"

    looked = client.post(edit_of(intent), {**form, "step": "look"})
    html = looked.content.decode()
    assert looked.status_code == 200
    assert stored() == before
    for words in ("100.00", "40.00", "Refund 40.00", "stays within", "Approve with changes"):
        assert words in html
    form = form_of(looked)
    assert json.loads(form["changes"]) == [{"op": "replace", "path": "/amount", "value": "40.00"}]

    answer = client.post(
        edit_of(intent), {**form, "step": "approve", "ground": "wrong_amount", "rationale": "less will do"}
    )
    assert answer.status_code == 302
    intent = Intent.objects.get(pk=intent.pk)
    assert intent.status == Status.APPROVED
    assert intent.payload == {**PAYLOAD, "amount": "40.00"}
    shown = client.get(reverse("admin:intents_intent_change", args=[intent.pk])).content.decode()
    assert "Changed from what the agent proposed" in shown
    assert "Approved with changes" in shown


@pytest.mark.parametrize(("typed", "stored_one"), [("", False), ("100.00 EUR", False), ("7 EUR", True), ("7.00", True)])
def test_at_high_risk_the_changed_amount_is_typed_back(signed_in, rita, key, typed, stored_one):
    load_action_type(
        REFUND.replace("narrower:", "derive: {value: {amount: payload.amount, currency: '\"EUR\"'}}\nnarrower:")
    )
    grave = make_intent(key, payload={**PAYLOAD, "amount": "90000.00"})
    assert grave.risk_level in ("high", "critical")
    client = signed_in(rita)
    form = form_of(client.get(edit_of(grave)))
    form[field_of(client.get(edit_of(grave)), "amount")] = "7.00"

    looked = client.post(edit_of(grave), {**form, "step": "look"})
    assert "To approve, type the amount: <b>7.00 EUR</b>" in looked.content.decode()
    said = {"rationale": "too much", "ground": "wrong_amount", "typed": typed, "step": "approve"}
    answer = client.post(edit_of(grave), {**form_of(looked), **said})

    assert Decision.objects.exists() is stored_one
    assert answer.status_code == (302 if stored_one else 422)
    if not stored_one:
        page = answer.content.decode()
        assert "Type the amount: 7.00 EUR" in page and "too much</textarea>" in page


def test_what_was_not_touched_stays_byte_for_byte(signed_in, rita, key):
    payload = {"a": "x\r\ny", "b": "z\u202e", "c": 1.5, "d": "\n\nlines\n", "e": "", "f": [], "g": {}, "h": " " * 40}
    intent = make_intent(key, action="some.thing", payload=payload)
    client = signed_in(rita)
    for mode in ("fields", "json"):
        form = form_of(client.get(f"{edit_of(intent)}?as={mode}"))
        answer = client.post(edit_of(intent), {**form, "step": "look"})
        assert answer.status_code == 422
        assert "Nothing was changed yet" in answer.content.decode()


def test_an_item_is_left_out_by_its_box(signed_in, rita, intent):
    client = signed_in(rita)
    form = form_of(client.get(edit_of(intent)))
    number = field_of(client.get(edit_of(intent)), "to › 2").removeprefix("value-")
    looked = client.post(edit_of(intent), {**form, f"without-{number}": "on", "step": "look"})
    client.post(
        edit_of(intent),
        {
            **form_of(looked),
            f"without-{number}": "on",
            "step": "approve",
            "ground": "wrong_amount",
            "rationale": "not bob",
        },
    )
    intent = Intent.objects.get(pk=intent.pk)
    assert intent.payload["to"] == ["ann", "cy"]
    assert intent.status == Status.APPROVED


def test_a_widening_change_says_so_before_and_after(signed_in, rita, intent):
    other = make_user("other", "reviewers")
    client = signed_in(rita)
    page = client.get(edit_of(intent))
    form = {**form_of(page), field_of(page, "amount"): "500.00"}
    looked = client.post(edit_of(intent), {**form, "step": "look"})
    assert "may reach further" in looked.content.decode()
    client.post(
        edit_of(intent), {**form_of(looked), "step": "approve", "ground": "wrong_amount", "rationale": "with the fee"}
    )
    intent = Intent.objects.get(pk=intent.pk)
    assert (intent.status, intent.payload["amount"]) == (Status.PENDING_APPROVAL, "500.00")
    shown = signed_in(other).get(reverse("admin:intents_intent_change", args=[intent.pk])).content.decode()
    assert "It may reach further than the agent asked" in shown
    assert 'value="approve"' in shown
    own = client.get(reverse("admin:intents_intent_change", args=[intent.pk])).content.decode()
    assert 'value="approve"' not in own


def test_the_look_at_a_change_says_who_may_stand_in_since_a_step(signed_in, rita, key):
    load_policy(
        ASKS.replace(
            "effect: require_approval",
            "effect: require_approval,"
            " approval: {all_of: [{group: reviewers}], escalation: [{after: 1h, do: widen, to: [managers]}]}",
        )
    )
    intent = time_passes(make_intent(key, payload=PAYLOAD), hours=2)
    sweeping.sweep()
    client = signed_in(rita)
    page = client.get(edit_of(intent))
    looked = client.post(edit_of(intent), {**form_of(page), field_of(page, "amount"): "50.00", "step": "look"})
    assert "1 of reviewers; managers may stand in" in looked.content.decode()


def test_what_was_typed_after_the_look_is_not_approved_unseen(signed_in, rita, intent):
    client = signed_in(rita)
    page = client.get(edit_of(intent))
    amount = field_of(page, "amount")
    looked = client.post(edit_of(intent), {**form_of(page), amount: "40.00", "step": "look"})
    answer = client.post(
        edit_of(intent),
        {**form_of(looked), amount: "90.00", "step": "approve", "ground": "wrong_amount", "rationale": "less will do"},
    )
    assert answer.status_code == 422
    assert "You changed more since you looked" in answer.content.decode()
    assert not Amendment.objects.exists()
    # The page now shows what was typed last, and that can be approved.
    assert json.loads(form_of(answer)["changes"])[0]["value"] == "90.00"


def test_without_a_reason_nothing_is_stored_and_nothing_typed_is_lost(signed_in, rita, intent):
    client = signed_in(rita)
    page = client.get(edit_of(intent))
    looked = client.post(edit_of(intent), {**form_of(page), field_of(page, "amount"): "40.00", "step": "look"})
    answer = client.post(
        edit_of(intent), {**form_of(looked), "step": "approve", "ground": "wrong_amount", "rationale": " "}
    )
    assert answer.status_code == 422
    assert "Say why you change it" in answer.content.decode()
    assert form_of(answer)["value-0"] == "40.00"
    assert not Amendment.objects.exists()


def test_a_change_of_what_moved_meanwhile_is_refused(signed_in, rita, intent):
    client, other = signed_in(rita), signed_in(make_user("other", "reviewers"))

    def looked_at(browser, amount):
        page = browser.get(edit_of(intent))
        return form_of(
            browser.post(edit_of(intent), {**form_of(page), field_of(page, "amount"): amount, "step": "look"})
        )

    mine, theirs = looked_at(client, "40.00"), looked_at(other, "500.00")
    other.post(edit_of(intent), {**theirs, "step": "approve", "ground": "wrong_amount", "rationale": "with the fee"})
    answer = client.post(edit_of(intent), {**mine, "step": "approve", "ground": "wrong_amount", "rationale": "less"})
    assert answer.status_code == 409
    assert "What you were shown is not what would run now" in answer.content.decode()
    assert Intent.objects.get(pk=intent.pk).payload["amount"] == "500.00"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"mode": "json", "payload": '{"amount": "1",\n "amount": "2"}'}, "stands"),
        ({"mode": "json", "payload": '{"amount":\n "1",}'}, "line 2"),
        ({"mode": "json", "payload": "NaN"}, "NaN"),
        ({"mode": "json", "payload": '{"amount": "ten"}'}, "refused"),
        ({"mode": "json", "payload": ""}, "JSON"),
        ({"value-0": "ten"}, "refused"),
    ],
)
def test_what_cannot_be_carried_out_is_told_and_kept(signed_in, rita, intent, typed, told):
    client = signed_in(rita)
    form = {**form_of(client.get(edit_of(intent))), **typed, "step": "look"}
    answer = client.post(edit_of(intent), form)
    html = answer.content.decode()
    assert answer.status_code == 422, html
    assert told in html
    if "payload" in typed:
        assert form_of(answer)["payload"] == typed["payload"].replace("\n", "\r\n")
    assert not Amendment.objects.exists()


@pytest.mark.parametrize(
    ("typed", "told"), [("x", "no JSON"), ("true", "a number"), ('"3"', "a number"), ("1e999", "")]
)
def test_a_number_stays_a_number(typed, told):
    with pytest.raises(Problem, match=told):
        editing.changed_by_fields({"n": 3}, {"value-0": typed})


def test_a_truth_stays_a_truth():
    assert editing.changed_by_fields({"on": True}, {"value-0": "false"}) == {"on": False}
    with pytest.raises(Problem):
        editing.changed_by_fields({"on": True}, {"value-0": "0"})


def test_who_may_not_decide_gets_no_form(signed_in, owner, intent):
    for person in (owner, make_user("fin", "finance", "auditors")):
        assert signed_in(person).get(edit_of(intent)).status_code in (302, 403)
        form = {
            "step": "approve",
            "mode": "json",
            "payload": "{}",
            "changes": "[]",
            "digest": intent.digest,
            "ground": "other",
            "rationale": "x",
        }
        assert signed_in(person).post(edit_of(intent), form).status_code in (302, 403)
    assert not Amendment.objects.exists()


def test_a_forged_patch_in_the_form_changes_nothing_else(signed_in, rita, intent):
    """The hidden patch is what is stored: what the page showed and what it says have to be one thing."""
    client = signed_in(rita)
    page = client.get(edit_of(intent))
    looked = client.post(edit_of(intent), {**form_of(page), field_of(page, "amount"): "40.00", "step": "look"})
    forged = json.dumps([{"op": "replace", "path": "/amount", "value": "1.00"}])
    answer = client.post(
        edit_of(intent),
        {
            **form_of(looked),
            "changes": forged,
            "step": "approve",
            "ground": "wrong_amount",
            "rationale": "less will do",
        },
    )
    assert answer.status_code == 422
    assert not Amendment.objects.exists()


def test_hostile_text_is_drawn_and_never_put_into_a_field_where_it_cannot_be_seen(signed_in, rita, key):
    hostile = 'a\u202e</textarea><script>alert(1)</script>"><img src=x onerror=alert(1)>'
    intent = make_intent(key, action="some.thing", payload={hostile: hostile, "plain": '"><script>alert(2)</script>'})
    client = signed_in(rita)
    for mode in ("fields", "json"):
        html = client.get(f"{edit_of(intent)}?as={mode}").content.decode()
        form = html[html.index('class="zhv-edit"') :]
        assert "<script>alert" not in form and "<img src=x" not in form
        assert "\u202e" not in form
    assert "\\u202e" in form
    page = client.get(edit_of(intent))
    looked = client.post(edit_of(intent), {**form_of(page), field_of(page, "plain"): "<b>\u202e</b>", "step": "look"})
    html = looked.content.decode()
    shown = html[html.index("What you change") : html.index("Go on changing")]
    assert "U+202E" in shown and "<b>\u202e" not in shown


@pytest.mark.parametrize(
    ("before", "after", "differing"),
    [
        ({"a": 1}, {"a": 2}, [("a", "1", "2")]),
        ({"a": 1}, {"b": 1}, [("a", "1", None), ("b", None, "1")]),
        ([1, 2, 3], [1, 3], [("2", "2", None)]),
        ({"l": ["x", "y"]}, {"l": ["x", "z"]}, [("l › 2", "y", "z")]),
        ({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 2}]}}, [("a › b › 1 › c", "1", "2")]),
        (True, 1, [("(value)", "true", "1")]),
        ({"": "x"}, {"": ""}, [("(empty name)", "x", "empty text")]),
    ],
)
def test_differences_name_the_place_and_both_sides(before, after, differing):
    def plain(html):
        return None if html is None else re.sub("<[^>]*>", "", html)

    found = [(plain(each.place), plain(each.before), plain(each.after)) for each in editing.differences(before, after)]
    assert found == differing


def test_long_lists_are_compared_without_taking_their_product():
    before = [f"item {number}" for number in range(20_000)]
    after = [*before[:10_000], "one more", *before[10_000:]]
    found = editing.differences(before, after)
    assert len(found) == 1 and found[0].before is None


def test_large_payloads_are_changed_as_json(signed_in, rita, key):
    intent = make_intent(key, action="some.thing", payload={f"k{number}": number for number in range(200)})
    html = signed_in(rita).get(edit_of(intent)).content.decode()
    assert 'name="payload"' in html and "value-0" not in html


def test_what_the_json_editor_shows_reads_back_as_the_same_bytes():
    payload = {"a\u202e": "\u200b\ufeff\U000e0041 x\n\ty\u0000"[:-1], "é": "ü 漢 😀", "n": 1.5}
    assert canonical.dumps(editing.read_json(editing.as_json(payload))) == canonical.dumps(payload)


def test_opening_the_page_costs_few_statements(signed_in, rita, intent, django_assert_max_num_queries):
    client = signed_in(rita)
    client.get(edit_of(intent))
    with django_assert_max_num_queries(20):
        client.get(edit_of(intent))


def test_an_agent_never_reaches_it(client, key):
    intent = make_intent(make_agent()[1])
    answer = client.post(edit_of(intent), {"step": "approve"}, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code in (302, 403)
    assert not Amendment.objects.exists()


def test_a_change_that_would_mean_something_else_by_now_is_refused_and_undone(signed_in, rita, intent):
    client = signed_in(rita)
    form = form_of(client.get(edit_of(intent)))
    form[field_of(client.get(edit_of(intent)), "amount")] = "90.00"
    looked = client.post(edit_of(intent), {**form, "step": "look"})
    before = stored()
    load_policy(
        ASKS.replace("id: all", "id: anew").replace(
            "effect: require_approval", "effect: require_approval, approval: {all_of: [{group: reviewers, count: 2}]}"
        )
    )

    said = {"rationale": "too much", "ground": "wrong_amount", "step": "approve"}
    answer = client.post(edit_of(intent), {**form_of(looked), **said})

    assert answer.status_code == 409 and "has moved since you looked" in answer.content.decode()
    assert stored()[:2] == before[:2]
    intent.refresh_from_db()
    assert (intent.amendments, intent.status) == (0, "pending_approval")


def test_a_patch_that_python_takes_for_the_one_that_was_shown_is_another(signed_in, rita, intent):
    client = signed_in(rita)
    form = form_of(client.get(edit_of(intent)))
    form[field_of(client.get(edit_of(intent)), "deep › n")] = "1"
    looked = form_of(client.post(edit_of(intent), {**form, "step": "look"}))
    looked["changes"] = looked["changes"].replace('"value": 1', '"value": true')
    answer = client.post(edit_of(intent), {**looked, "rationale": "x", "ground": "other", "step": "approve"})
    assert answer.status_code == 422 and not Decision.objects.exists()


def test_more_changed_members_than_a_patch_has_operations_are_all_changed():
    """The whole is replaced then: a patch that leaves some of them out would be of another payload."""
    names = [f"m{number:04}" for number in range(amending.MOST_OPERATIONS + 1)]
    payload, changed = dict.fromkeys(names, 1), dict.fromkeys(names, 2)
    assert amending.patched(payload, amending.patch_between(payload, changed)) == changed
    payload, changed = dict.fromkeys(names[:999], 1), {f"other {name}": 1 for name in names[:999]}
    assert amending.patched(payload, amending.patch_between(payload, changed)) == changed


def test_a_long_list_is_changed_and_shown_in_little_time():
    """Were the cost the product of the lengths, or worse, this would not end within the time that a test has."""
    names = [f"x{number}" for number in range(3_000)]
    payload, changed = {"a": names, "b": 1}, {"a": [each for each in names for _ in range(2)], "b": 1}
    patch = amending.patch_between(payload, changed)
    assert [operation["path"] for operation in patch] == ["/a"]
    assert amending.patched(payload, patch) == changed
    backwards = [{"n": number} for number in range(3_000, 0, -1)]
    assert amending.patched({"a": names}, amending.patch_between({"a": names}, {"a": backwards})) == {"a": backwards}
    thousand = {"a": names[:1_000]}, {"a": [each for each in names[:500] for _ in range(2)]}
    assert editing.differences(*thousand)
    objects = [{"v": number, "w": [1] * 50} for number in range(3_000)]
    turned = {"a": [{"v": each["v"] + 1, "w": [2] * 50} for each in reversed(objects)], "b": 1}
    (one,) = editing.differences({"a": objects, "b": 1}, turned)
    assert one.place == "<bdi>a</bdi>" and "3,000 items" in one.before


def test_what_policy_says_of_a_change_is_drawn(signed_in, rita, key):
    load_policy(
        "name: odd\nmatch: {actions: ['stripe.refund']}\n"
        "rules: [{id: zero, when: payload.amount == '0', effect: block, reason: 'zero for {payload.who}'}]\n"
    )
    odd = make_intent(key, payload={"amount": "5", "who": "a\u202eb"})
    client = signed_in(rita)
    form = form_of(client.get(edit_of(odd)))
    form[field_of(client.get(edit_of(odd)), "amount")] = "0"
    page = client.post(edit_of(odd), {**form, "step": "look"}).content.decode()
    assert "Policy blocks what you changed it to" in page and "U+202E" in page and "\u202e" not in page
