"""The ledger's event types that this app writes, each with its meaning."""

from audit import ledger

ledger.register(
    {
        "agent.created": "An agent was registered.",
        "agent.changed": "What is registered of an agent changed: its owner, environment, tier, labels or description.",
        "agent.suspended": "An agent was suspended: none of its keys is accepted.",
        "agent.resumed": "A suspended agent may act again.",
        "agent_key.created": "A key was made for an agent and shown once.",
        "agent_key.revoked": "A key stopped being accepted.",
        "action_type.activated": "A version of an action type came into force.",
        "action_type.retired": "An action type is no longer in force.",
        "policy.activated": "A version of a policy came into force.",
        "policy.disabled": "A policy is no longer in force.",
        "intent.proposed": "An agent proposed an intent; policy gave its verdict.",
        "intent.approved": "The intent may run: its requirement was met.",
        "intent.rejected": "Reviewers rejected the intent.",
        "intent.expired": "Nobody decided, or nobody claimed, in time.",
        "intent.cancelled": "The agent, an operator or the kill switch withdrew the intent.",
        "intent.integrity_failed": "What is stored is not what was approved: cancelled before any effect.",
        "intent.executing": "The single permit to carry the intent out was claimed.",
        "intent.succeeded": "The intent was carried out.",
        "intent.failed": "The intent was not carried out.",
        "intent.indeterminate": "Whether the intent was carried out is not known; a person has to find out.",
        "intent.settled": "A person found out what an indeterminate execution did, or had the intent run again.",
        "execution.queued": "An approved intent waits for a worker of the portal.",
        "execution.started": "The action may have begun.",
        "execution.succeeded": "The action was carried out.",
        "execution.failed": "The action was not carried out.",
        "execution.indeterminate": "Whether the action happened is not known.",
        "execution.cancelled": "The attempt was withdrawn before it was claimed.",
    }
)
