"""Pages of long lists: by id, newest first, so that rows added meanwhile neither repeat nor hide others."""

import base64
import binascii
from typing import Any

from django.db.models import Func, IntegerField, QuerySet, Value
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from zehrava import ids
from zehrava.problems import Problem

OLDER, NEWER = "before", "after"


class ByteLength(Func):
    """How many bytes a text has; PostgreSQL knows without reading a large one."""

    function = "OCTET_LENGTH"
    arity = 1
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(
            compiler, connection, function="LENGTH", template="%(function)s(CAST(%(expressions)s AS BLOB))"
        )


class IdCursorPagination(BasePagination):
    """Keyset pages over ids that sort by time; a page costs the same wherever it lies.

    Where rows hold texts of any size, the view's `heavy` names the text's column: a page then ends with the row that
    takes its texts over `most_bytes`, and the rest is on the next one.
    """

    page_size = 50
    largest = 200
    most_bytes = 4 * 1024 * 1024

    def paginate_queryset(  # type: ignore[override]
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        """The rows of the page asked for. Raises Problem `invalid` for a limit or cursor that is none."""
        size = self._limit(request.query_params.get("limit"))
        direction, edge = self._cursor(request.query_params.get("cursor"))
        if direction == NEWER:
            queryset = queryset.filter(pk__gt=edge).order_by("pk")
        else:
            queryset = (queryset.filter(pk__lt=edge) if edge else queryset).order_by("-pk")
        shown, more = self._ids(queryset, size, getattr(view, "heavy", None))
        if direction == NEWER:
            shown.reverse()
        self.url = request.build_absolute_uri()
        self.older = self._link(OLDER, shown[-1]) if shown and (more or direction == NEWER) else None
        self.newer = self._link(NEWER, shown[0]) if shown and edge and (more or direction == OLDER) else None
        found = {row.pk: row for row in queryset.filter(pk__in=shown)}
        # What changed meanwhile and is none of those asked for any more is left out.
        return [found[pk] for pk in shown if pk in found]

    def _ids(self, queryset: QuerySet[Any], size: int, heavy: str | None) -> tuple[list[str], bool]:
        """The ids of one page in the order of `queryset`, and whether there are more; no row is read for it."""
        weight = ByteLength(heavy) if heavy else Value(0)
        rows = list(queryset.values_list("pk", weight)[: size + 1])
        shown: list[str] = []
        total = 0
        for pk, weighs in rows[:size]:
            shown.append(pk)
            total += weighs
            if total > self.most_bytes:
                break
        return shown, len(rows) > len(shown)

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self.older, "previous": self.newer})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["results", "next", "previous"],
            "properties": {
                "results": {"type": "array", "items": schema},
                "next": {**link, "description": "Older ones; null on the last page."},
                "previous": {**link, "description": "Newer ones; null on the first page."},
            },
        }

    def _limit(self, text: str | None) -> int:
        if text is None:
            return self.page_size
        if text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= self.largest:
            return int(text)
        raise Problem("invalid", f"The limit is a number from 1 to {self.largest}.", path="limit")

    def _cursor(self, text: str | None) -> tuple[str, str | None]:
        if text is None:
            return OLDER, None
        try:
            direction, edge = (
                base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True).decode("ascii").split(":")
            )
        except (ValueError, binascii.Error):
            direction, edge = "", ""
        if direction in (OLDER, NEWER) and edge[:3] in ids.PREFIXES and ids.is_id(edge, edge[:3]):
            return direction, edge
        raise Problem(
            "invalid", "This cursor was not made here; follow `next` or `previous` of an earlier answer.", path="cursor"
        )

    def _link(self, direction: str, edge: str) -> str:
        cursor = base64.urlsafe_b64encode(f"{direction}:{edge}".encode()).decode()
        return replace_query_param(remove_query_param(self.url, "cursor"), "cursor", cursor)
