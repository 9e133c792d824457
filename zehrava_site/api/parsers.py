"""Request bodies, read once and strictly."""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import BaseParser

from zehrava import canonical
from zehrava.problems import Problem


class StrictJSONParser(BaseParser):
    """Strict JSON in UTF-8: what two readers could understand differently is refused with its path."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The parsed body. Raises Problem `malformed-json`, `too-large` or `unsupported-media-type`."""
        # RFC 9110, 8.4: taken for plain JSON, a coded body would be one thing here and another in front of us.
        request = (parser_context or {}).get("request")
        coding = request.headers.get("Content-Encoding", "") if request is not None else ""
        if coding.strip().lower() not in ("", "identity"):
            raise Problem("unsupported-media-type", "Send the body as plain JSON, without Content-Encoding.")
        limit = settings.ZEHRAVA_MAX_BODY
        # One byte more than allowed tells that there is too much, without ever holding all of it.
        body = stream.read(limit + 1)
        if not body.strip():
            raise Problem("malformed-json", "The body is empty; send a JSON object.", path="")
        try:
            return canonical.loads(body, max_bytes=limit)
        except canonical.StrictError as error:
            raise Problem(error.kind, error.reason, path=error.path) from error
