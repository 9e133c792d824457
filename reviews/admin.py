"""Registers the desk's pages with the admin."""

from reviews import intent_admin, token_admin

__all__ = ["intent_admin", "token_admin"]
