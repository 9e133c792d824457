"""Policies through the admin: drafts, differences, warnings, and two people who agree."""

import html
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.models import Event
from intents import activation, documents, in_force
from intents.models import ActivationRequest, Policy, PolicyVersion
from tests.factories import ARRANGER, load_policy, make_intent, make_user

GOOD = """\
name: refunds
match: {actions: [stripe.refund]}
rules:
  - id: small
    when: amount(payload.amount) <= amount("50")
    effect: allow
"""
STRICTER = GOOD.replace('"50"', '"5"')
OTHER = GOOD + "default: block\n"


def policy() -> Policy:
    return Policy.objects.get(name="refunds")


def address(page: str = "change", *args: Any) -> str:
    return reverse(f"admin:intents_policy_{page}", args=[policy().pk, *args])


def draft(text: str = STRICTER, user: Any = None) -> PolicyVersion:
    return documents.save_policy(text, by=ARRANGER, user=user, activate=False)


def read(response: Any) -> str:
    """What a person reads of a page, without its markup."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", response.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", body)))


# --- drafts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("button", [{"_draft": ""}, {}], ids=["save-as-draft", "no-button"])
def test_a_draft_counts_for_nothing_until_somebody_activates_it(author: Client, button: dict) -> None:
    load_policy(GOOD)
    page = read(author.post(address(), {"text": STRICTER, **button}, follow=True))
    assert "Saved as v2, a draft: it counts for nothing yet." in page
    assert "v2 is a draft by policy_authors-person" in page
    assert "Against v1: 1 rule changed · +1 −1" in page
    assert policy().active.number == 1
    assert make_intent(payload={"amount": "10.00"}).status == "approved"
    author.post(address("activate", 2))
    assert make_intent(payload={"amount": "11.00"}).status == "pending_approval"
    assert Event.objects.filter(type="policy.activated").latest("id").actor_name == "policy_authors-person"


def test_who_edits_goes_on_with_the_draft(author: Client) -> None:
    load_policy(GOOD)
    draft()
    assert "amount(&quot;5&quot;)" in author.get(address()).content.decode()
    author.post(address("activate", 2))
    author.post(address("activate", 1))
    # Somebody went back on purpose: that is what is edited now.
    assert "amount(&quot;50&quot;)" in author.get(address()).content.decode()


def test_only_who_may_activate_has_the_button_for_it(author: Client, sign_in: Any) -> None:
    from django.contrib.auth.models import Permission

    load_policy(GOOD)
    assert 'name="_activate"' in author.get(address()).content.decode()
    writer = make_user("writer")
    writer.user_permissions.set(
        Permission.objects.filter(codename__in=["view_policy", "change_policy"], content_type__app_label="intents")
    )
    page = sign_in(writer).get(address()).content.decode()
    assert 'name="_draft"' in page
    assert 'name="_activate"' not in page


def test_who_saves_upon_somebody_elses_version_is_told_once_and_keeps_the_typed_text(author: Client) -> None:
    load_policy(GOOD)
    draft(user=make_user("paul"))
    page = author.post(address(), {"text": OTHER, "seen": "1", "_activate": ""})
    assert "paul saved v2 while you were editing" in read(page)
    assert "default: block" in page.content.decode()
    assert PolicyVersion.objects.count() == 2
    seen = re.search(r'name="seen" value="(\d+)"', page.content.decode())
    assert seen and seen[1] == "2"
    author.post(address(), {"text": OTHER, "seen": "2", "_activate": ""})
    assert policy().active.number == 3


def test_the_page_says_what_each_version_is_and_was(author: Client) -> None:
    load_policy(GOOD)
    load_policy(OTHER)
    draft(OTHER + "description: passed over\n")
    load_policy(STRICTER)
    draft(STRICTER + "description: newest\n")
    rows = re.findall(r"<tr>(.*?)</tr>", author.get(address()).content.decode(), flags=re.S)
    states = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).strip() for row in rows if "zhv-pill" in row]
    assert [(row.split()[0], next(s for s in KNOWN if s in row)) for row in states] == [
        ("v5", "draft"),
        ("v4", "in force"),
        ("v3", "never in force"),
        ("v2", "was in force"),
        ("v1", "was in force"),
    ]
    assert "default changed" in states[3]
    assert "by arranger" in states[3]


KNOWN = ("never in force", "was in force", "in force", "draft")


def test_three_hundred_rules_and_forty_versions_are_shown_in_few_queries(
    author: Client, django_assert_max_num_queries: Any
) -> None:
    rules = "".join(f"  - id: r{n}\n    when: payload.n == {n}\n    effect: allow\n" for n in range(300))
    text = f"name: refunds\nmatch: {{actions: [stripe.refund]}}\nrules:\n{rules}"
    load_policy(text)
    for n in range(39):
        text = text.replace(f"payload.n == {n}\n", f"payload.n == {n + 1000}\n")
        draft(text)
    author.get(address())
    with django_assert_max_num_queries(30):
        page = read(author.get(address()))
    assert "Page 1 of 2" in page
    with django_assert_max_num_queries(20):
        page = read(author.get(address("compare") + "?from=1&to=40"))
    assert "+39 −39 lines" in page
    assert "unchanged lines" in page


# --- differences ---------------------------------------------------------------------------------------------------


def test_any_two_versions_are_compared_in_words_and_line_by_line(author: Client) -> None:
    load_policy(GOOD)
    load_policy(STRICTER)
    load_policy(OTHER)
    response = author.get(address("compare") + "?from=2&to=1")
    page, body = read(response), response.content.decode()
    assert "Rule small changed" in page
    assert "condition" in page
    assert re.search(r"<del><bdi>5</bdi></del>", body)
    assert re.search(r"<ins><bdi>50</bdi></ins>", body)
    assert "removed: −" in page and "added: +" in page
    assert "default" in read(author.get(address("compare") + "?from=1&to=3"))
    assert "The two are the same" in read(author.get(address("compare") + "?from=1&to=1"))


@pytest.mark.parametrize("query", ["?from=9&to=1", "?from=0&to=1", "?to=99999999999999999999"])
def test_a_version_that_is_not_there_is_not_compared(author: Client, query: str) -> None:
    load_policy(GOOD)
    load_policy(STRICTER)
    assert author.get(address("compare") + query).status_code in (200, 404)
    if "9" in query and "9999" not in query:
        assert author.get(address("compare") + query).status_code == 404


def test_hostile_text_is_harmless_in_every_difference(author: Client) -> None:
    load_policy(GOOD)
    # Refused where it deceives in the open, so it comes as an escape and, in a comment, as markup.
    draft(GOOD + '# <script>alert(1)</script> <b>Approve</b>\ndescription: "\\u202etxt.exe <img src=x>"\n')
    for page in (address(), address("compare") + "?from=1&to=2", address("version", 2), address("activate", 2)):
        body = author.get(page).content.decode()
        assert "<script>alert" not in body
        assert "<img src=x>" not in body
        assert "\u202e" not in body
        assert "<b>Approve" not in body


def test_who_may_only_look_reads_differences_and_may_do_nothing(sign_in: Any) -> None:
    load_policy(GOOD)
    draft()
    reviewer = sign_in("reviewers")
    assert "Rule small changed" in read(reviewer.get(address("compare") + "?from=1&to=2"))
    page = reviewer.get(address()).content.decode()
    assert "Activate" not in page and "Disable" not in page


def test_what_changed_meanwhile_is_shown_again_before_it_is_activated(author: Client) -> None:
    load_policy(GOOD)
    draft()
    shown = policy().active_id
    load_policy(OTHER)
    page = read(author.post(address("activate", 2), {"instead_of": shown}))
    assert "Something else came into force meanwhile" in page
    assert policy().active.number == 3


# --- warnings ------------------------------------------------------------------------------------------------------


def test_warnings_are_said_after_saving_and_stand_on_the_page(author: Client) -> None:
    asks = GOOD.replace("effect: allow", "effect: require_approval\n    approval: {all_of: [{group: <b>ghosts}]}")
    page = author.post(reverse("admin:intents_policy_add"), {"text": asks, "_activate": ""}, follow=True)
    assert page.content.decode().count("there is no group &lt;b&gt;ghosts") == 1
    assert re.search("warnings? about v1: see what lint says", read(page))
    assert policy().active.number == 1
    assert "What lint says" in read(author.get(address()))


def test_a_check_that_fails_keeps_nobody_from_saving(author: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from intents import policy_warnings

    def broken(policy: Any) -> list[str]:
        raise RuntimeError("lint has a bug")

    monkeypatch.setattr(policy_warnings, "_checks", [broken])
    monkeypatch.setattr("zehrava.policy.linting.lint", broken)
    page = author.post(reverse("admin:intents_policy_add"), {"text": GOOD, "_activate": ""}, follow=True)
    assert "One of the checks failed" in read(page)
    assert policy().active.number == 1


# --- a second person -----------------------------------------------------------------------------------------------


@pytest.fixture
def two_people(db: None, settings: Any) -> None:
    load_policy(GOOD)
    settings.ZEHRAVA_POLICY_SECOND_PERSON = True


def waiting() -> ActivationRequest:
    return ActivationRequest.objects.get(state="open")


def answer(client: Client, pressed: str, **more: str) -> str:
    request = waiting()
    digest = request.version.digest if request.version else ""
    form = {"answer": pressed, "request": request.pk, "digest": digest, **more}
    return read(client.post(address("request"), form, follow=True))


def test_saving_asks_a_second_person_confirms_and_then_it_counts(
    two_people: None, author: Client, sign_in: Any
) -> None:
    second = sign_in(make_user("petra", "policy_authors"))
    page = read(author.post(address(), {"text": STRICTER, "_activate": ""}, follow=True))
    assert "Now say why it should come into force" in page
    assert "You wrote v2, so you cannot be the one who confirms" in page
    assert policy().active.number == 1
    assert "Say why: whoever confirms it reads this." in read(author.post(address("activate", 2), {"reason": " "}))
    page = read(author.post(address("activate", 2), {"reason": "Too <b>many</b> refunds"}, follow=True))
    assert "waits for a second person" in page
    assert "a second person" in read(author.get(reverse("admin:intents_policy_changelist")))
    assert policy().active.number == 1

    own = author.get(address("request"))
    assert 'value="confirm"' not in own.content.decode() and 'value="withdraw"' in own.content.decode()
    assert "You asked for this" in answer(author, "confirm")
    assert policy().active.number == 1

    page = second.get(address("request"))
    assert "Too <b>many</b> refunds" in read(page)
    assert "Rule small changed" in read(page)
    second.get(address("request") + "?answer=confirm")
    assert policy().active.number == 1
    assert "refunds v2 is in force." in answer(second, "confirm")
    assert policy().active.number == 2
    page = read(second.get(address()))
    assert "Asked of a second person" in page and "Confirmed by petra" in page


def test_disabling_takes_two_as_well(two_people: None, author: Client, sign_in: Any) -> None:
    author.post(address("disable"), {"reason": "It lets too much pass"})
    assert policy().active.number == 1
    assert "is disabled" in answer(sign_in(make_user("petra", "policy_authors")), "confirm")
    assert policy().active is None


def test_a_refusal_needs_a_reason_and_is_kept(two_people: None, author: Client, sign_in: Any) -> None:
    draft()
    second = sign_in(make_user("petra", "policy_authors"))
    author.post(address("activate", 2), {"reason": "why"})
    assert "Say why you refuse" in answer(second, "refuse")
    page = answer(second, "refuse", reason="The bound is too low")
    assert "Refused. Nothing has changed." in page and "The bound is too low" in page
    assert policy().active.number == 1
    assert "Nothing about refunds waits" in read(second.get(address("request"), follow=True))


def test_who_asked_takes_it_back(two_people: None, author: Client) -> None:
    draft()
    author.post(address("activate", 2), {"reason": "why"})
    assert "Taken back" in answer(author, "withdraw")


def test_what_a_command_asked_for_is_taken_over_by_one_and_confirmed_by_another(
    two_people: None, author: Client, sign_in: Any
) -> None:
    activation.ask_from_server(draft(), by=ARRANGER, reason="Loaded from refunds.yaml")
    second = sign_in(make_user("petra", "policy_authors"))
    assert 'value="confirm"' not in second.get(address("request")).content.decode()
    assert "It is your request now" in answer(second, "take_over")
    assert "You asked for this" in answer(second, "confirm")
    assert "is in force" in answer(author, "confirm")


def test_an_overtaken_request_says_so_and_offers_no_confirmation(
    two_people: None, author: Client, sign_in: Any, settings: Any
) -> None:
    draft()
    author.post(address("activate", 2), {"reason": "why"})
    settings.ZEHRAVA_POLICY_SECOND_PERSON = False
    load_policy(OTHER)
    settings.ZEHRAVA_POLICY_SECOND_PERSON = True
    second = sign_in(make_user("petra", "policy_authors"))
    page = second.get(address("request"))
    assert "It is overtaken" in read(page)
    assert 'value="confirm"' not in page.content.decode()
    assert "Something else came into force" in answer(second, "confirm")
    assert policy().active.number == 3


@pytest.mark.parametrize(
    ("pressed", "form"),
    [("confirm", {"request": "0"}), ("confirm", {"request": ""}), ("confirm", {"digest": "sha256:0"}), ("shrug", {})],
)
def test_what_was_not_shown_is_not_confirmed(
    two_people: None, author: Client, sign_in: Any, pressed: str, form: dict
) -> None:
    draft()
    author.post(address("activate", 2), {"reason": "why"})
    assert "Nothing has changed." in answer(sign_in(make_user("petra", "policy_authors")), pressed, **form)
    assert policy().active.number == 1
    assert waiting().state == "open"


def test_reviewers_read_a_request_and_answer_nothing(two_people: None, author: Client, sign_in: Any) -> None:
    draft()
    author.post(address("activate", 2), {"reason": "why"})
    reviewer = sign_in("reviewers")
    assert "Rule small changed" in read(reviewer.get(address("request")))
    for pressed in ("confirm", "refuse", "withdraw", "take_over"):
        form = {"answer": pressed, "request": waiting().pk, "reason": "x"}
        assert reviewer.post(address("request"), form).status_code == 403
    assert policy().active.number == 1


# --- what nobody should send ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [300_000, 4_000_000])
def test_a_document_that_is_too_long_is_refused_and_what_is_in_force_stays(author: Client, size: int) -> None:
    load_policy(GOOD)
    before = in_force.current().version
    page = author.post(address(), {"text": GOOD + "# " + "x" * size, "_activate": ""})
    assert "The document is longer than 256 KiB; split it" in read(page)
    assert PolicyVersion.objects.count() == 1
    assert in_force.current().version == before


def test_a_form_of_ten_megabytes_is_refused_before_it_is_read(author: Client) -> None:
    load_policy(GOOD)
    response = author.post(address(), {"text": GOOD + "# " + "x" * 10_000_000, "_activate": ""})
    assert response.status_code in (400, 413)
    assert PolicyVersion.objects.count() == 1


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\nb: [*a, *a, *a]\n",
        "name: !!python/object:os.system x\n",
        "name: a\nname: b\n",
        GOOD.replace("payload.amount", "(" * 300 + "payload.amount" + ")" * 300),
        GOOD.replace('amount(payload.amount) <= amount("50")', " + ".join(["1"] * 20_000) + " > 2"),
        GOOD.replace("refunds", "ref\u200bunds"),
    ],
    ids=["anchors", "tag", "duplicate", "deep", "long", "invisible"],
)
def test_hostile_documents_are_refused_with_their_place(author: Client, text: str) -> None:
    load_policy(GOOD)
    page = read(author.post(address(), {"text": text, "_activate": ""}))
    assert "Nothing was saved." in page
    assert re.search(r"Line \d+, column \d+", page)
    assert policy().active.text == GOOD
    assert PolicyVersion.objects.count() == 1


# --- what people should find without looking for it ----------------------------------------------------------------


def test_who_saves_while_another_version_waits_asks_for_the_new_one_in_its_place(
    two_people: None, author: Client, sign_in: Any
) -> None:
    draft()
    author.post(address("activate", 2), {"reason": "first"})
    page = author.post(address(), {"text": OTHER, "_activate": ""}, follow=True)
    assert "asking for v3 here takes its place" in read(page)
    shown = re.search(r'name="replacing" value="(\d+)"', page.content.decode())
    assert shown and 'name="reason"' in page.content.decode()
    # Nothing is replaced that was not shown.
    assert "waits for a second person" in read(author.post(address("activate", 3), {"reason": "better"}))
    author.post(address("activate", 3), {"reason": "better", "replacing": shown[1]})
    assert waiting().version.number == 3
    # The same once more leads to what waits.
    again = read(author.post(address(), {"text": OTHER, "_activate": ""}, follow=True))
    assert "v3 waits for a second person already" in again
    assert "is in force" in answer(sign_in(make_user("petra", "policy_authors")), "confirm")


def test_a_waiting_version_does_not_hold_up_disabling(two_people: None, author: Client) -> None:
    activation.ask_from_server(draft(), by=ARRANGER, reason="Loaded from refunds.yaml")
    page = author.get(address("disable")).content.decode()
    assert 'name="reason"' in page and "takes its place" in page
    author.post(address("disable"), {"reason": "It lets everything pass"})
    assert waiting().version is None


def test_the_pages_name_the_command_who_took_over_and_who_confirmed(
    two_people: None, author: Client, sign_in: Any
) -> None:
    activation.ask_from_server(draft(), by=ARRANGER, reason="Loaded from refunds.yaml")
    assert "The command arranger asked on the server" in read(author.get(address("request")))
    answer(author, "take_over")
    assert re.search(r"The command arranger asked .* policy_authors-person took it over,", read(author.get(address())))
    answer(sign_in(make_user("petra", "policy_authors")), "confirm")
    page = read(author.get(address()))
    assert "asked for by policy_authors-person, confirmed by petra" in page
    assert "policy_authors-person took it over" in page


def test_the_list_says_what_is_under_way_and_who_may_answer_is_told_how_many(
    two_people: None, author: Client, sign_in: Any
) -> None:
    listed = reverse("admin:intents_policy_changelist")
    from intents import shadowing

    version = draft()
    shadowing.start(version, by=ARRANGER)
    author.post(address("activate", 2), {"reason": "why"})
    draft(OTHER)
    second = sign_in(make_user("petra", "policy_authors"))
    page = read(second.get(listed))
    for said in ("v2 waits for a second person", "draft v3", "v2 in shadow", "1 change of policies waits"):
        assert said in page
    badge = re.compile(r"Policies\s*1\b")
    assert badge.search(read(second.get("/admin/")))
    # Not who asked, and not who may not answer.
    assert not badge.search(read(author.get("/admin/")))
    assert not badge.search(read(sign_in("reviewers").get("/admin/")))


def test_a_policy_that_never_counted_is_not_called_disabled(author: Client) -> None:
    author.post(reverse("admin:intents_policy_add"), {"text": GOOD, "_draft": ""})
    page = read(author.get(address()))
    assert "Not in force yet" in page and "brings it back" not in page
    listed = read(author.get(reverse("admin:intents_policy_changelist")))
    assert "not in force yet" in listed and "disabled" not in listed and "draft v1" in listed
    author.post(address("activate", 1))
    author.post(address("disable"))
    assert "brings it back" in read(author.get(address()))
    assert "disabled" in read(author.get(reverse("admin:intents_policy_changelist")))


def test_history_calls_nothing_none(author: Client) -> None:
    from intents import shadowing

    load_policy(GOOD)
    shadowing.start(draft(), by=ARRANGER)
    page = read(author.get(address("history")))
    assert "Shadow: none → refunds v2" in page
    assert "Deleted" not in page and "pk=" not in page


@pytest.mark.parametrize(("effect", "said"), [("require_approval", "waits for a reviewer"), ("block", "is blocked")])
def test_disabling_says_what_this_portal_does_then(author: Client, settings: Any, effect: str, said: str) -> None:
    load_policy(GOOD)
    settings.ZEHRAVA_DEFAULT_EFFECT = effect
    assert f"an intent {said}" in read(author.get(address("disable")))


def test_findings_and_faults_lead_to_their_lines(author: Client, sign_in: Any) -> None:
    load_policy(GOOD.replace('amount("50")', 'amount("50") && false'))
    assert re.search(r'href="#line-\d+"', author.get(address()).content.decode())
    assert 'id="line-6"' in author.get(address("version", 1)).content.decode()
    assert 'id="line-6"' in sign_in("reviewers").get(address()).content.decode()
    page = author.post(address(), {"text": GOOD + "colour: red\n"}).content.decode()
    assert 'href="#line-7"' in page and "Please correct" not in page and 'aria-invalid="true"' in page


def test_a_long_difference_is_folded_after_twenty_rules(author: Client) -> None:
    load_policy(GOOD)
    more = "".join(f"  - id: r{n}\n    when: payload.n == {n}\n    effect: allow\n" for n in range(30))
    draft(GOOD + more)
    page = author.get(address("compare") + "?from=1&to=2").content.decode()
    before, _, after = page.partition("and 10 more rules")
    assert (before.count("is new"), after.count("is new")) == (20, 10)
