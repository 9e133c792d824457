"""Registers the desk's pages with the admin."""

from reviews import (
    delegation_admin,
    delivery_admin,
    glass_review_admin,
    intent_admin,
    standing_admin,
    token_admin,
)

__all__ = [
    "delegation_admin",
    "delivery_admin",
    "glass_review_admin",
    "intent_admin",
    "standing_admin",
    "token_admin",
]
