"""Answers as compact JSON."""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from rest_framework.renderers import BaseRenderer


class JSONRenderer(BaseRenderer):
    """Compact UTF-8 JSON; bytes are taken for JSON already encoded and pass unchanged."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """The bytes of the answer; raises ValueError for NaN and infinities, which are no JSON."""
        if isinstance(data, bytes):
            return data
        if data is None:
            return b""
        return encode(data)


def encode(data: Any) -> bytes:
    """Compact UTF-8 JSON of what views answer: JSON values, aware times and decimals (as text)."""
    return _ENCODER.encode(data).encode()


def _other(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"A {type(value).__name__} has no place in an answer.")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_other)
