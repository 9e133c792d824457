"""Telling people what concerns them: by e-mail, and to a group's channel by webhook.

Notifications follow the ledger. Nobody who proposes or decides waits for one, and none can fail a proposal or a
decision: a task reads what was recorded since (`following`), works out who is to be told (`audience`) and when
(`timing`, `preferences`), and stores a delivery for each; another step sends what is due (`sending`).
"""
