"""Deliveries in the admin: what was told to whom, what waits, and what could not be sent. To read only."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display

from audit.admin_readonly import ReadOnlyAdmin
from audit.text import visible
from intents.governed_admin import link_to
from intents.readable_admin import OfReadableIntents
from reviews.models import Delivery
from reviews.notifications.states import COLOURS, SENT, WAITING, state_of


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [("waiting", WAITING), ("trouble", "With trouble"), ("sent", SENT), ("dropped", "Not sent")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        conditions = {
            "waiting": Q(sent_at=None, dropped=""),
            "trouble": ~Q(trouble=""),
            "sent": Q(sent_at__isnull=False),
            "dropped": ~Q(dropped=""),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


@admin.register(Delivery)
class DeliveryAdmin(OfReadableIntents, ReadOnlyAdmin, ModelAdmin):  # type: ignore[misc]
    list_display = (
        "shown_occasion",
        "intent_link",
        "recipient",
        "shown_way",
        "shown_state",
        "due_at",
        "sent_at",
        "shown_trouble",
    )
    list_filter = (StateFilter, "occasion", "way")
    list_select_related = ("intent", "person")
    search_fields = ("=intent__id", "^person__username", "=channel")
    search_help_text = "Id of an intent, beginning of a person's name, or a group"
    nothing_yet = (
        "Each e-mail and each message to a channel is listed here, with what went wrong where it could not be sent."
    )
    fields = (
        "shown_occasion", "intent_link", "recipient", "shown_way", "shown_state", "created_at", "due_at", "sent_at",
        "attempts", "shown_trouble", "event_id",
    )  # fmt: skip

    @display(description="told of", ordering="occasion")
    def shown_occasion(self, delivery: Delivery) -> str:
        return delivery.get_occasion_display()

    @display(description="intent", ordering="intent_id")
    def intent_link(self, delivery: Delivery) -> SafeString:
        return link_to("intents_intent_change", delivery.intent_id, delivery.intent.action)

    @display(description="to")
    def recipient(self, delivery: Delivery) -> SafeString:
        return visible(delivery.person or f"channel {delivery.channel}")

    @display(description="way", ordering="way")
    def shown_way(self, delivery: Delivery) -> SafeString:
        return format_html('<span class="zhv-nowrap">{}</span>', delivery.get_way_display())

    @display(description="state", label=COLOURS)
    def shown_state(self, delivery: Delivery) -> str:
        return state_of(delivery)

    @display(description="trouble")
    def shown_trouble(self, delivery: Delivery) -> SafeString | str:
        return visible(delivery.trouble) if delivery.trouble else "–"
