"""Admin pages to read and never to write, and lists whose rows are read about together."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.http import HttpRequest, HttpResponse


class ReadOnlyAdmin:
    """Mixin for a ModelAdmin: the list, the page and its history stay; adding, changing and deleting go.

    Django shows Save and Delete on a page that denies only some of the three, so all are denied and hidden.
    """

    list_per_page = 25
    show_full_result_count = False
    actions = None
    list_filter: Any = ()
    model: Any

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Only what there is a filter for is asked of a list by its address.

        Django lets an address ask anything of a row's own columns, which tells letter by letter what no page shows.
        """
        try:
            asked = self.model._meta.get_field(lookup.partition("__")[0])
        except FieldDoesNotExist:
            # The name of a filter, which knows what it takes; or of nothing.
            return super().lookup_allowed(lookup, value, request)  # type: ignore[misc]
        offered = {
            each[0] if isinstance(each, tuple) else getattr(each, "parameter_name", each) for each in self.list_filter
        }
        return asked.name in offered and super().lookup_allowed(lookup, value, request)  # type: ignore[misc]

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        hidden = dict.fromkeys(
            ("show_save", "show_save_and_continue", "show_save_and_add_another", "show_delete", "show_delete_link"),
            False,
        )
        return super().changeform_view(request, object_id, form_url, {**hidden, **(extra_context or {})})  # type: ignore[misc]


class RowsTogether:
    """Mixin for a ModelAdmin: what a page of its list has to know about its rows is read for all of them at once."""

    def read_together(self, rows: list[Any]) -> None:
        """Put onto these rows, one page of the list, what is shown of them."""
        raise NotImplementedError

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        listed = super().get_changelist(request, **kwargs)  # type: ignore[misc]
        read_together = self.read_together

        class Together(listed):  # type: ignore[misc, valid-type]
            def get_results(self, request: HttpRequest) -> None:
                super().get_results(request)
                self.result_list: list[Any] = list(self.result_list)
                read_together(self.result_list)

        return Together
