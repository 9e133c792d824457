"""The vocabulary of the ledger: every event type and what it means. Apps add theirs with `ledger.register`."""

from __future__ import annotations

import re
from collections.abc import Mapping

EVENTS: dict[str, str] = {}
_DOTTED = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


def register(types: Mapping[str, str]) -> None:
    """Add event types: dotted name → one line that says what happened. Raises ValueError for an unusable name."""
    for name, meaning in types.items():
        if not _DOTTED.fullmatch(name) or len(name) > 64:
            raise ValueError(f"{name!r} is no event type: use dotted lower-case words, 64 characters at most.")
        if not meaning.strip():
            raise ValueError(f"Say in one line what {name!r} means.")
        EVENTS[name] = meaning


def register_default(name: str, meaning: str) -> None:
    """Add a type that an app may describe better: its own words stay."""
    if name not in EVENTS:
        register({name: meaning})
