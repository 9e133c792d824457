"""A document of another dialect is refused with the name of its own, and not read as a heap of unknown keys."""

from __future__ import annotations

from typing import Any

import pytest

from zehrava.policy import PolicyError, importers

GATE = "destinations: [crm.import]\nauto_approve_under: 10\n"
REBUNO = "rules: [{id: a, when: {tool: shell}, then: {decision: deny}}]\n"
AGT = "rules: [{name: a, condition: \"tool == 'x'\", action: deny}]\n"
OURS = "name: p\nmatch: {actions: [a.b]}\nrules: [{id: a, effect: block}]\n"
READ: dict[str, Any] = {"gate": importers.gate, "rebuno": importers.rebuno, "agt": importers.agt}


@pytest.mark.parametrize(("text", "dialect"), [(GATE, "gate"), (REBUNO, "rebuno"), (AGT, "agt")])
def test_each_is_read_as_what_it_is_and_as_nothing_else(text: str, dialect: str) -> None:
    READ[dialect](text, "p")
    for other in READ.keys() - {dialect}:
        with pytest.raises(PolicyError, match=f"import it with --from {dialect}"):
            READ[other](text, "p")


@pytest.mark.parametrize("dialect", READ)
def test_ours_needs_no_import_and_what_is_neither_is_refused(dialect: str) -> None:
    with pytest.raises(PolicyError, match="is a policy of ours already"):
        READ[dialect](OURS, "p")
    with pytest.raises(PolicyError, match="has none of its keys"):
        READ[dialect]("agent_control_specification_version: 1\ncontrols: []\n", "p")


def test_keys_of_gates_own_examples_that_ask_for_nothing_take_nothing_away() -> None:
    made = importers.gate(f"{GATE}delivery: one_time_only\nblock_if_pii: false\n", "p")
    assert not made.dropped and {note.path for note in made.notes} >= {"delivery", "block_if_pii"}
    asked = importers.gate(f"{GATE}block_if_pii: true\n", "p")
    assert "block_if_pii" in {each.path for each in asked.dropped}
