"""Reading the data of a strict document: every surprise becomes a fault with its place, none is skipped."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any

from zehrava import durations

from .errors import Fault
from .strict_yaml import Document, join

_GUESSED = 20


def kind(value: Any) -> str:
    """How people call the type of a YAML value."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    names = {dict: "a mapping", list: "a list", str: "a string", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


class Shape:
    """Reads members of a document and collects faults. Each method returns the value, or None after a fault."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.faults: list[Fault] = []

    def fault(self, path: str, reason: str) -> None:
        self.faults.append(self.document.fault(path, reason))

    def mapping(
        self,
        value: Any,
        path: str,
        *,
        known: Collection[str],
        required: Collection[str] = (),
        later: Collection[str] = (),
        hints: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """A mapping with ``known`` keys only; keys in ``later`` are refused as not supported yet."""
        if not isinstance(value, dict):
            self.fault(path, f"must be a mapping, not {kind(value)}")
            return {}
        for key in value:
            if key in known:
                continue
            member = join(path, key)
            # Looking for what was meant takes longest; who has many faults has enough to read.
            few = len(self.faults) < _GUESSED
            like = difflib.get_close_matches(str(key)[:100], known, 1) if few else ()
            meant = f"did you mean {like[0]}? " if like else ""
            reason = f"unknown key; {meant}known here: {', '.join(known)}"
            if key in later:
                reason = f"{key} is not supported yet"
            elif hints and key in hints:
                reason = hints[key]
            self.faults.append(self.document.fault_at_key(member, reason))
        for key in required:
            if key not in value:
                self.fault(join(path, key), f"is missing: {key} is required")
        return value

    def string(
        self, value: Any, path: str, *, most: int, pattern: re.Pattern[str] | None = None, like: str = ""
    ) -> str | None:
        """A string of 1 to ``most`` characters, matching ``pattern`` (described by ``like``)."""
        if not isinstance(value, str):
            self.fault(path, f"must be a string, not {kind(value)}")
        elif not value.strip():
            self.fault(path, "must not be empty")
        elif len(value) > most:
            self.fault(path, f"has at most {most} characters")
        elif pattern and not pattern.fullmatch(value):
            self.fault(path, f"must be {like}")
        else:
            return value
        return None

    def choice(
        self, value: Any, path: str, choices: Collection[str], *, hints: Mapping[str, str] | None = None
    ) -> str | None:
        """One of ``choices``; ``hints`` is which of them others call by another word."""
        if isinstance(value, str) and value in choices:
            return value
        meant = (hints or {}).get(value) if isinstance(value, str) else None
        self.fault(path, f"must be one of {', '.join(choices)}" + (f"; did you mean {meant}?" if meant else ""))
        return None

    def boolean(self, value: Any, path: str) -> bool | None:
        """true or false; ``yes`` and ``on`` are strings."""
        if isinstance(value, bool):
            return value
        self.fault(path, f"must be true or false, not {kind(value)}")
        return None

    def integer(self, value: Any, path: str, *, least: int, most: int) -> int | None:
        """A whole number within bounds."""
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.fault(path, f"must be a whole number from {least} to {most}")
        return None

    def items(self, value: Any, path: str, *, most: int) -> list[Any]:
        """A list of 1 to ``most`` members."""
        if not isinstance(value, list):
            self.fault(path, f"must be a list, not {kind(value)}")
        elif not value:
            self.fault(path, "must not be an empty list")
        elif len(value) > most:
            self.fault(path, f"has at most {most} entries")
        else:
            return value
        return []

    def duration(self, value: Any, path: str) -> int | None:
        """Seconds of a duration such as ``15m``."""
        try:
            return durations.parse(value)
        except ValueError as error:
            self.fault(path, str(error))
            return None
