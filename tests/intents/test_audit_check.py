"""What `audit_check` finds in contents that history only knows by their digests."""

import json
from contextlib import suppress

import pytest
from django.core.management import CommandError, call_command

from intents.models import Intent, PolicyVersion
from reviews.decisions import decide
from reviews.models import Decision
from tests.factories import load_policy, make_intent, make_user

pytestmark = pytest.mark.django_db


def findings(capsys) -> list[dict]:
    with suppress(CommandError, SystemExit):
        call_command("audit_check", "--json")
    return json.loads(capsys.readouterr().out)["findings"]


@pytest.fixture
def decided(capsys):
    load_policy("name: p\nmatch: {actions: ['x.y']}\nrules: [{id: all, effect: allow}]\n")
    intent = make_intent(action="a.b")
    decide(intent.pk, by=make_user(None, "reviewers"), vote="reject", digest=intent.digest, rationale="twice paid")
    return intent


CHANGES = {
    "canonical": lambda i: Intent.objects.update(canonical=i.canonical.replace("10.00", "99.00")),
    "verdict": lambda i: Intent.objects.update(verdict={**i.verdict, "reason": "another"}),
    "requirement": lambda i: Intent.objects.update(requirement={"all_of": []}),
    "text": lambda i: PolicyVersion.objects.update(text="name: p\n"),
    "rationale": lambda i: Decision.objects.update(rationale="fine by me"),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_contents_that_were_changed_are_found(decided, capsys, changed):
    before = len(findings(capsys))
    CHANGES[changed](decided)
    assert len(findings(capsys)) == before + 1
