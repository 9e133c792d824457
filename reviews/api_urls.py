"""Addresses of the reviewers' API, below `/api/v1`."""

from django.urls import path

from reviews.api import DecisionsView, DecisionView, QueueView

urlpatterns = [
    path("intents/<str:intent_id>/decisions", DecisionsView.as_view(), name="intent-decisions"),
    path("decisions/<str:decision_id>", DecisionView.as_view(), name="decision"),
    path("queue", QueueView.as_view(), name="queue"),
]
