"""Typed, frozen views of what the portal says about an intent and a permit; both clients build on them."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from zehrava import canonical
from zehrava.errors import IntegrityError, strange

PENDING = "pending_approval"
APPROVED = "approved"
# Nothing moves any more, or nothing will before a person acts.
FINISHED = frozenset({"blocked", "rejected", "expired", "cancelled", "succeeded", "failed", "indeterminate"})

# What the canonical intent takes from the portal's answer besides the payload.
_CANONICAL_FIELDS = (
    "id",
    "agent",
    "action",
    "summary",
    "context",
    "target",
    "tags",
    "records",
    "value",
    "on_behalf_of",
    "execution_mode",
)


@dataclass(frozen=True, repr=False)
class IntentView:
    """An intent as it was when the portal answered; `raw` is the whole answer."""

    id: str
    status: str
    action: str
    payload: Any
    digest: str
    proposal: Mapping[str, Any] | None
    summary: str | None
    context: Mapping[str, Any]
    target: str | None
    tags: tuple[str, ...]
    records: int | None
    value: Mapping[str, Any] | None
    agent: Mapping[str, Any]
    on_behalf_of: str | None
    execution_mode: str | None
    risk: Mapping[str, Any] | None
    verdict: Mapping[str, Any] | None
    requirement: Mapping[str, Any] | None
    decisions: tuple[Mapping[str, Any], ...]
    standing_approval: Mapping[str, Any] | None
    execution: Mapping[str, Any] | None
    questions: tuple[Mapping[str, Any], ...]
    created_at: datetime | None
    expires_at: datetime | None
    decided_at: datetime | None
    raw: Mapping[str, Any]
    _gate: Any = field(compare=False)

    @classmethod
    def parse(cls, raw: Mapping[str, Any], gate: Any) -> Self:
        """Read the portal's JSON; raises ServerError where it is not an intent."""
        for name in ("id", "status", "action", "digest"):
            if not isinstance(raw.get(name), str):
                raise strange(f"the answer is not an intent: it has no {name}")
        return cls(
            id=raw["id"],
            status=raw["status"],
            action=raw["action"],
            payload=raw.get("payload"),
            digest=raw["digest"],
            proposal=_object(raw, "proposal"),
            summary=raw.get("summary"),
            context=_object(raw, "context") or {},
            target=raw.get("target"),
            tags=tuple(_array(raw, "tags")),
            records=raw.get("records"),
            value=_object(raw, "value"),
            agent=_object(raw, "agent") or {},
            on_behalf_of=raw.get("on_behalf_of"),
            execution_mode=raw.get("execution_mode"),
            risk=_object(raw, "risk"),
            verdict=_object(raw, "verdict"),
            requirement=_object(raw, "requirement"),
            decisions=tuple(_array(raw, "decisions")),
            standing_approval=_object(raw, "standing_approval"),
            execution=_object(raw, "execution"),
            questions=tuple(_array(raw, "questions")),
            created_at=_time(raw, "created_at"),
            expires_at=_time(raw, "expires_at"),
            decided_at=_time(raw, "decided_at"),
            raw=raw,
            _gate=gate,
        )

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        # Not the payload: it may be huge or private, and reprs end up in logs.
        return f"<{type(self).__name__} {self.id} {self.status} {self.action!r}>"


@dataclass(frozen=True)
class PermitView:
    """The single-use right to carry an intent out, as claimed: exactly this `payload`, once."""

    token: str = field(repr=False)
    execution: Mapping[str, Any]
    payload: Any = field(repr=False)
    digest: str
    _gate: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def parse(cls, raw: Mapping[str, Any], gate: Any) -> Self:
        """Read the portal's JSON; raises ServerError where it is not a permit."""
        token, execution, digest = raw.get("token"), raw.get("execution"), raw.get("digest")
        if not isinstance(token, str) or not isinstance(digest, str) or "payload" not in raw:
            raise strange("the answer is not a permit")
        if not isinstance(execution, dict) or not isinstance(execution.get("id"), str):
            raise strange("the permit names no execution")
        return cls(token=token, execution=execution, payload=raw["payload"], digest=digest, _gate=gate)

    @property
    def execution_id(self) -> str:
        return str(self.execution["id"])


def verify_permit(intent: IntentView, permit: PermitView) -> None:
    """Recompute the digest over what was proposed and the permit's payload (promise 2, on the agent's side).

    An older portal may leave out a field of the canonical intent; then there is nothing to compare with. Raises
    IntegrityError where the digest differs.
    """
    if any(name not in intent.raw for name in _CANONICAL_FIELDS):
        return
    members = {name: intent.raw[name] for name in _CANONICAL_FIELDS}
    members["agent"] = intent.agent.get("id")
    try:
        expected = canonical.digest(canonical.dumps(canonical.intent(payload=permit.payload, **members)))
    except (TypeError, ValueError) as error:
        raise IntegrityError(f"Intent {intent.id} has no canonical form: do not carry it out.") from error
    if not hmac.compare_digest(expected.encode(), permit.digest.encode("utf-8", "replace")):
        raise IntegrityError(
            f"The permit for {intent.id} does not match its digest: the payload is not the one that was approved. "
            "Do not carry it out; tell the operator of the portal."
        )


def _object(raw: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    member = raw.get(name)
    if member is not None and not isinstance(member, dict):
        raise strange(f"the intent's {name} is not an object")
    return member


def _array(raw: Mapping[str, Any], name: str) -> list[Any]:
    member = raw.get(name)
    if member is not None and not isinstance(member, list):
        raise strange(f"the intent's {name} is not an array")
    return member or []


def _time(raw: Mapping[str, Any], name: str) -> datetime | None:
    member = raw.get(name)
    if member is None:
        return None
    try:
        return datetime.fromisoformat(member)
    except (TypeError, ValueError) as error:
        raise strange(f"the intent's {name} is not a time") from error
