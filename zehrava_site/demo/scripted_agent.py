"""The demo's agents at work: they propose through the REST API with the SDK, and carry out what is theirs to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.wsgi import get_wsgi_application

from audit import clock
from audit.actors import Actor
from intents import agents
from intents.models import Agent, IdempotencyKey, Intent, Status
from zehrava import Gate, WaitTimeout, ZehravaError
from zehrava import Intent as ProposedIntent
from zehrava_site.demo.people import OWNER
from zehrava_site.demo.script import AGENTS, PROPOSALS, Proposal

# Seconds that the demo waits for each thing that the portal's workers carry out.
PATIENCE = 10.0


@dataclass(frozen=True)
class Made:
    """A proposal, the intent that came of it, and whether this run proposed it."""

    proposal: Proposal
    intent: Intent
    new: bool


def register_agents(*, by: Actor) -> list[Agent]:
    """The demo's agents; those that are missing are registered."""
    owner = get_user_model()._default_manager.get(username=OWNER)
    existing = {agent.name: agent for agent in Agent.objects.all()}
    return [
        existing.get(agent.name)
        or agents.register_agent(name=agent.name, owner=owner, description=agent.description, by=by)
        for agent in AGENTS
    ]


def propose_all(registered: Sequence[Agent], *, url: str, by: Actor) -> list[Made]:
    """Propose what is not there yet; returns every proposal with its intent.

    Where no portal of this database serves at `url`, the same requests are answered in this process.
    """
    named = {agent.name: agent for agent in registered}
    due = {proposal: key for proposal in PROPOSALS if (key := _due_key(proposal, named[proposal.agent]))}
    for agent in registered:
        mine = {proposal: key for proposal, key in due.items() if proposal.agent == agent.name}
        if mine:
            with _gate(agent, url, by) as (gate, served):
                _work(gate, mine, patience=PATIENCE if served else 0)
    newest = {proposal: _newest(proposal, named[proposal.agent]) for proposal in PROPOSALS}
    return [Made(proposal, key.intent, proposal in due) for proposal, key in newest.items() if key]


def answers(url: str) -> bool:
    """Whether a portal serves there."""
    try:
        with httpx.Client(transport=httpx.HTTPTransport(), timeout=2) as client:
            return client.get(f"{url}/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def _work(gate: Gate, mine: dict[Proposal, str], *, patience: float) -> None:
    proposed = [_propose(gate, proposal, key) for proposal, key in mine.items()]
    for intent in proposed:
        if intent.status != "approved":
            continue
        if intent.execution_mode == "agent":
            # A real agent would call the payment service or the deployment tool between these two lines.
            permit = intent.claim()
            permit.succeeded({"demo": "nothing was really done"})
        elif patience:
            with contextlib.suppress(WaitTimeout):
                intent.wait_finished(patience)


def _propose(gate: Gate, proposal: Proposal, key: str) -> ProposedIntent:
    return gate.propose(
        proposal.action, proposal.payload, summary=proposal.summary, idempotency_key=key, **proposal.members
    )


@contextlib.contextmanager
def _gate(agent: Agent, url: str, by: Actor) -> Iterator[tuple[Gate, bool]]:
    """A gate for the agent and whether a portal serves it; its key lives no longer than this."""
    key, text = agents.create_key(agent, by=by)
    try:
        served = _serves(url, agent, text)
        # No proxy of the environment stands between this machine and itself.
        transport = httpx.HTTPTransport() if served else httpx.WSGITransport(app=get_wsgi_application())
        with Gate(url if served else settings.BASE_URL, text, transport=transport) as gate:
            yield gate, served
    finally:
        agents.revoke_key(key, by=by)


def _serves(url: str, agent: Agent, key: str) -> bool:
    """Whether what answers there is a portal on this database: one that knows the key just made."""
    if not answers(url):
        return False
    try:
        with Gate(url, key, transport=httpx.HTTPTransport(), retries=0) as gate:
            return bool(gate.me()["id"] == agent.pk)
    except ZehravaError:
        return False


def _due_key(proposal: Proposal, agent: Agent) -> str | None:
    """The idempotency key under which the proposal is to be made now; None where it is there already."""
    newest = _newest(proposal, agent)
    if newest is None:
        return f"{_stem(proposal)}1"
    intent = newest.intent
    pending = intent.status == Status.PENDING_APPROVAL and intent.expires_at > clock.now()
    if pending or not proposal.waits:
        return None
    return f"{_stem(proposal)}{int(newest.key.removeprefix(_stem(proposal))) + 1}"


def _newest(proposal: Proposal, agent: Agent) -> IdempotencyKey | None:
    keys = IdempotencyKey.objects.filter(agent=agent, key__startswith=_stem(proposal))
    return keys.select_related("intent").order_by("-id").first()


def _stem(proposal: Proposal) -> str:
    return f"demo-{proposal.slug}/"
