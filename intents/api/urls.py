"""Addresses of the agents' API, below `/api/v1`."""

from django.urls import path

from intents.api.agents import MeView
from intents.api.executions import ClaimView, HeartbeatView, ReportView
from intents.api.intents import CancelView, IntentsView, IntentView
from intents.api.policies import EvaluateView

urlpatterns = [
    path("intents", IntentsView.as_view(), name="intents"),
    path("intents/<str:intent_id>", IntentView.as_view(), name="intent"),
    path("intents/<str:intent_id>/cancel", CancelView.as_view(), name="intent-cancel"),
    path("intents/<str:intent_id>/claim", ClaimView.as_view(), name="intent-claim"),
    path("executions/<str:execution_id>/heartbeat", HeartbeatView.as_view(), name="execution-heartbeat"),
    path("executions/<str:execution_id>/report", ReportView.as_view(), name="execution-report"),
    path("policies/evaluate", EvaluateView.as_view(), name="policies-evaluate"),
    path("agents/me", MeView.as_view(), name="agent-me"),
]
