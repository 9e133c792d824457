"""Telling one dialect from another: a document that is read as what it is not would be all unknown keys."""

from __future__ import annotations

from typing import Any

from .source import Source

GATE, REBUNO, AGT, OURS = "gate", "rebuno", "agt", "ours"

_NAMES = {
    GATE: "a policy of Zehrava Gate",
    REBUNO: "a bundle of Rebuno",
    AGT: "a policy of the Agent Governance Toolkit",
}
_GATE_KEYS = frozenset(
    {
        "destinations", "allowed_types", "environments", "rate_limits", "field_checks", "block_if_terms",
        "require_approval", "require_approval_over", "auto_approve_under", "require_approval_for",
        "require_approvals", "expiry_minutes", "on_no_response", "require_profile", "assurance",
    }
)  # fmt: skip
# What may stand in a document that says little; with none of its keys it is none of them.
_ALSO = {
    GATE: frozenset({"id", "name", "description", "approval_channel", *_GATE_KEYS}),
    REBUNO: frozenset({"rules", "default", "default_action"}),
    AGT: frozenset({"rules", "default_action", "defaults", "agent", "agents", "apiVersion", "extends"}),
}
_USUAL = {GATE: "destinations or require_approval", REBUNO: "rules", AGT: "rules"}


def refuse_another(source: Source, dialect: str) -> None:
    """Refuse a document that is plainly not of this dialect.

    Raises:
        PolicyError: saying which one it is, where that can be told.
    """
    found = _written_in(source.data)
    if found == OURS:
        raise source.refuse("", "is a policy of ours already: load it as it is")
    if found and found != dialect:
        raise source.refuse("", f"reads like {_NAMES[found]}: import it with --from {found}")
    if dialect == GATE and "rules" in source.data:
        raise source.refuse(
            "rules", "are unknown to Zehrava Gate, which goes by keys; is it a policy of another engine?"
        )
    if source.data and not source.data.keys() & _ALSO[dialect]:
        raise source.refuse("", f"is not {_NAMES[dialect]}: it has none of its keys, such as {_USUAL[dialect]}")


def _written_in(data: dict[str, Any]) -> str:
    """The dialect that these keys belong to; empty where they tell nothing."""
    listed = data.get("rules")
    rules = [rule for rule in listed if isinstance(rule, dict)] if isinstance(listed, list) else []
    keys = {key for rule in rules for key in rule}
    if "match" in data and "effect" in keys:
        return OURS
    if str(data.get("apiVersion", "")).startswith("governance.") or "condition" in keys:
        return AGT
    if keys & {"when", "then"}:
        return REBUNO
    return GATE if data.keys() & _GATE_KEYS else ""
