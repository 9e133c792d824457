"""Who may read and take evidence."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from rest_framework.permissions import BasePermission
from rest_framework.request import Request


def may_export(user: Any) -> bool:
    """Whether this is an active person who may view events and export them; never an agent."""
    return isinstance(user, get_user_model()) and user.has_perms(["audit.view_event", "audit.export_event"])


class MayExport(BasePermission):
    """Auditors: people with both permissions on events."""

    message = "Exports are for auditors: people who may view and export events."

    def has_permission(self, request: Request, view: Any) -> bool:
        return may_export(request.user)
