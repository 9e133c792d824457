"""What the ledger is told of how people prove who they are. Addresses and names of keys are content, for they can be
erased; passwords, codes and secrets are nowhere."""

from __future__ import annotations

from audit import ledger

SIGNED_IN = "person.signed_in"
SIGNED_OUT = "person.signed_out"
SIGN_IN_FAILED = "person.sign_in_failed"
FACTOR_ADDED = "person.factor_added"
FACTOR_REMOVED = "person.factor_removed"
FACTOR_USED = "person.factor_used"
CODES_MADE = "person.recovery_codes_made"

ledger.register(
    {
        SIGNED_IN: "Somebody signed in.",
        SIGNED_OUT: "Somebody signed out.",
        SIGN_IN_FAILED: "A password or a code was wrong, for the first, tenth, hundredth … time within an hour.",
        FACTOR_ADDED: "Somebody added a second factor to their account.",
        FACTOR_REMOVED: "A second factor of an account was removed.",
        FACTOR_USED: "Somebody proved who they are by a second factor.",
        CODES_MADE: "Somebody was given new recovery codes.",
    }
)
