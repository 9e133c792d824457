"""Ways round a mask, for who would read what nobody revealed, and for an agent that would hide behind one."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from audit import exports
from audit.actors import Actor
from audit.filters import Filters
from audit.models import Event
from intents import agents, cancelling
from intents.models import ActionTypeVersion, Intent
from reviews import notes, presentation, revealing
from reviews.decision_record import record_of
from reviews.decisions import decide
from reviews.tokens import create_token
from tests.factories import ARRANGER, in_force_as, load_action_type, load_policy, make_intent, make_user
from tests.masking.conftest import EMAIL, IBAN, PAYLOAD, World, leaks
from zehrava.problems import Problem
from zehrava.sensitive import SHOWN


def page(client: Client, intent: Intent, name: str = "change") -> str:
    return client.get(f"/admin/intents/intent/{intent.pk}/{name}/").content.decode()


def program(person) -> Client:
    return Client(headers={"Authorization": f"Bearer {create_token(person, by=Actor.person(person))[1]}"})


def pending(world: World, **members) -> Intent:
    return make_intent(world.key, action="payout.send", **{"payload": PAYLOAD, **members})


# --- for who would read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("successor", ["payout.send", "other.action"])
def test_what_replaces_it_shows_nothing_of_it_even_when_that_is_revealed(world, signed_in, successor):
    old = pending(world, summary=f"to {IBAN}", target=None)
    payload = {**PAYLOAD, "account": {"iban": "FR76"}} if successor == "payout.send" else {"a": 1}
    new = make_intent(world.key, action=successor, payload=payload, supersedes=old.pk)
    client = signed_in(make_user("frida", "finance", "reviewers"))
    assert "Replaces" in page(client, new) and leaks(page(client, new)) == []
    if successor == "payout.send":
        client.post(f"/admin/intents/intent/{new.pk}/reveal/")
        shown = page(client, new).split("What will change")[0]
        assert IBAN not in shown and "You revealed" in page(client, new)


@pytest.mark.parametrize(
    "asked",
    [
        "intents/intent/?canonical__contains=DE8937",
        "intents/intent/?canonical__regex=DE.*",
        "intents/intent/?target__startswith=carla",
        "intents/intent/?verdict__icontains=DE8937",
        "intents/intent/?amended_by__replaced__contains=DE",
        "intents/execution/?result__icontains=DE8937",
        "intents/execution/?intent__canonical__contains=DE8937",
        "audit/event/?line__contains=x",
    ],
)
def test_a_list_is_asked_nothing_that_it_has_no_filter_for(world, signed_in, asked):
    client = signed_in(make_user("root", is_superuser=True))
    answer = client.get(f"/admin/{asked}")
    assert answer.status_code in (302, 400)
    if answer.status_code == 302:
        assert "e=1" in answer.url


@pytest.mark.parametrize(
    "change",
    [
        {"op": "move", "from": "/account", "path": "/memo"},
        {"op": "copy", "from": "/people/0/email", "path": "/memo"},
        {"op": "test", "path": "/account/iban", "value": IBAN},
        {"op": "replace", "path": "/amount", "value": "1.00"},
    ],
)
def test_nobody_changes_what_they_see_masked(world, change):
    sent = {"vote": "approve", "digest": world.intent.digest, "rationale": "x", "changes": [change]}
    address = f"/api/v1/intents/{world.intent.pk}/decisions"
    answer = program(world.fred).post(address, sent, content_type="application/json")
    assert answer.status_code == 409 and "Reveal it first" in answer.json()["detail"]
    assert leaks(answer.content.decode()) == []
    with pytest.raises(Problem):
        decide(
            world.intent.pk,
            by=world.fred,
            vote="approve",
            digest=world.intent.digest,
            changes=[change],
            rationale="x",
        )


def test_what_the_agent_says_later_is_masked_too(world, signed_in):
    asked = notes.ask(world.intent, by=world.fred, text="Whose is it?")
    notes.answer(world.intent, by=in_force_as(world.key).actor, question_id=asked.pk, text=f"{EMAIL}, at {IBAN}")
    other = pending(world, payload={**PAYLOAD, "amount": "3.00"})
    cancelling.cancel(other, by=in_force_as(world.key).actor, reason=f"wrong: {IBAN}")
    read = [page(signed_in(world.vera), world.intent)]
    read.append(program(world.vera).get(f"/api/v1/intents/{world.intent.pk}").content.decode())
    root = signed_in(make_user("root", is_superuser=True))
    read += [root.get(f"/admin/audit/event/{event.pk}/change/").content.decode() for event in Event.objects.all()]
    read.append(b"".join(exports.stream(exports.dataset("contents"), "csv", Filters())).decode())
    assert [leaks(text) for text in read] == [[]] * len(read)


LONG = 'a line with "quotes"\nand what follows ' * 20


@pytest.mark.parametrize("secret", [LONG, [LONG, True], {"pregnant": True, "pin": "937"}, True, 1.234e-05, 1234567.5])
def test_neither_the_reason_nor_the_trace_tells_it_in_other_words(world, signed_in, secret):
    load_action_type("name: odd.send\nsensitive: [payload.secret]\n")
    load_policy(
        "name: odd\nmatch: {actions: [odd.send]}\nrules:\n  - id: told\n    effect: require_approval\n"
        "    when: payload.secret == payload.secret && [payload].exists(one, one.secret == payload.secret)\n"
        '    reason: "it is {payload.secret} of {payload}"\n    approval: {all_of: [{group: finance}]}\n'
    )
    intent = make_intent(world.key, action="odd.send", payload={"secret": secret, "open": "shown"})
    assert intent.verdict["rule"] == "told"
    assert intent.verdict["reason"].startswith(f"it is {SHOWN} of ") and "shown" in intent.verdict["reason"]
    texts = {json.dumps(secret)[1:20], "937", "pregnant", "1.234e-05", "0.00001234", "1234567.5"}
    for word in texts:
        assert word not in intent.verdict["reason"]
    trace = page(signed_in(world.fred), intent).split("Why this is here")[1].split("Who must agree")[0]
    told = trace.replace("payload.secret", "").replace("pregnant: ", "")
    assert "is-mask" in trace and not [word for word in ("937", "quotes", "1.234", "0.0000") if word in told]


def test_what_is_worked_out_of_it_gives_no_amount_away(world, signed_in):
    load_action_type(
        "name: pay.it\nsensitive: [payload.salary]\nderive: {value: {amount: payload.salary, currency: \"'EUR'\"}}\n"
    )
    load_policy(
        "name: pay\nmatch: {actions: [pay.it]}\nrules:\n  - id: all\n    effect: allow\n    limits:\n"
        "      - {sum: payload.salary, max: '10', per: agent, window: 1d, over: require_approval}\n"
    )
    claimed = {"amount": "987654.30", "currency": "EUR"}
    first, intent = (
        make_intent(world.key, action="pay.it", payload={"salary": f"74{n}13.50"}, value=claimed) for n in range(2)
    )
    rita = make_user("rita", "reviewers")
    for text in (page(signed_in(rita), intent), program(rita).get(f"/api/v1/intents/{intent.pk}").content.decode()):
        assert not [
            word for word in ("74113", "74,113", "74013", "74,013", "987654", "987,654", "average") if word in text
        ]
    assert not [word for word in ("74113", "74013") if word in intent.verdict["reason"]]
    assert first.status == "pending_approval"


def test_of_a_type_that_cannot_be_read_any_more_all_is_masked(world, signed_in):
    ActionTypeVersion.objects.filter(pk=world.intent.action_type_version_id).update(text="name: [broken")
    assert leaks(page(signed_in(world.fred), world.intent)) == []
    assert leaks(program(world.fred).get(f"/api/v1/intents/{world.intent.pk}").content.decode()) == []


def test_names_of_members_under_a_mask_are_masked_with_them(world, signed_in):
    load_action_type("name: y.send\nsensitive: [payload.accounts]\n")
    intent = make_intent(world.key, action="y.send", payload={"accounts": {IBAN: 1}, "a": 1})
    rita = make_user("rita", "reviewers")
    revealing.reveal(intent, by=rita)
    changes = [{"op": "remove", "path": f"/accounts/{IBAN}"}, {"op": "replace", "path": "/a", "value": 2}]
    decide(intent.pk, by=rita, vote="approve", digest=intent.digest, changes=changes, rationale="x")
    for text in (
        page(signed_in(world.vera), intent),
        str(program(world.vera).get(f"/api/v1/intents/{intent.pk}").json()),
    ):
        assert leaks(text) == []


# --- what is on record of who saw what -------------------------------------------------------------------------------


def test_who_revealed_it_and_changed_it_is_not_said_to_have_changed_it_blind(world, signed_in):
    revealing.reveal(world.intent, by=world.fred)
    change = [{"op": "replace", "path": "/account/iban", "value": "FR7630006000011234567890189"}]
    made = decide(
        world.intent.pk, by=world.fred, vote="approve", digest=world.intent.digest, changes=change, rationale="typo"
    )
    assert "masked" not in record_of(made)


# --- for an agent that would hide ------------------------------------------------------------------------------------


def test_an_agent_hides_nothing_by_writing_it_behind_a_mask_as_well(world, signed_in):
    load_action_type(
        "name: pay.it\nsensitive: [payload.memo]\n"
        "derive: {target: payload.to, records: payload.n, value: {amount: payload.amount, currency: \"'EUR'\"}}\n"
        "present: {title: 'Pay {payload.amount} to {payload.to}'}\n"
    )
    load_policy(
        "name: pay\nmatch: {actions: [pay.it]}\nrules:\n"
        '  - {id: all, effect: require_approval, reason: "More than 10,000 goes to a stranger: {payload.to}"}\n'
    )
    payload = {"to": "acct-77", "n": 4000, "amount": "98000.00"}
    memo = ["98000.00", "acct-77", "4000", "More than 10,000 goes to a stranger: ", "EUR", "98,000.00"]
    intent = make_intent(world.key, action="pay.it", payload={**payload, "memo": memo})
    assert intent.verdict["reason"] == "More than 10,000 goes to a stranger: acct-77"
    card = page(signed_in(make_user("rita", "reviewers")), intent)
    for shown in ("98,000.00 EUR", "acct-77", "4,000 records", "More than 10,000 goes to a stranger"):
        assert shown in card
    assert presentation.plain_title(intent) == "Pay 98000.00 to acct-77"
    assert SHOWN not in card.split("In the agent")[0].split("What will change")[0]


def test_a_huge_payload_of_masked_texts_costs_no_more_than_to_read_it(world, signed_in, monkeypatch):
    from zehrava import sensitive

    load_action_type("name: big.send\nsensitive: [payload.memo]\n")
    memo = [f"{number:06d} is one of many" for number in range(20_000)]
    context = {f"{number:06d} is another": f"{number:06d} is one of nobody" for number in range(5_000)}
    looks = []
    whole = sensitive.Hidden._text
    monkeypatch.setattr(sensitive.Hidden, "_text", lambda self, text: looks.append(1) or whole(self, text))
    intent = make_intent(world.key, action="big.send", payload={"memo": memo}, context=context)
    looks.clear()
    agents.suspend_agent(agents.Agent.objects.get(pk=intent.agent_id), by=ARRANGER)
    assert looks == []
    assert page(signed_in(make_user("rita", "reviewers")), intent)
    # Once for each text, and not for each text and each mask.
    assert len(looks) < 30_000


@pytest.mark.parametrize("word", ["held", "version", "error", "rule", "policy", "effect", "operands", "table", "row"])
def test_no_word_behind_a_mask_breaks_or_falsifies_the_page(world, signed_in, word):
    load_action_type("name: any.send\nsensitive: [payload.config]\n")
    load_policy(
        "name: any\nmatch: {actions: [any.send]}\nrules:\n"
        '  - {id: broken, when: payload.missing == "x", effect: block}\n'
        "  - {id: all, effect: require_approval, approval: {all_of: [{group: finance}]}}\n"
    )
    plain = make_intent(world.key, action="any.send", payload={"config": None, "n": 1})
    intent = make_intent(world.key, action="any.send", payload={"config": {word: [word, "block"]}, "n": 1})
    client = signed_in(world.fred)
    assert client.get(f"/admin/intents/intent/{intent.pk}/change/").status_code == 200

    def trace(one: Intent) -> str:
        return page(client, one).split('id="h-why"')[1].split("</section>")[0].replace(one.pk, "")

    assert trace(intent) == trace(plain)


@pytest.mark.parametrize(
    ("derive", "secret"),
    [
        ("target: domain(payload.person.email)", "hidden.example"),
        ("target: \"payload.person.sick == 'hiv' ? 'ill' : 'well'\"", "ill"),
        ("records: size(payload.person.friends)", "37"),
        ("value: {amount: \"'5.00'\", currency: payload.person.currency}", "CHF"),
    ],
)
def test_what_is_derived_of_it_is_masked_wherever_it_is_told(world, signed_in, derive, secret):
    load_action_type(f"name: der.send\nsensitive: [payload.person]\nderive:\n  {derive}\n")
    load_policy(
        "name: der\nmatch: {actions: [der.send]}\nrules:\n  - id: all\n    effect: require_approval\n"
        '    reason: "to {intent.target}, {intent.records} of {intent.value.currency}"\n'
        "    approval: {all_of: [{group: finance}]}\n"
    )
    person = {"email": "x@hidden.example", "sick": "hiv", "friends": ["f"] * 37, "currency": "CHF"}
    intent = make_intent(world.key, action="der.send", payload={"person": person})
    assert secret in intent.canonical and secret not in intent.verdict["reason"].replace("●", "")
    shown = program(world.vera).get(f"/api/v1/intents/{intent.pk}").json()
    told = json.dumps([shown["target"], shown["records"], shown["value"], shown["verdict"]])
    assert secret not in told


def test_nobody_finds_a_masked_amount_by_halves(world, signed_in):
    load_action_type(
        "name: pay.it\nsensitive: [payload.salary]\nderive: {value: {amount: payload.salary, currency: \"'EUR'\"}}\n"
    )
    intent = make_intent(world.key, action="pay.it", payload={"salary": "74113.50"})
    client = signed_in(make_user("rita", "reviewers"))
    assert intent.pk in client.get("/admin/?tab=groups").content.decode()
    for query in ("least=1", "most=99999999", "least=74113.50&most=74113.50"):
        assert intent.pk not in client.get(f"/admin/?tab=groups&{query}").content.decode()
