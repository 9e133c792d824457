"""CSV that a spreadsheet only reads (RFC 4180)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from zehrava import canonical

# A spreadsheet takes a cell for a formula by its first character; the wide forms count in some locales.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_NEGATIVE_NUMBER = re.compile(r"-[0-9]+(\.[0-9]+)?")


def lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """The CSV of these rows, each closed by CR LF."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([cell(value) for value in row] for row in rows)
    # A lone surrogate cannot be stored; should one appear, the export shows it instead of ending there.
    return buffer.getvalue().encode(errors="backslashreplace")


def cell(value: Any) -> str:
    """One cell: empty for null, canonical JSON for objects and lists, a leading quote where text could be a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return canonical.dumps(value).decode()
    if not isinstance(value, str):
        return str(value)
    if value.startswith(_FORMULA) and not _NEGATIVE_NUMBER.fullmatch(value):
        return "'" + value
    return value
