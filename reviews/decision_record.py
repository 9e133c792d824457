"""The record of a decision: what it binds, signed with the portal's key so that it holds without the portal.

The record is an object whose RFC 8785 bytes `record_digest` covers and `signature` signs: a compact JWS (RFC 7515)
whose payload is left out, for the row holds it. Put back, it is what an auditor verifies with nothing but the portal's
public keys, see docs/auditors.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib.auth.models import User

from audit import signing
from audit.comparing import BATCH, Finding
from intents.representation import instant
from reviews.circumstances import Seen
from reviews.models import Decision
from reviews.presentation import RENDERING
from zehrava import canonical

VERSION = 5
TYPE = "zehrava-decision+jws"


def describe(decision: Decision, seen: Seen) -> None:
    """Fill in what the record holds beside the vote: by which rule, how it was drawn, where it came from."""
    verdict = decision.intent.verdict
    decision.record_version = VERSION
    decision.policy = {"name": verdict["policy"], "version": verdict["version"], "rule": verdict["rule"]}
    decision.rendering = RENDERING
    decision.door, decision.address = seen.door, seen.address
    decision.page_open_seconds, decision.whole_payload_seen = seen.open_seconds, seen.whole_payload


def sign(decision: Decision) -> None:
    """Bind the decision as it is now. Raises Problem `unavailable` where this portal cannot sign."""
    record = canonical.dumps(record_of(decision))
    decision.record_digest = canonical.digest(record)
    decision.signature = signing.sign(record, typ=TYPE)


def signed_record(decision: Decision) -> str:
    """The compact JWS with the record in it, as any JOSE library reads it; empty for what was never signed."""
    return signing.attach(decision.signature, canonical.dumps(record_of(decision))) if decision.signature else ""


def may_read(person: User, decision: Decision) -> bool:
    """Whether this person may have the record, in which the reviewer's address stands: auditors, and the reviewer."""
    return person.has_perm("audit.view_event") or person.pk == decision.reviewer_id


def record_of(decision: Decision) -> dict[str, Any]:
    """The decision as it is bound: the object whose RFC 8785 bytes `record_digest` covers."""
    changed = decision.changes is not None
    changes = {"changes": decision.changes, "shown_digest": decision.shown_digest} if changed else {}
    ground = {"ground": str(decision.ground)} if decision.ground else {}
    factor = {"factor": {"kind": decision.factor, "at": instant(decision.factor_at)}} if decision.factor else {}
    delegator = {}
    if decision.delegator_id is not None:
        delegator = {"delegator": {"id": str(decision.delegator_id), "name": decision.delegator_name}}
    described: dict[str, Any] = {}
    if decision.record_version is not None:
        factor, described = _factor_with_age(decision), _described(decision)
    return {
        "version": decision.record_version or (4 if factor else 3 if ground else 2 if changed else 1),
        **changes,
        **ground,
        **factor,
        **delegator,
        **described,
        "id": decision.pk,
        "intent": decision.intent_id,
        "reviewer": {"id": str(decision.reviewer_id), "name": decision.reviewer_name},
        "vote": str(decision.vote),
        "rationale": decision.rationale,
        "digest": decision.digest,
        "verdict_digest": decision.verdict_digest,
        "requirement_digest": decision.requirement_digest,
        "at": instant(decision.created_at),
    }


def _factor_with_age(decision: Decision) -> dict[str, Any]:
    if decision.factor is None or decision.factor_at is None:
        return {}
    age = int((decision.created_at - decision.factor_at).total_seconds())
    return {"factor": {"kind": str(decision.factor), "at": instant(decision.factor_at), "age_seconds": age}}


def _described(decision: Decision) -> dict[str, Any]:
    """The members that came with version 5."""
    page = {"open_seconds": decision.page_open_seconds, "whole_payload_seen": decision.whole_payload_seen}
    return {
        "policy": decision.policy,
        "rendering": decision.rendering,
        "stage": decision.stage,
        "page": None if decision.page_open_seconds is None else page,
        "from": None if decision.door is None else {"door": str(decision.door), "address": decision.address},
        **({"break_glass": True} if decision.break_glass else {}),
        **({"masked": decision.masked} if decision.masked else {}),
    }


def unlike_their_digests() -> Iterator[Finding]:
    """For `audit_check`: decisions whose words are not those that their record's digest and signature cover."""
    keys, table = signing.public_keys(), Decision._meta.db_table
    for decision in Decision.objects.order_by("pk").iterator(chunk_size=BATCH):
        record = canonical.dumps(record_of(decision))
        if canonical.digest(record) != decision.record_digest:
            yield Finding(table, decision.pk, "the record is not what its digest covers")
        elif decision.record_version is not None:
            try:
                signing.verify(decision.signature, record, typ=TYPE, keys=keys)
            except signing.NotSigned as error:
                yield Finding(table, decision.pk, f"the record's signature does not hold: {error}")
