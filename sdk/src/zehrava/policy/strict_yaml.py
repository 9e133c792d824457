"""The only YAML that policies and action types may use: plain mappings, lists and scalars, each with its place.

Scalars follow the YAML 1.2 core schema, so ``yes``, ``no``, ``on``, ``off`` and dates are strings. What another
reader could take for something else (anchors, tags, merge keys, duplicate keys, octal numbers) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from .errors import DocumentError, Fault

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 25_000
MAX_INTEGER = 2**53 - 1
MAX_KEY = 200
MAX_PATH = 1_000  # a place is kept for the path of every value: without a bound, long keys would fill the memory

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_PADDED = re.compile(r"[-+]?0[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_OTHER_BASE = re.compile(r"[-+]?0[oxb][0-9A-Fa-f_]+")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
# Characters that make a text read differently from what it says: drawn as nothing, or changing the direction.
_DECEPTIVE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff"
    "\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Line ends to this parser, but not to every editor: a rule could hide behind what is shown as a comment.
_ODD_LINE_END = re.compile("[\x85\u2028\u2029]|\r(?!\n)")
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFUSED = (
    (_CONTROL, "the control character {} must be written as an escape in double quotes"),
    (_DECEPTIVE, "the invisible or direction-changing character {} must be written as an escape in double quotes"),
    (_ODD_LINE_END, "{} does not end a line everywhere; end lines with LF or CRLF"),
)
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

Place = tuple[int, int]
"""Line and column, both from 1."""


class Document:
    """A parsed document: its data and where each part of it stands.

    ``places`` and ``keys`` map a path such as ``rules[2].when`` to the place of the value and of its key.
    """

    __slots__ = ("data", "keys", "places")

    def __init__(self) -> None:
        self.data: Any = None
        self.places: dict[str, Place] = {}
        self.keys: dict[str, Place] = {}

    def fault(self, path: str, reason: str) -> Fault:
        """A fault at the value under ``path``, or at the nearest part of the document that holds it."""
        return Fault(path, reason, *self._nearest(path, self.places))

    def fault_at_key(self, path: str, reason: str) -> Fault:
        """A fault at the key of ``path``: it should not be there at all."""
        if path in self.keys:
            return Fault(path, reason, *self.keys[path])
        return self.fault(path, reason)

    @staticmethod
    def _nearest(path: str, places: dict[str, Place]) -> Place:
        while path not in places and path:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return places.get(path, (1, 1))


def join(path: str, key: str | int) -> str:
    """The path of a member: ``rules``, 2 → ``rules[2]``; ``match``, "actions" → ``match.actions``."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{key[:80]!r}]"
    return f"{path}.{key}" if path else key


def read(text: str) -> Document:
    """Parse one document.

    Args:
        text: at most ``MAX_BYTES`` in UTF-8.

    Raises:
        DocumentError: with the place of the first thing that is not allowed.
    """
    _check_text(text)
    return _Composer(text).compose()


def _check_text(text: str) -> None:
    if not isinstance(text, str):
        raise DocumentError(f"A document is text, not {type(text).__name__}")
    if len(text) > MAX_BYTES:
        raise DocumentError(f"The document is longer than {MAX_BYTES // 1024} KiB; split it")
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise DocumentError(_fault_at(text, error.start, "half of a surrogate pair is not a character")) from None
    if size > MAX_BYTES:
        raise DocumentError(f"The document is longer than {MAX_BYTES // 1024} KiB; split it")
    if text.startswith("\ufeff"):
        raise DocumentError(_fault_at(text, 0, "the file starts with a byte order mark (U+FEFF); save it without one"))
    for characters, what in _REFUSED:
        found = characters.search(text)
        if found:
            raise DocumentError(_fault_at(text, found.start(), what.format(f"U+{ord(found.group()):04X}")))


def _fault_at(text: str, index: int, reason: str) -> Fault:
    before = text[:index]
    return Fault("", reason, before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1)


class _Frame:
    """A mapping or list that is being filled."""

    __slots__ = ("key", "path", "value")

    def __init__(self, value: Any, path: str) -> None:
        self.value = value
        self.path = path
        self.key: str | None = None


