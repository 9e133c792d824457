"""Addresses of the reviewers' API, below `/api/v1`."""

from django.urls import path

from reviews.api import AnswersView, DecisionsView, DecisionView, QueueView, RecordView, RevealView

urlpatterns = [
    path("intents/<str:intent_id>/decisions", DecisionsView.as_view(), name="intent-decisions"),
    path("intents/<str:intent_id>/reveal", RevealView.as_view(), name="intent-reveal"),
    path("intents/<str:intent_id>/answers", AnswersView.as_view(), name="intent-answers"),
    path("decisions/<str:decision_id>", DecisionView.as_view(), name="decision"),
    path("decisions/<str:decision_id>/record", RecordView.as_view(), name="decision-record"),
    path("queue", QueueView.as_view(), name="queue"),
]
