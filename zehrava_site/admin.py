"""Registers this app's admin pages."""

from zehrava_site import people_admin

__all__ = ["people_admin"]