class _Composer:
    """Builds plain data from parser events, without recursion and giving up at the first excess."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.document = Document()
        self.frames: list[_Frame] = []
        self.nodes = 0
        self.documents = 0

    def compose(self) -> Document:
        try:
            for event in self._events():
                self._take(event)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise DocumentError(Fault("", f"not YAML: {error.problem or error.context}", *place)) from None
        except yaml.reader.ReaderError as error:
            index = error.position if isinstance(error.position, int) else 0
            raise DocumentError(_fault_at(self.text, index, f"not YAML: {error.reason}")) from None
        except (yaml.YAMLError, RecursionError) as error:
            raise DocumentError(f"not YAML: {error}") from None
        if not self.documents:
            raise DocumentError("The document is empty")
        return self.document

    def _events(self) -> Iterator[Any]:
        return yaml.parse(self.text, Loader=_Loader)

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open(event, {})
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open(event, [])
        elif isinstance(event, yaml.CollectionEndEvent):
            self.frames.pop()
        elif isinstance(event, yaml.AliasEvent):
            raise self._refuse(event, "anchors and aliases are not allowed; write the value out")
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self._refuse(event, "one document per file; remove the second '---'", path="")
            if event.tags or event.version:
                raise self._refuse(event, "YAML directives are not allowed", path="")

    def _open(self, event: Any, value: Any) -> None:
        self._check_node(event)
        frame = self.frames[-1] if self.frames else None
        if frame and isinstance(frame.value, dict) and frame.key is None:
            raise self._refuse(event, "a key must be a plain string")
        path = self._place(event, value)
        self.frames.append(_Frame(value, path))
        if len(self.frames) > MAX_DEPTH:
            raise self._refuse(event, f"nested deeper than {MAX_DEPTH}", path=path)

    def _scalar(self, event: Any) -> None:
        self._check_node(event)
        if "\0" in event.value:
            raise self._refuse(event, "U+0000 cannot be stored, and is in no payload either")
        frame = self.frames[-1] if self.frames else None
        if frame and isinstance(frame.value, dict) and frame.key is None:
            frame.key = self._key(event, frame)
            return
        self._place(event, self._resolve(event))

    def _key(self, event: Any, frame: _Frame) -> str:
        key = event.value
        if event.implicit[0] and key == "<<":
            raise self._refuse(event, "merge keys are not allowed; write the keys out")
        if event.implicit[0] and not isinstance(self._resolve(event), str):
            raise self._refuse(event, f"a key must be a string; put {key[:80]!r} in quotes")
        if len(key) > MAX_KEY:
            raise self._refuse(event, f"a key has at most {MAX_KEY} characters", path=frame.path)
        path = join(frame.path, key)
        if len(path) > MAX_PATH:
            raise self._refuse(event, f"the keys above this one are longer than {MAX_PATH} characters", path=frame.path)
        if key in frame.value:
            raise self._refuse(event, "this key stands here twice", path=path)
        self.document.keys[path] = _place_of(event)
        return key

    def _check_node(self, event: Any) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self._refuse(event, f"more than {MAX_NODES} values; split the document")
        if event.anchor is not None:
            raise self._refuse(event, "anchors and aliases are not allowed; write the value out")
        if event.tag is not None:
            raise self._refuse(event, f"tags such as {event.tag[:80]!r} are not allowed")

    def _place(self, event: Any, value: Any) -> str:
        path = ""
        if self.frames:
            frame = self.frames[-1]
            if isinstance(frame.value, dict):
                assert frame.key is not None
                path = join(frame.path, frame.key)
                frame.value[frame.key] = value
                frame.key = None
            else:
                path = join(frame.path, len(frame.value))
                frame.value.append(value)
        else:
            self.document.data = value
        self.document.places[path] = _place_of(event)
        return path

    def _resolve(self, event: Any) -> Any:
        value = event.value
        if not event.implicit[0]:
            return value
        if value in _NULLS:
            return None
        if value in _BOOLEANS:
            return _BOOLEANS[value]
        if value[0] in "+-.0123456789":
            return self._number(event, value)
        return value

    def _number(self, event: Any, value: str) -> Any:
        if _PADDED.fullmatch(value) or _OTHER_BASE.fullmatch(value):
            raise self._refuse(
                event, f"{value[:80]!r} could be octal or another base; write a decimal number or use quotes"
            )
        if _NOT_FINITE.fullmatch(value):
            raise self._refuse(event, f"{value[:80]!r} is not a number that can be compared")
        if _INTEGER.fullmatch(value):
            if len(value) > 17 or abs(int(value)) > MAX_INTEGER:
                raise self._refuse(event, "the number is beyond 2^53-1; put it in quotes")
            return int(value)
        if _FLOAT.fullmatch(value):
            number = float(value) if len(value) <= 400 else float("inf")
            if abs(number) > MAX_INTEGER:
                raise self._refuse(event, "the number is beyond 2^53-1; put it in quotes")
            return number
        return value

    def _refuse(self, event: Any, reason: str, *, path: str | None = None) -> DocumentError:
        if path is None:
            path = ""
            if self.frames:
                frame = self.frames[-1]
                path = frame.path
                if isinstance(frame.value, list):
                    path = join(path, len(frame.value))
                elif frame.key is not None:
                    path = join(path, frame.key)
        return DocumentError(Fault(path, reason, *_place_of(event)))


def _place_of(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1
