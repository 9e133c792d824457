"""Many people at the same request at the same moment: one activation, one outcome, nobody twice."""

import json
from collections import Counter

import pytest

from tests.crowd import at_once

GOOD = "name: refunds\\nmatch: {actions: [stripe.refund]}\\nrules: [{id: all, effect: allow}]\\n"
ARRANGE = f"""
from intents import activation, documents
from intents.models import Policy, PolicyVersion
from tests.factories import ARRANGER, make_user
from zehrava_site import roles
roles.install()
people = [make_user(f"author-{{n}}", "policy_authors") for n in range(7)]
with __import__("django.test", fromlist=["override_settings"]).override_settings(ZEHRAVA_POLICY_SECOND_PERSON=False):
    documents.save_policy("{GOOD}", by=ARRANGER, user=None)
versions = [
    documents.save_policy("{GOOD}" + f"description: draft {{n}}\\n", by=ARRANGER, user=None, activate=False)
    for n in range(6)
]
"""
SETUP = """
from django.contrib.auth.models import User
from intents import activation
from intents.models import ActivationRequest, Policy, PolicyVersion
from zehrava.problems import Problem
me = User.objects.get(username=f"author-{number}")
"""


@pytest.fixture
def portal(start_portal):
    portal = start_portal(web=0, ZEHRAVA_POLICY_SECOND_PERSON="true")
    portal.shell(ARRANGE)
    return portal


def ask(portal, *, by: str) -> None:
    """Ask for version 3."""
    portal.shell(f"""
from django.contrib.auth.models import User
from intents import activation
from intents.models import PolicyVersion
version = PolicyVersion.objects.get(number=3)
activation.ask(version.policy, version, by=User.objects.get(username="{by}"), reason="why")
""")


def story(portal) -> Counter:
    found = portal.shell("""
import json
from audit.models import Event
from intents.models import ActivationRequest, Policy
events = list(Event.objects.filter(type__startswith="policy.").values_list("type", flat=True))
states = list(ActivationRequest.objects.values_list("state", flat=True))
print(json.dumps([*events, *states, f"in force {Policy.objects.get().active.number}"]))
""")
    return Counter(json.loads(found))


def test_of_many_who_confirm_at_once_exactly_one_does(portal):
    ask(portal, by="author-6")
    said = at_once(
        portal,
        SETUP
        + """
request = ActivationRequest.objects.get()
# GO
try:
    activation.confirm(request, by=me, digest=request.version.digest)
    said = "confirmed"
except Problem as problem:
    said = problem.kind
""",
    )
    assert Counter(said) == {"confirmed": 1, "conflict": 5}
    found = story(portal)
    assert found["policy.activated"] == 2
    assert found["policy.activation_confirmed"] == found["confirmed"] == found["in force 3"] == 1


def test_of_many_who_ask_at_once_one_request_waits(portal):
    said = at_once(
        portal,
        SETUP
        + """
version = PolicyVersion.objects.get(number=number + 2)
# GO
try:
    activation.ask(version.policy, version, by=me, reason="why")
    said = "asked"
except Problem as problem:
    said = problem.kind
""",
    )
    assert Counter(said) == {"asked": 1, "conflict": 5}
    found = story(portal)
    assert found["policy.activation_requested"] == found["open"] == found["in force 1"] == 1


def test_confirmed_refused_and_withdrawn_at_once_ends_one_way(portal):
    ask(portal, by="author-0")
    said = at_once(
        portal,
        SETUP
        + """
request = ActivationRequest.objects.get()
# GO
try:
    if number == 0:
        activation.withdraw(request, by=me)
    elif number % 2:
        activation.refuse(request, by=me, reason="no")
    else:
        activation.confirm(request, by=me, digest=request.version.digest)
    said = "settled"
except Problem as problem:
    said = problem.kind
""",
    )
    assert Counter(said) == {"settled": 1, "conflict": 5}
    found = story(portal)
    assert found["open"] == 0
    assert found["in force 3"] == found["confirmed"] == found["policy.activation_confirmed"]


