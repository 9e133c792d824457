"""The ledger's event types that this app writes, each with its meaning."""

from audit import ledger

ledger.register(
    {
        "decision.made": "A reviewer voted to approve or reject, bound to the digest they were shown.",
        "decision.withdrawn": "A reviewer took a vote back while the intent was pending.",
        "delegation.made": "Somebody let another person decide for them for a while, or said that they are away.",
        "delegation.revoked": "A delegation was ended before its time.",
        "glass_review.opened": "What was approved beyond the requirement waits to be looked at by somebody else.",
        "glass_review.closed": "Somebody said whether an approval beyond the requirement was justified.",
        "note.written": "Somebody commented on an intent, asked its agent, or the agent answered.",
        "notification_settings.changed": "Somebody changed what they are told by e-mail, and when.",
        "reveal.made": "A person revealed what an action type masks in an intent; others still see it masked.",
        "reporting_line.set": "An administrator wrote down who manages somebody, or that this is not on record.",
        "standing_approval.requested": "Somebody asked to approve in advance what an agent will ask.",
        "standing_approval.approved": "A second person approved it, or again after it was suspended: it is in force.",
        "standing_approval.refused": "A second person refused a standing approval.",
        "standing_approval.used": "An intent passed on a standing approval; which use of it that was.",
        "standing_approval.sampled": "An intent that a standing approval covers was given to people all the same.",
        "standing_approval.suspended": "People disagreed on too many samples of a standing approval: it is suspended.",
        "standing_approval.used_up": "The last use of a standing approval was made.",
        "standing_approval.over": "The time of a standing approval ended.",
        "standing_approval.revoked": "Somebody ended a standing approval.",
        "token.created": "A personal token for the API was made and shown once.",
        "token.revoked": "A personal token stopped being accepted.",
    }
)
