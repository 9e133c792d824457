"""The fields of a payload that its action type says matter most, shown as what they are: SQL, a diff, recipients.

All of it stays text: what is put around it says what kind of text it is, and changes none of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from audit.text import visible
from reviews.presentation import grouped, plain, size_of, text
from zehrava.action_types import ActionType
from zehrava.sensitive import Masked

DOMAINS_SHOWN = 20
# A field up to this long is repeated above the tree, which has it whole in any case: items of a list, characters.
LISTED = 200
LONG = 20_000
_CHANGES = (
    "DELETE DROP TRUNCATE UPDATE INSERT ALTER CREATE GRANT REVOKE MERGE REPLACE EXECUTE CALL COPY VACUUM LOCK SET"
)
_READS = (
    "SELECT FROM WHERE JOIN LEFT RIGHT INNER OUTER FULL CROSS ON USING GROUP BY HAVING ORDER LIMIT OFFSET UNION ALL "
    "DISTINCT AS AND OR NOT NULL IS IN LIKE ILIKE BETWEEN EXISTS CASE WHEN THEN ELSE END WITH RETURNING VALUES INTO "
    "TABLE CASCADE BEGIN COMMIT ROLLBACK TRUE FALSE"
)
_WORD_KINDS = {**dict.fromkeys(_READS.split(), "is-word"), **dict.fromkeys(_CHANGES.split(), "is-change")}
_CURRENCY = re.compile(r"[A-Z]{3}")
_WORD = re.compile(r"[A-Za-z_]+")


def sql(value: str) -> SafeString:
    """SQL with its words marked, and those that change data above all.

    Also in what looks like a text or a comment: databases disagree on where those end, and some run comments.
    """
    parts, position = [], 0
    for found in _WORD.finditer(value):
        if kind := _WORD_KINDS.get(found[0].upper()):
            parts += [_plainly(value[position : found.start()]), _marked(kind, found[0])]
            position = found.end()
    return mark_safe(f'<span class="zhv-sql">{"".join([*parts, _plainly(value[position:])])}</span>')


def diff(value: str) -> SafeString:
    """A unified diff: what is added, what is taken out, and where, each with the sign that it begins with."""
    lines, in_hunk = [], False
    for line in value.split("\n"):
        in_hunk = line.startswith("@@") or (in_hunk and not line.startswith("diff "))
        lines.append(_marked(_line_kind(line, in_hunk), line) if line else "")
    return mark_safe(f'<span class="zhv-diff">{chr(10).join(lines)}</span>')


def url(value: str) -> SafeString:
    """An address as text, with the host that it leads to: what stands before an @ is none."""
    try:
        host = urlsplit(value).hostname
        leads = host.encode("idna").decode() if host and not host.isascii() else host
    except ValueError:
        leads = None
    told = format_html("leads to <b>{}</b>", text(leads)) if leads else mark_safe("leads to no host")
    return format_html('{} <span class="zhv-claimed">{}</span>', text(value), told)


def recipients(values: Sequence[str]) -> SafeString:
    """Addresses, all of them, with how many there are of each domain."""
    listed = mark_safe(", ".join(text(value) for value in values))
    return format_html("{}<br>{}", _recipients_told(values), listed)


def _recipients_told(values: Sequence[str]) -> SafeString:
    domains = Counter(value.rpartition("@")[2].strip(" >").lower() for value in values)
    counted = [f"{number:,} at {domain}" for domain, number in domains.most_common(DOMAINS_SHOWN)]
    if len(domains) > DOMAINS_SHOWN:
        counted.append(f"{len(domains) - DOMAINS_SHOWN:,} more domains")
    people = f"{len(values):,} recipient{'' if len(values) == 1 else 's'}"
    return format_html('<b>{}</b> <span class="zhv-claimed">{}</span>', people, text(", ".join(counted)))


RENDERED: Mapping[str, Callable[[str], SafeString]] = {"sql": sql, "diff": diff, "url": url}


@dataclass(frozen=True, slots=True)
class Field:
    """One of the action type's `present.fields`; `shown_as` is text, money, email, url, code, sql or diff."""

    label: SafeString
    value: SafeString
    shown_as: str


def fields(action_type: ActionType | None, payload: Any) -> list[Field]:
    """What the action type says matters most; the tree below it always has everything."""
    if action_type is None or not action_type.presentation:
        return []
    return [
        Field(visible(field.get("label") or field["path"].removeprefix("payload.")), *_field_value(field, payload))
        for field in action_type.presentation.get("fields") or ()
    ]


def _field_value(field: Mapping[str, str], payload: Any) -> tuple[SafeString, str]:
    shown_as = field.get("as", "text")
    found, value = _find(payload, field["path"].split(".")[1:])
    if not found:
        return mark_safe('<span class="zhv-mute">not given</span>'), "text"
    if isinstance(value, Masked):
        return text(value), "text"
    if isinstance(value, list) and value and all(isinstance(one, Masked) for one in value):
        return format_html("{} {}", size_of(value), text(value[0])), "text"
    if shown_as == "email" and _is_short_list(value) and all(isinstance(one, str) for one in value):
        return recipients(value), shown_as
    if _is_short_list(value):
        listed = mark_safe(", ").join(text(plain(member)) for member in value)
        return format_html("{} <span class='zhv-claimed'>({})</span>", mark_safe(listed), size_of(value)), shown_as
    if shown_as == "email" and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return format_html("{} <span class='zhv-mute'>, listed below</span>", _recipients_told(value)), shown_as
    if isinstance(value, dict | list):
        return format_html("<span class='zhv-mute'>{}, listed below</span>", size_of(value)), "text"
    words = plain(value)
    if len(words) > LONG:
        return format_html("<span class='zhv-mute'>{} characters, shown below</span>", f"{len(words):,}"), "text"
    if shown_as in RENDERED:
        return RENDERED[shown_as](words), shown_as
    if shown_as == "money":
        # The currency stands beside the amount, wherever it does in the payload.
        _, currency = _find(payload, [*field["path"].split(".")[1:-1], "currency"])
        in_currency = f" {currency}" if isinstance(currency, str) and _CURRENCY.fullmatch(currency) else ""
        return text(grouped(words) + in_currency), shown_as
    return text(words), shown_as


def _is_short_list(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= LISTED
        and all(isinstance(one, str | int | float) for one in value)
    )


def _find(value: Any, steps: list[str]) -> tuple[bool, Any]:
    for step in steps:
        if isinstance(value, Masked):
            break
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and _is_index(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return False, None
    return True, value


def _is_index(step: str) -> bool:
    # "²" is a digit and no number; Python refuses to read thousands of digits as one.
    return step.isascii() and step.isdigit() and len(step) < 10


def _plainly(part: str) -> SafeString | str:
    return text(part) if part else ""


def _marked(kind: str, part: str) -> SafeString:
    return format_html('<span class="{}">{}</span>', kind, text(part))


def _line_kind(line: str, in_hunk: bool) -> str:
    if line.startswith("@@") or (not in_hunk and line.startswith(("+++", "---", "diff ", "index "))):
        return "is-comment"
    return {"+": "is-added", "-": "is-taken"}.get(line[0], "is-same")
