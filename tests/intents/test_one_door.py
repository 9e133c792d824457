"""Promise 5: only `intents/lifecycle.py` changes a status, and every change leaves history and an event."""

import ast
from pathlib import Path

import pytest

from audit.models import Event
from intents.models import Intent, Status
from reviews.decisions import decide
from tests.factories import make_intent, make_user

ROOT = Path(__file__).resolve().parents[2]
APPS = ("audit", "intents", "reviews", "zehrava_site")


def _writes_a_status(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        names = {keyword.arg for keyword in node.keywords}
        return node.func.attr in {"update", "bulk_update", "update_or_create"} and bool(names & {"status", "state"})
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(isinstance(target, ast.Attribute) and target.attr in {"status", "state"} for target in targets)
    return False


def test_no_other_module_writes_a_status():
    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for app in APPS
        for path in (ROOT / app).rglob("*.py")
        if path != ROOT / "intents" / "lifecycle.py" and "migrations" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if _writes_a_status(node) and "self" not in ast.unparse(node)
    ]
    assert offenders == []


@pytest.mark.django_db
def test_every_step_of_an_intent_has_its_history_row_and_its_event():
    intent = make_intent(action="a.b")
    decide(intent.pk, by=make_user(None, "reviewers"), vote="reject", digest=intent.digest, rationale="not today")
    steps = list(Intent.history.filter(id=intent.pk).order_by("history_id"))
    assert [step.status for step in steps] == [Status.PENDING_APPROVAL, Status.REJECTED]
    events = Event.objects.filter(subject_id=intent.pk).order_by("id")
    assert [event.type for event in events] == ["intent.proposed", "intent.rejected"]
    assert [event.pk for event in events] == [step.event_id for step in steps]
    assert [step.actor_kind for step in steps] == ["agent", "person"]


@pytest.mark.django_db
def test_history_and_ledger_hold_no_contents():
    secret = "a sentence that law may want erased"
    intent = make_intent(action="a.b", payload={"note": secret}, summary=secret, target=secret, context={"x": secret})
    decide(intent.pk, by=make_user(None, "reviewers"), vote="reject", digest=intent.digest, rationale=secret)
    for row in (*Intent.history.values(), *Event.objects.values()):
        assert secret not in str(row)