def test_of_many_who_replace_the_request_they_were_shown_exactly_one_does(portal):
    portal.shell("""
from django.contrib.auth.models import User
from intents import activation
from intents.models import PolicyVersion
version = PolicyVersion.objects.get(number=7)
activation.ask(version.policy, version, by=User.objects.get(username="author-6"), reason="why")
""")
    said = at_once(
        portal,
        SETUP
        + """
shown = ActivationRequest.objects.get().pk
version = PolicyVersion.objects.get(number=number + 1) if number else None
version = version or PolicyVersion.objects.get(number=6)
# GO
try:
    activation.ask(version.policy, version, by=me, reason="why", replacing=shown)
    said = "asked"
except Problem as problem:
    said = problem.kind
""",
    )
    assert Counter(said) == {"asked": 1, "conflict": 5}
    found = story(portal)
    assert found["open"] == found["refused"] == found["policy.activation_refused"] == found["in force 1"] == 1


def test_nobody_goes_back_alone_while_a_change_is_being_confirmed(portal):
    """To bring what is in force into force takes nobody else; it must not undo what is about to be committed."""
    ask(portal, by="author-6")
    said = at_once(
        portal,
        SETUP
        + """
import time
from django.db import transaction
from audit.actors import Actor
from intents import documents
request = ActivationRequest.objects.get()
first = PolicyVersion.objects.get(number=1)
# GO
try:
    if number == 0:
        with transaction.atomic():
            activation.confirm(request, by=me, digest=request.version.digest)
            time.sleep(1.5)
        said = "confirmed"
    else:
        time.sleep(0.5)
        documents.activate_version(first, by=Actor.person(me))
        said = "moved"
except Problem as problem:
    said = problem.kind
""",
    )
    assert said == ["confirmed", *["conflict"] * 5]
    assert story(portal)["in force 3"] == 1


def test_whatever_is_asked_for_at_once_taking_it_out_of_force_waits_in_the_end(portal):
    said = at_once(
        portal,
        SETUP
        + """
policy = Policy.objects.get()
version = None if number == 0 else PolicyVersion.objects.get(number=number + 1)
# GO
try:
    activation.ask(policy, version, by=me, reason="why")
    said = "asked"
except Problem as problem:
    said = problem.kind
""",
    )
    assert said[0] == "asked"
    assert (
        portal.shell("""
from intents.models import ActivationRequest
print([request.version_id for request in ActivationRequest.objects.filter(state="open")])
""").strip()
        == "[None]"
    )


def test_a_shell_without_the_setting_does_not_walk_round_it(start_portal, tmp_path):
    """The web server records the setting when it starts; commands without it obey, until it is turned off for good."""
    portal = start_portal(ZEHRAVA_POLICY_SECOND_PERSON="true")
    portal.environment.pop("ZEHRAVA_POLICY_SECOND_PERSON")
    file = tmp_path / "refunds.yaml"
    file.write_text(GOOD.replace("\\n", "\n"))
    loaded = portal.manage_json("policy_load", str(file))["loaded"][0]
    assert loaded["in_force"] is False
    assert portal.manage_json("second_person")["takes_two"] is True
    portal.kill("web")
    portal.manage("second_person", "--off", "--reason", "A portal of one person")
    assert portal.manage_json("second_person")["takes_two"] is False
    assert portal.manage_json("policy_load", str(file))["loaded"][0]["in_force"] is True
    # The portal with the setting still on turns it on again.
    portal.environment["ZEHRAVA_POLICY_SECOND_PERSON"] = "true"
    portal.start_web()
    portal.environment.pop("ZEHRAVA_POLICY_SECOND_PERSON")
    file.write_text(GOOD.replace("\\n", "\n").replace("allow", "block"))
    assert portal.manage_json("policy_load", str(file))["loaded"][0]["in_force"] is False
