"""The sidebar's part for auditors."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from audit.history import history_models
from audit.permissions import may_export


def evidence(request: HttpRequest) -> list[dict[str, Any]]:
    """Items of the section "Evidence" that this person may open; [] for everybody else."""
    items: list[dict[str, Any]] = []
    if request.user.has_perm("audit.view_event"):
        items.append({"title": "Events", "icon": "receipt_long", "link": reverse("admin:audit_event_changelist")})
        link = reverse("admin:audit_signingkey_changelist")
        items.append({"title": "Signing keys", "icon": "key_vertical", "link": link})
        for model in history_models():
            tracked = model.instance_type  # type: ignore[attr-defined]
            title = f"History of {tracked._meta.verbose_name_plural}"
            link = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
            items.append({"title": title, "icon": "history", "link": link})
    if may_export(request.user):
        items.append({"title": "Export", "icon": "download", "link": reverse("admin:audit_export")})
    return items
