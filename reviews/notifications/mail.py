"""One mail to one person: text and HTML of the same, with links that only open pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from reviews.notifications.contents import (
    Item,
    Line,
    digest_headline,
    settings_address,
    shown_html,
    shown_plain,
    subject,
)
from reviews.notifications.models import Occasion

_WHY = {
    Occasion.ASK: "you can fill a seat of what waits",
    Occasion.OUTCOME: "you own the agent or voted",
    Occasion.NEEDS_PERSON: "you may settle executions",
    Occasion.MENTION: "somebody mentioned you",
    Occasion.ANSWER: "you asked the agent",
    Occasion.GLASS: "you are an auditor",
    Occasion.STANDING: "you asked for the standing approval or approved it",
}
_DOT_ATOM = re.compile(r"[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*")


def compose(person: User, items: Sequence[Item], *, key: str) -> EmailMultiAlternatives:
    """The mail that tells a person these things. `key` makes its Message-ID: the same for every attempt to send it."""
    message = EmailMultiAlternatives(
        subject=subject(items),
        body=render_to_string("email/notification.txt", _context(items, shown_plain)),
        to=[person.email],
        headers=_headers(items, key),
    )
    message.attach_alternative(render_to_string("email/notification.html", _context(items, shown_html)), "text/html")
    return message


def _headers(items: Sequence[Item], key: str) -> dict[str, str]:
    host = urlsplit(settings.BASE_URL).hostname or ""
    host = host if _DOT_ATOM.fullmatch(host) else "zehrava.invalid"
    headers = {
        # RFC 3834: no mail program answers it by itself.
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "Message-ID": f"<{key}@{host}>",
    }
    intents = {each.intent_id for each in items}
    if len(intents) == 1:
        # A message that nobody ever sent stands for the intent: all that is told of it is one thread below that.
        headers["References"] = headers["In-Reply-To"] = f"<{intents.pop()}@{host}>"
    return headers


def _context(items: Sequence[Item], shown: Any) -> dict[str, Any]:
    def line(one: Line) -> dict[str, Any]:
        return {"label": shown(one.label), "value": shown(one.value), "remark": shown(one.remark) if one.remark else ""}

    return {
        "subject": subject(items),
        "headline": digest_headline(items) if len(items) > 1 else None,
        "items": [
            {
                "headline": shown(each.headline),
                "title": shown(each.title),
                "risk": each.risk,
                "colour": each.colour,
                "lines": [line(one) for one in each.lines],
                "said": line(each.said) if each.said else None,
                "link": each.link,
                "asks": each.occasion == Occasion.ASK,
            }
            for each in items
        ],
        "why": " and ".join(dict.fromkeys(_WHY[each.occasion] for each in items)),
        "settings_address": settings_address(),
    }
