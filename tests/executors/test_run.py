"""The door to all executors: whatever happens behind it becomes an outcome, and only a known one."""

import pytest

from intents import executors
from intents.executors import NotBegun, Outcome


@pytest.fixture
def plug(monkeypatch):
    """Put an executor of the test's own behind the name `noop`."""
    return lambda executor: monkeypatch.setitem(executors._EXECUTORS, "noop", executor)


def test_the_executors_are_http_email_and_noop():
    assert executors.names() == {"http", "email", "noop"}
    assert all(callable(executors.get(name)) for name in executors.names())
    assert executors.get("command") is None


def test_noop_succeeds(order):
    assert executors.run("noop", order(), 5) == Outcome("succeeded", {"noop": True})


def test_an_unknown_executor_is_a_failure(order):
    outcome = executors.run("command", order(), 5)
    assert outcome.state == "failed"
    assert "'command'" in outcome.result["error"]


def test_an_executor_that_has_not_begun_failed(order, plug):
    def carry_out(order, *, seconds):
        raise NotBegun("The target is closed.", opens="Monday")

    plug(carry_out)
    outcome = executors.run("noop", order(), 5)
    assert outcome == Outcome("failed", {"error": "The target is closed.", "opens": "Monday"})


@pytest.mark.parametrize("error", [RuntimeError("token hunter2"), OSError("hunter2"), MemoryError(), TimeoutError()])
def test_any_other_exception_is_not_known_and_its_words_are_kept_nowhere(order, plug, caplog, error):
    def carry_out(order, *, seconds):
        raise error

    plug(carry_out)
    outcome = executors.run("noop", order(), 5)
    assert outcome.state == "indeterminate"
    assert type(error).__name__ in outcome.result["error"]
    assert type(error).__name__ in caplog.text
    assert "hunter2" not in repr(outcome) + caplog.text


@pytest.mark.parametrize("answer", [None, True, "succeeded", Outcome("done"), {"state": "succeeded"}])
def test_an_answer_that_is_no_outcome_is_not_known(order, plug, answer):
    plug(lambda order, *, seconds: answer)
    assert executors.run("noop", order(), 5).state == "indeterminate"


@pytest.mark.parametrize("state", ["succeeded", "failed", "indeterminate"])
def test_a_result_that_cannot_be_stored_does_not_cost_the_outcome(order, plug, state):
    plug(lambda order, *, seconds: Outcome(state, {"said": "a\x00b", "object": object()}))
    outcome = executors.run("noop", order(), 5)
    assert outcome.state == state
    assert "cannot be stored" in outcome.result["error"]


def test_an_order_does_not_show_its_contents(order):
    shown = repr(order({"card": "4242"}, credentials="crm", headers={"X-Key": "hunter2"}))
    assert "4242" not in shown
    assert "hunter2" not in shown
