"""`policy_load` and `action_type_load`: all files or none, and every fault with its place."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.actors import Actor
from audit.models import Event
from intents import activation, in_force
from intents.documents import activate_version, disable_policy, save_action_type, save_policy
from intents.models import ActionTypeVersion, ActivationRequest, Policy, PolicyVersion
from tests.factories import make_user
from zehrava_site import roles

pytestmark = pytest.mark.django_db

REFUNDS = "name: refunds\nmatch: {actions: [stripe.refund]}\nrules: [{id: all, effect: allow}]\n"
MAIL = "name: mail\nmatch: {actions: [email.send]}\nrules: [{id: all, effect: block}]\n"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(name: str, text: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return written


def load(*files: str, command: str = "policy_load") -> Any:
    out = io.StringIO()
    call_command(command, *files, "--json", stdout=out)
    return json.loads(out.getvalue())["loaded"]


def test_policies_are_stored_and_in_force(write: Any) -> None:
    loaded = load(write("refunds.yaml", REFUNDS), write("mail.yaml", MAIL))
    assert [(each["name"], each["version"], each["new"]) for each in loaded] == [
        ("refunds", 1, True),
        ("mail", 1, True),
    ]
    assert {policy.name for policy in in_force.current().policies.policies} == {"refunds", "mail"}


def test_loading_the_same_again_makes_no_version_and_no_event(write: Any) -> None:
    file = write("refunds.yaml", REFUNDS)
    load(file)
    events = Event.objects.count()
    assert load(file)[0]["new"] is False
    assert PolicyVersion.objects.count() == 1
    assert Event.objects.count() == events


def test_other_text_is_the_next_version(write: Any) -> None:
    load(write("refunds.yaml", REFUNDS))
    assert load(write("refunds.yaml", REFUNDS.replace("allow", "block")))[0]["version"] == 2
    assert Policy.objects.get().active.number == 2


def test_one_wrong_file_keeps_all_out_and_every_fault_has_its_place(write: Any) -> None:
    good = write("mail.yaml", MAIL)
    bad = write("refunds.yaml", REFUNDS + "colour: red\n")
    worse = write("worse.yaml", MAIL.replace("effect: block", "effect: shrug").replace("mail", "worse"))
    with pytest.raises(CommandError) as refused:
        load(good, bad, worse)
    told = str(refused.value)
    assert f"{bad}:4:1: colour:" in told
    assert f"{worse}:3:" in told
    assert "rules[0].effect" in told
    assert "Nothing was stored." in told
    assert not Policy.objects.exists()


def test_files_that_cannot_be_read_are_told(write: Any, tmp_path: Path) -> None:
    with pytest.raises(CommandError) as refused:
        load(str(tmp_path / "absent.yaml"), write("latin.yaml", b"name: caf\xe9\n"))
    assert "absent.yaml: cannot be read: No such file or directory" in str(refused.value)
    assert "latin.yaml: is not UTF-8 at byte 9" in str(refused.value)


def test_two_files_of_one_name_are_refused(write: Any) -> None:
    with pytest.raises(CommandError, match="give one of them another name"):
        load(write("a.yaml", REFUNDS), write("b.yaml", REFUNDS.replace("allow", "block")))
    assert not Policy.objects.exists()


def test_what_a_person_saved_is_replaced_only_when_that_is_meant(write: Any) -> None:
    file = write("refunds.yaml", REFUNDS)
    mail = write("mail.yaml", MAIL)
    load(file)
    paul = make_user("paul")
    edited = REFUNDS.replace("allow", "block")
    save_policy(edited, by=Actor.person(paul), user=paul)
    with pytest.raises(CommandError) as refused:
        load(mail, file)
    assert f"{file}: would replace v2 by paul" in str(refused.value)
    assert "--replace" in str(refused.value) and "Nothing was stored." in str(refused.value)
    assert Policy.objects.get().active.number == 2
    # The same text undoes nothing, and so does a policy that nobody touched.
    load(write("same.yaml", edited), mail)
    assert load(file, "--replace")[0]["replaces"] == {"version": 2, "by": "paul"}
    # A load replaces what a load brought.
    assert load(write("refunds.yaml", edited))[0]["replaces"]["by"] == "manage.py policy_load"


def test_people_are_told_whose_version_was_replaced(write: Any) -> None:
    load(write("refunds.yaml", REFUNDS))
    paul = make_user("paul")
    save_policy(REFUNDS.replace("allow", "block"), by=Actor.person(paul), user=paul)
    out = io.StringIO()
    call_command("policy_load", write("new.yaml", REFUNDS + "default: block\n"), "--replace", stdout=out)
    assert "refunds v3: replaces v2 by paul" in out.getvalue()


def test_what_a_person_went_back_to_or_took_out_of_force_is_not_undone_in_passing(write: Any) -> None:
    file = write("refunds.yaml", REFUNDS)
    load(file)
    newer = write("newer.yaml", REFUNDS.replace("allow", "block"))
    load(newer)
    paul = Actor.person(make_user("paul"))
    activate_version(PolicyVersion.objects.get(number=1), by=paul)
    with pytest.raises(CommandError, match="would replace v1 by paul"):
        load(newer)
    disable_policy(Policy.objects.get(), by=paul)
    with pytest.raises(CommandError, match="paul took refunds out of force"):
        load(newer)
    assert Policy.objects.get().active is None
    load(newer, "--replace")
    assert Policy.objects.get().active.number == 2


def test_an_action_type_that_a_person_saved_is_kept_too(write: Any) -> None:
    text = "name: support.reply\nexecutor: noop\n"
    file = write("reply.yaml", text)
    load(file, command="action_type_load")
    paul = make_user("paul")
    save_action_type(text + "title: Reply\n", by=Actor.person(paul), user=paul)
    with pytest.raises(CommandError, match="would replace v2 by paul"):
        load(file, command="action_type_load")
    assert load(file, "--replace", command="action_type_load")[0]["replaces"] == {"version": 2, "by": "paul"}


def test_action_types_load_the_same_way(write: Any) -> None:
    good = write("reply.yaml", "name: support.reply\nexecutor: noop\n")
    bad = write("bad.yaml", "name: support.call\nexecutor: telephone\n")
    with pytest.raises(CommandError, match=r"bad\.yaml:2:11: executor"):
        load(good, bad, command="action_type_load")
    assert not ActionTypeVersion.objects.exists()
    assert load(good, command="action_type_load")[0]["version"] == 1
    assert "support.reply" in in_force.current().action_types


def test_a_disabled_policy_is_in_force_again_when_it_is_loaded(write: Any) -> None:
    file = write("refunds.yaml", REFUNDS)
    load(file)
    disable_policy(Policy.objects.get(), by=Actor.system("tests"))
    load(file)
    assert Policy.objects.get().active.number == 1


# --- cases, warnings, a second person, and input that nobody should send -------------------------------------------

CASES = """\
policy: refunds
tests:
  - {name: small, payload: {amount: '10.00'}, expect: {effect: %s}}
