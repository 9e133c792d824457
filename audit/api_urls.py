"""Addresses of the audit API, below `/api/v1`."""

from django.urls import path

from audit.api import EventsView, HistoryView

urlpatterns = [
    path("audit/events", EventsView.as_view(), name="audit-events"),
    path("audit/history/<slug:model>", HistoryView.as_view(), name="audit-history"),
]
