"""Registers the desk's pages with the admin."""

from reviews import intent_admin

__all__ = ["intent_admin"]
