"""The ledger's event types that this app writes, each with its meaning."""

from audit import ledger

ledger.register(
    {
        "decision.made": "A reviewer voted to approve or reject, bound to the digest they were shown.",
        "decision.withdrawn": "A reviewer took a vote back while the intent was pending.",
        "note.written": "Somebody commented on an intent, asked its agent, or the agent answered.",
        "token.created": "A personal token for the API was made and shown once.",
        "token.revoked": "A personal token stopped being accepted.",
    }
)
