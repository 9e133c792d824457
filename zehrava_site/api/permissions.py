"""The permission of a view that names none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission

if TYPE_CHECKING:
    # The framework's views import this module while they load themselves.
    from rest_framework.request import Request
    from rest_framework.views import APIView


class Nobody(BasePermission):
    """Refuses everyone: a view that forgets to say who may call it answers nobody."""

    message = "Nobody may call this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return False