"""


def test_a_case_that_fails_keeps_everything_out_and_says_where(write: Any) -> None:
    file, cases = write("refunds.yaml", REFUNDS), write("cases.yaml", CASES % "block")
    with pytest.raises(CommandError) as refused:
        load(file, "--cases", cases)
    assert f"{cases}:3:" in str(refused.value)
    assert "expected block, got allow" in str(refused.value)
    assert "Nothing was stored." in str(refused.value)
    assert not Policy.objects.exists()
    assert load(file, "--cases", write("cases.yaml", CASES % "allow"))[0]["in_force"] is True


def test_cases_are_about_what_would_be_in_force_together(write: Any) -> None:
    load(write("strict.yaml", REFUNDS.replace("name: refunds", "name: strict").replace("allow", "block")))
    with pytest.raises(CommandError, match="expected allow, got block"):
        load(write("refunds.yaml", REFUNDS), "--cases", write("cases.yaml", CASES % "allow"))


def test_a_file_of_cases_that_cannot_be_read_keeps_everything_out(write: Any, tmp_path: Path) -> None:
    file = write("refunds.yaml", REFUNDS)
    for cases in (write("bad.yaml", "tests: [{payload: 1}]\n"), str(tmp_path / "absent.yaml")):
        with pytest.raises(CommandError, match="Nothing was stored"):
            load(file, "--cases", cases)
    assert not Policy.objects.exists()


def test_warnings_are_told_and_keep_nothing_out(write: Any) -> None:
    asks = REFUNDS.replace("effect: allow", "effect: require_approval, approval: {all_of: [{group: nobody-here}]}")
    loaded = load(write("refunds.yaml", asks))[0]
    assert loaded["in_force"] is True
    assert any("there is no group nobody-here" in warning for warning in loaded["warnings"])
    out = io.StringIO()
    call_command("policy_load", write("refunds.yaml", asks), stdout=out)
    assert "  warning: Rule all: there is no group nobody-here" in out.getvalue()


def test_where_it_takes_two_people_loading_stores_a_draft_and_asks(write: Any, settings: Any) -> None:
    load(write("refunds.yaml", REFUNDS))
    settings.ZEHRAVA_POLICY_SECOND_PERSON = True
    file = write("refunds.yaml", REFUNDS.replace("allow", "block"))
    loaded = load(file)[0]
    assert (loaded["version"], loaded["new"], loaded["in_force"]) == (2, True, False)
    assert Policy.objects.get().active.number == 1
    request = ActivationRequest.objects.get()
    assert (request.version.number, request.requested_by, request.state) == (2, None, "open")
    # Once more changes nothing; --replace is no way round; other text replaces the request.
    load(file, "--replace")
    assert ActivationRequest.objects.count() == 1
    out = io.StringIO()
    call_command("policy_load", write("refunds.yaml", REFUNDS + "default: block\n"), stdout=out)
    assert "is not in force and would replace v1 by manage.py policy_load. A person has to take over" in out.getvalue()
    assert Policy.objects.get().active.number == 1
    assert list(ActivationRequest.objects.values_list("version__number", "state")) == [(3, "open"), (2, "withdrawn")]
    # What is in force already asks nobody.
    assert load(write("refunds.yaml", REFUNDS))[0]["in_force"] is True


def test_a_draft_is_stored_and_nothing_comes_into_force(write: Any, settings: Any) -> None:
    load(write("refunds.yaml", REFUNDS))
    for two_people in (False, True):
        settings.ZEHRAVA_POLICY_SECOND_PERSON = two_people
        drafted = load(write("refunds.yaml", REFUNDS.replace("allow", "block")), "--draft")[0]
        assert (drafted["version"], drafted["in_force"], drafted["new"]) == (2, False, not two_people)
    assert Policy.objects.get().active.number == 1
    assert not ActivationRequest.objects.exists()
    out = io.StringIO()
    call_command("policy_load", write("mail.yaml", MAIL), "--draft", stdout=out)
    assert "mail v1: new, a draft, which counts for nothing yet" in out.getvalue()
    # All that the admin says is said here.
    assert "  note: has no tests" in out.getvalue()


def test_where_two_people_decide_a_version_of_a_person_is_named_and_not_in_the_way(write: Any, settings: Any) -> None:
    paul = make_user("paul")
    save_policy(REFUNDS, by=Actor.person(paul), user=paul)
    settings.ZEHRAVA_POLICY_SECOND_PERSON = True
    load(write("refunds.yaml", REFUNDS.replace("allow", "block")))
    assert ActivationRequest.objects.get().reason == "Loaded from refunds.yaml on the server, instead of v1 by paul."
    assert Policy.objects.get().active.number == 1


def test_loading_does_not_push_aside_what_a_person_asked_for(write: Any, settings: Any) -> None:
    load(write("refunds.yaml", REFUNDS))
    settings.ZEHRAVA_POLICY_SECOND_PERSON = True
    roles.install()
    paul = make_user("paul", "policy_authors")
    activation.ask(Policy.objects.get(), None, by=paul, reason="It is wrong")
    with pytest.raises(CommandError, match="asked for by paul, waits for a second person"):
        load(write("mail.yaml", MAIL), write("refunds.yaml", REFUNDS.replace("allow", "block")))
    assert PolicyVersion.objects.count() == 1


def test_ten_megabytes_are_refused_unread_and_what_is_in_force_stays(write: Any) -> None:
    load(write("refunds.yaml", REFUNDS))
    before = in_force.current().version
    huge = write("huge.yaml", REFUNDS + "# " + "x" * 10_000_000)
    with pytest.raises(CommandError, match=r"huge\.yaml:1:1: document: The document is longer than 256 KiB; split it"):
        load(huge)
    with pytest.raises(CommandError, match="longer than 256 KiB"):
        load("/dev/zero")
    assert in_force.current().version == before
    assert PolicyVersion.objects.count() == 1
