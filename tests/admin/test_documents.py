"""Policies and action types through the admin: checked on save, versioned, brought into force and out of it."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.models import Event
from intents import in_force
from intents.models import ActionType, ActionTypeVersion, Policy, PolicyVersion
from tests.factories import load_action_type, load_policy, make_intent, make_user

GOOD = """\
name: refunds
match: {actions: [stripe.refund]}
rules:
  - id: small
    when: amount(payload.amount) <= amount("50")
    effect: allow
"""
STRICTER = GOOD.replace('"50"', '"5"')
ACTION_TYPE = "name: support.reply\ntitle: Answer a customer\nexecutor: noop\n"


def edit(name: str = "refunds") -> str:
    return reverse("admin:intents_policy_change", args=[Policy.objects.get(name=name).pk])


def test_an_author_adds_a_policy_and_it_counts_at_once(author: Client) -> None:
    browser_text = GOOD.replace("\n", "\r\n")
    page = author.post(reverse("admin:intents_policy_add"), {"text": browser_text, "_activate": ""}, follow=True)
    assert "policy refunds v1 is in force." in page.content.decode()
    policy = Policy.objects.get(name="refunds")
    assert policy.active.number == 1
    assert policy.active.text == GOOD
    assert policy.active.created_by.username == "policy_authors-person"
    assert make_intent(payload={"amount": "10.00"}).status == "approved"
    activated = Event.objects.get(type="policy.activated")
    assert (activated.subject_id, activated.actor_name) == (policy.pk, "policy_authors-person")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.replace("effect: allow", "efect: allow"), ["Line 6, column 5", "rules[0].efect"]),
        (GOOD.replace("<= amount", "<=== amount"), ["Line 5", "rules[0].when"]),
        (GOOD + "  - id: small\n    effect: block\n", ["Line 7", "rules[1].id"]),
        (GOOD + "tests: [{payload: {amount: '90'}, expect: {effect: allow}}]\n", ["Line 7", "tests[0]"]),
        ("name: [refunds}", ["Line 1"]),
        ("", ["This field is required"]),
    ],
    ids=["unknown-key", "bad-condition", "duplicate-rule", "failing-test", "no-yaml", "nothing"],
)
def test_a_policy_that_is_wrong_is_not_saved_and_says_where(author: Client, text: str, told: list[str]) -> None:
    load_policy(GOOD)
    page = author.post(edit(), {"text": text}).content.decode()
    for part in told:
        assert page.count(part) == 1, "once, above the form"
    assert "Nothing was saved." in page
    if "efect" in text:
        assert "efect: allow" in page
    assert PolicyVersion.objects.count() == 1
    assert author.post(reverse("admin:intents_policy_add"), {"text": text}).status_code == 200
    assert Policy.objects.count() == 1


def test_a_policy_keeps_its_name(author: Client) -> None:
    load_policy(GOOD)
    page = author.post(edit(), {"text": GOOD.replace("refunds", "renamed")}).content.decode()
    assert "you are editing" in page
    assert Policy.objects.get().name == "refunds"


def test_a_name_that_is_taken_is_not_added_again(author: Client) -> None:
    load_policy(GOOD)
    page = author.post(reverse("admin:intents_policy_add"), {"text": STRICTER}).content.decode()
    assert "already" in page
    assert PolicyVersion.objects.count() == 1


def test_saving_other_text_is_a_new_version_and_saving_the_same_is_not(author: Client) -> None:
    load_policy(GOOD)
    author.post(edit(), {"text": STRICTER, "_activate": ""})
    author.post(edit(), {"text": STRICTER, "_activate": ""})
    policy = Policy.objects.get()
    assert policy.active.number == 2
    assert [version.text for version in policy.versions.all()] == [STRICTER, GOOD]
    assert make_intent(payload={"amount": "10.00"}).status == "pending_approval"


def test_an_older_version_is_brought_back_by_a_post_only(author: Client) -> None:
    load_policy(GOOD)
    load_policy(STRICTER)
    policy = Policy.objects.get()
    address = reverse("admin:intents_policy_activate", args=[policy.pk, 1])
    assert "Activate" in author.get(address).content.decode()
    policy.refresh_from_db()
    assert policy.active.number == 2
    author.post(address)
    policy.refresh_from_db()
    assert policy.active.number == 1
    assert make_intent(payload={"amount": "10.00"}).status == "approved"


def test_a_version_can_be_read_with_its_digest(author: Client) -> None:
    load_policy(GOOD)
    version = PolicyVersion.objects.get()
    page = author.get(reverse("admin:intents_policy_version", args=[version.policy_id, 1])).content.decode()
    assert version.digest in page
    assert "stripe.refund" in page
    assert author.get(reverse("admin:intents_policy_version", args=[version.policy_id, 7])).status_code == 404


def test_a_disabled_policy_allows_nothing_and_can_be_activated_again(author: Client) -> None:
    load_policy(GOOD)
    policy = Policy.objects.get()
    address = reverse("admin:intents_policy_disable", args=[policy.pk])
    author.get(address)
    assert make_intent(payload={"amount": "10.00"}).status == "approved"
    author.post(address)
    assert make_intent(payload={"amount": "11.00"}).status == "pending_approval"
    assert Event.objects.filter(type="policy.disabled", subject_id=policy.pk).count() == 1
    author.post(reverse("admin:intents_policy_activate", args=[policy.pk, 1]))
    assert make_intent(payload={"amount": "12.00"}).status == "approved"


def test_who_may_write_but_not_activate_saves_without_effect(sign_in: Any) -> None:
    from django.contrib.auth.models import Permission

    load_policy(GOOD)
    drafter = make_user("drafter")
    drafter.user_permissions.set(
        Permission.objects.filter(codename__in=["view_policy", "change_policy"], content_type__app_label="intents")
    )
    client = sign_in(drafter)
    page = client.post(edit(), {"text": STRICTER, "_activate": ""}, follow=True).content.decode()
    assert "bring it into force" in page
    policy = Policy.objects.get()
    assert policy.active.number == 1
    assert policy.versions.count() == 2
    assert client.post(reverse("admin:intents_policy_activate", args=[policy.pk, 2])).status_code == 403
    assert client.post(reverse("admin:intents_policy_disable", args=[policy.pk])).status_code == 403


def test_who_may_only_look_reads_the_text_and_changes_nothing(sign_in: Any) -> None:
    load_policy(GOOD)
    policy = Policy.objects.get()
    reviewer = sign_in("reviewers")
    page = reviewer.get(edit()).content.decode()
    assert "stripe.refund" in page
    assert "<textarea" not in page
    assert "Disable" not in page
    assert reviewer.post(edit(), {"text": STRICTER}).status_code == 403
    for name, args in (("disable", [policy.pk]), ("activate", [policy.pk, 1])):
        assert reviewer.post(reverse(f"admin:intents_policy_{name}", args=args)).status_code == 403
    assert PolicyVersion.objects.count() == 1


def test_the_lists_say_what_is_in_force_in_few_queries(author: Client, django_assert_max_num_queries: Any) -> None:
    for number in range(4):
        load_policy(GOOD.replace("refunds", f"refunds-{number}"))
        load_action_type(ACTION_TYPE.replace("support", f"support{number}"))
    for name in ("policy", "actiontype"):
        address = reverse(f"admin:intents_{name}_changelist")
        author.get(address)
        with django_assert_max_num_queries(12):
            assert "v1" in author.get(address).content.decode()


def test_an_action_type_is_added_retired_and_brought_back(author: Client) -> None:
    author.post(reverse("admin:intents_actiontype_add"), {"text": ACTION_TYPE, "_activate": ""})
    action_type = ActionType.objects.get(name="support.reply")
    assert "support.reply" in in_force.current().action_types
    author.post(reverse("admin:intents_actiontype_disable", args=[action_type.pk]))
    assert "support.reply" not in in_force.current().action_types
    author.post(reverse("admin:intents_actiontype_activate", args=[action_type.pk, 1]))
    assert "support.reply" in in_force.current().action_types
    assert Event.objects.filter(type="action_type.retired").count() == 1


def test_a_version_that_was_altered_in_the_database_is_refused_with_what_moved(author: Client) -> None:
    author.post(reverse("admin:intents_actiontype_add"), {"text": ACTION_TYPE, "_activate": ""})
    action_type = ActionType.objects.get()
    author.post(reverse("admin:intents_actiontype_disable", args=[action_type.pk]))
    ActionTypeVersion.objects.update(digest="sha256:0")
    page = author.post(reverse("admin:intents_actiontype_activate", args=[action_type.pk, 1]), follow=True)
    assert "digest differs" in page.content.decode()
    action_type.refresh_from_db()
    assert action_type.active is None


def test_an_executor_that_this_portal_does_not_have_is_refused_where_it_is_named(author: Client) -> None:
    page = author.post(
        reverse("admin:intents_actiontype_add"), {"text": ACTION_TYPE.replace("noop", "teleport")}
    ).content.decode()
    assert "Line 3" in page
    assert "teleport" in page
    assert "noop" in page
    assert not ActionType.objects.exists()


def test_the_text_of_a_stored_version_is_never_rewritten(author: Client) -> None:
    load_policy(GOOD)
    before = PolicyVersion.objects.get()
    author.post(edit(), {"text": STRICTER})
    after = PolicyVersion.objects.get(number=1)
    assert (after.text, after.digest, after.created_at) == (before.text, before.digest, before.created_at)


def test_pages_of_a_document_draw_hidden_characters(author: Client) -> None:
    load_policy(GOOD + "description: 'a <b>bold</b> one'\n")
    policy = Policy.objects.get()
    page = author.get(reverse("admin:intents_policy_version", args=[policy.pk, 1])).content.decode()
    assert "<b>bold" not in page


def test_a_text_is_checked_without_being_saved(author: Client) -> None:
    load_policy(GOOD)
    tested = STRICTER + "tests: [{payload: {amount: '3'}, expect: {effect: allow}}]\n"

    sound = author.post(edit(), {"text": tested, "_check": ""}).content.decode()
    wrong = author.post(edit(), {"text": GOOD.replace("effect", "efect"), "_check": ""}).content.decode()
    fresh = author.post(reverse("admin:intents_policy_add"), {"text": ACTION_TYPE, "_check": ""}).content.decode()
    action_type = author.post(reverse("admin:intents_actiontype_add"), {"text": ACTION_TYPE, "_check": ""})

    assert "Nothing is wrong with it." in sound and "1 test passed. Nothing was saved." in sound
    assert "What lint says</b> of this text" in sound or "Lint has nothing" in sound
    assert "5&quot;" in sound, "what was typed stays"
    assert "Nothing is wrong" not in wrong and "rules[0].efect" in wrong
    assert "Nothing is wrong" not in fresh
    assert "Nothing is wrong with it." in action_type.content.decode()
    assert PolicyVersion.objects.count() == 1 and not ActionType.objects.exists()


def test_after_a_fault_nothing_is_said_of_another_text(author: Client) -> None:
    load_policy(GOOD)
    author.post(edit(), {"text": STRICTER, "_draft": ""})
    page = author.post(edit(), {"text": STRICTER.replace("effect", "efect")}).content.decode()
    assert "v2 is a draft" in page and "it is the text below" not in page and 'id="zhr-lint"' not in page


def test_who_only_reads_is_shown_the_text_that_the_page_speaks_of(author: Client, sign_in: Any) -> None:
    load_policy(GOOD)
    author.post(edit(), {"text": STRICTER, "_draft": ""})
    page = sign_in("reviewers").get(edit()).content.decode()
    assert "v2 is a draft" in page and "it is the text below" in page
    assert (
        "&lt;= amount(&quot;5&quot;)" in page
        and "&quot;50&quot;" not in page.split("zhr-versions")[0].split("shown_text")[-1]
    )


def test_any_two_versions_begin_with_the_two_that_matter(author: Client) -> None:
    load_policy(GOOD)
    load_policy(STRICTER)
    compare = reverse("admin:intents_policy_compare", args=[Policy.objects.get().pk])
    assert "refunds: v1 and v2" in author.get(compare).content.decode()
    author.post(edit(), {"text": GOOD + "description: again\n", "_draft": ""})
    assert "refunds: v2 and v3" in author.get(compare).content.decode()
