"""What goes to a channel: the body of a Slack-compatible incoming webhook.

Slack reads `blocks`, others, such as Mattermost, only `text`. In both, what an agent wrote stands in a code span, in
which neither makes links, mentions or markup; `&`, `<` and `>` are written as Slack asks, and backticks, which would
end the span, become apostrophes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reviews.notifications.contents import Item, Line, shown_plain

# Slack refuses a message with more blocks than 50, more fields of a section than 10, or longer texts than 2,000 there.
MOST_ITEMS = 12
_MOST_FIELDS = 10
_LONGEST = 1_700
_WRITTEN = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "'"})


def body(items: Sequence[Item]) -> dict[str, Any]:
    """The message that tells a channel these things, at most `MOST_ITEMS` of them."""
    return {
        "text": "\n".join(_line(each) for each in items),
        "blocks": [block for each in items for block in _blocks(each)],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def quoted(value: str) -> str:
    """Hostile text as a code span of one line."""
    plain = shown_plain(value).strip()
    if len(plain.translate(_WRITTEN)) > _LONGEST:
        plain = f"{plain[: _LONGEST // 5]} … (cut: the page shows all)"
    return f"`{plain.translate(_WRITTEN) or '–'}`"


def _line(each: Item) -> str:
    return f"*{_ours(each.headline)}* · {each.risk} · {quoted(each.title)}{_open(each)}"


def _blocks(each: Item) -> list[dict[str, Any]]:
    head = f"*{_ours(each.headline)}* · {each.risk}\n{quoted(each.title)}"
    fields = [{"type": "mrkdwn", "text": _field(line)} for line in each.lines[:_MOST_FIELDS]]
    blocks: list[dict[str, Any]] = [{"type": "section", "text": {"type": "mrkdwn", "text": head}, "fields": fields}]
    if each.link:
        opened = [{"type": "mrkdwn", "text": f"<{each.link}|Open the page> to read and decide; nothing decides here."}]
        blocks.append({"type": "context", "elements": opened})
    return blocks


def _field(line: Line) -> str:
    remark = f" ({quoted(line.remark)})" if line.remark else ""
    return f"*{_ours(line.label)}*\n{quoted(line.value)}{remark}"


def _open(each: Item) -> str:
    return f" · <{each.link}|Open the page>" if each.link else ""


def _ours(words: str) -> str:
    """Words of ours, perhaps with a person's name in them."""
    return shown_plain(words).translate(_WRITTEN).replace("*", "")
