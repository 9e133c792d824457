"""Reading somebody else's document strictly: what is not as it should be is refused with its place."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection
from typing import Any

from ..document import NAME
from ..errors import DocumentError, Fault, PolicyError
from ..shape import kind
from ..strict_yaml import MAX_BYTES, join, read
from .imported import Remark

MOST_ENTRIES = 500
_SUFFIX = re.compile(r"\.(ya?ml|json)$", re.ASCII)
_OPEN = re.compile(r"[ -~]{1,120}", re.ASCII)  # a name somebody can read in full
_PAIR = re.compile(r"(\\\\)|(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})", re.ASCII)
_METADATA = frozenset({"version", "kind", "created_at", "updated_at"})
_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


class Source:
    """A document in another dialect, and what is said about it while it is carried over."""

    def __init__(self, text: str) -> None:
        """Read ``text``, which is YAML or JSON.

        Raises:
            PolicyError: where it is neither, or holds no mapping.
        """
        try:
            self.document = read(_whole(text))
        except DocumentError as error:
            raise PolicyError(error.errors) from None
        self.dropped: list[Remark] = []
        self.notes: list[Remark] = []
        self.data = self.mapping(self.document.data, "")

    def refuse(self, path: str, reason: str) -> PolicyError:
        """An error at the value of ``path``."""
        return PolicyError(self.document.fault(path, reason))

    def drop(self, path: str, reason: str) -> None:
        """Say that what stands at ``path`` could not be carried over as it was."""
        self._say(self.dropped, path, reason)

    def note(self, path: str, reason: str) -> None:
        """Say that what stands at ``path`` means something else now."""
        self._say(self.notes, path, reason)

    def _say(self, remarks: list[Remark], path: str, reason: str) -> None:
        fault = self.document.fault_at_key(path, reason)
        remark = Remark(path, reason, fault.line, fault.column)
        if remark not in remarks:
            remarks.append(remark)

    def left_out(self, data: dict[str, Any], path: str) -> frozenset[str]:
        """Keys that decide nothing, in any dialect: said in passing."""
        for key in data:
            if key in _METADATA:
                self.note(join(path, key), "decides nothing and is left out; the portal keeps its own")
        return _METADATA.intersection(data)

    def mapping(self, value: Any, path: str) -> dict[str, Any]:
        """A mapping; nothing is an empty one."""
        if value is None and path:
            return {}
        if not isinstance(value, dict):
            raise self.refuse(path, f"must be a mapping, not {kind(value)}")
        return value

    def items(self, value: Any, path: str, *, most: int = MOST_ENTRIES) -> list[Any]:
        """A list, also an empty one; nothing is one too."""
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.refuse(path, f"must be a list, not {kind(value)}")
        if len(value) > most:
            raise self.refuse(path, f"has at most {most} entries; split the document")
        return value

    def text(self, value: Any, path: str, *, most: int = 2_000) -> str:
        """A text that is not empty."""
        if not isinstance(value, str):
            raise self.refuse(path, f"must be a string, not {kind(value)}")
        if not value.strip():
            raise self.refuse(path, "must not be empty")
        if len(value) > most:
            raise self.refuse(path, f"has at most {most} characters")
        return value

    def texts(self, value: Any, path: str, *, most: int = 2_000) -> list[str]:
        """A list of texts, each with the place of its own."""
        return [self.text(entry, join(path, index), most=most) for index, entry in enumerate(self.items(value, path))]

    def readable(self, value: Any, path: str) -> str:
        """A name of at most 120 characters without anything invisible in it."""
        text = self.text(value, path, most=120)
        if visible(text) != text or text != text.strip():
            raise self.refuse(path, "must be a name without invisible characters or spaces around it")
        return text

    def whole(self, value: Any, path: str, *, least: int, most: int) -> int:
        """A whole number within bounds."""
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.refuse(path, f"must be a whole number from {least} to {most}")
        return value

    def number(self, value: Any, path: str) -> int | float:
        """Any number."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(path, f"must be a number, not {kind(value)}")
        return value

    def boolean(self, value: Any, path: str) -> bool:
        """true or false."""
        if not isinstance(value, bool):
            raise self.refuse(path, f"must be true or false, not {kind(value)}")
        return value

    def choice(self, value: Any, path: str, choices: Collection[str]) -> str:
        """One of ``choices``."""
        if not isinstance(value, str) or value not in choices:
            raise self.refuse(path, f"must be one of {', '.join(choices)}")
        return value


def _whole(text: str) -> str:
    """JSON writes a character beyond U+FFFF as two escapes, which YAML does not know: the character itself instead."""
    if not isinstance(text, str) or len(text) > MAX_BYTES or not text.lstrip().startswith("{"):
        return text
    return _PAIR.sub(lambda found: found[1] or json.loads(f'"{found[2]}"'), text)


def policy_name(source: Source, name: str) -> str:
    """The name of the policy that is made, from the name of a file or from what somebody chose.

    An ending such as ``.yaml`` is taken off and what our names cannot hold is replaced, with a note.

    Raises:
        PolicyError: for a path, for letters that are not plain ASCII and for anything that cannot be read.
    """
    if not isinstance(name, str) or not _OPEN.fullmatch(name):
        raise PolicyError(Fault("name", f"{quoted(name)} is no name for a policy; use plain letters and digits"))
    if "/" in name or "\\" in name or ".." in name:
        raise PolicyError(Fault("name", f"{quoted(name)} is a path; give the name alone"))
    name = _SUFFIX.sub("", name)
    made = slug(name)
    if not made:
        raise PolicyError(Fault("name", f"{quoted(name)} is no name for a policy; use plain letters and digits"))
    if made != name:
        source.note("", f"the policy is called {made!r} here, not {quoted(name)}")
    return made


def slug(text: str) -> str:
    """Lower-case letters, digits, ``_``, ``.`` and ``-`` made of any text, at most 63; empty where nothing is left."""
    made = re.sub(r"[^a-z0-9_.-]+", "-", text.lower()).strip("-._")[:63].rstrip("-._")
    return made if NAME.fullmatch(made) else ""


def visible(text: str) -> str:
    """``text`` without control, format and unassigned characters."""
    return "".join(each for each in text if unicodedata.category(each) not in _INVISIBLE)


def prose(text: str, *, most: int = 500) -> str:
    """A text for people: one line, nothing invisible, no braces (they would refer to the intent), cut to ``most``."""
    plain = " ".join(visible(re.sub(r"\s+", " ", text)).split()).replace("{", "(").replace("}", ")")
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def quoted(value: Any, *, most: int = 80) -> str:
    """A value of the source as it may be shown: in quotes, everything unusual escaped, cut to ``most`` characters."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= most else text[: most - 1] + "…"
