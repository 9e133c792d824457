"""The ledger, history and exports: what happened, recorded so that nobody can change it and anybody can check it."""
