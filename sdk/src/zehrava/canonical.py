"""Strict JSON in, canonical JSON out: the bytes that are stored, shown, hashed and executed.

Reading follows I-JSON (RFC 7493) and is stricter where a lenient reader could be made to see something other than
the reviewer saw; writing follows RFC 8785.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NoReturn

import rfc8785

MAX_BYTES = 1_048_576
MAX_DEPTH = 32
MAX_NUMBER = 2**53 - 1
INTENT_VERSION = 1

_MAX_INTEGER_CHARACTERS = len(str(-MAX_NUMBER))


class StrictError(ValueError):
    """Input that is not strict JSON.

    `path` is the JSON Pointer (RFC 6901) of the offending value, "" for the whole; `reason` a sentence that says
    what to do; `kind` the kind of problem it makes, see `zehrava.problems`.
    """

    def __init__(self, path: str, reason: str, kind: Literal["too-large", "malformed-json"] = "malformed-json") -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason
        self.kind = kind


def pointer(*parts: str | int) -> str:
    """The JSON Pointer (RFC 6901) of the value reached by these keys and indexes."""
    return "".join("/" + _escape(str(part)) for part in parts)


def loads(data: bytes | str, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """Read strict JSON.

    A number without a fraction is an int, however it is written, as its canonical form is.
    `max_bytes` bounds the body, `max_depth` the nesting of arrays and objects (`[]` is 1 deep).
    Raises StrictError for everything that two readers could understand differently: duplicate keys, NaN, numbers
    beyond ±(2^53−1), U+0000, lone surrogates, a byte order mark, invalid UTF-8.
    """
    text = _text(data, max_bytes)
    _refuse_deep(text, max_depth)
    try:
        value = _FAST.decode(text)
    except (_Suspect, ValueError):
        _explain(text)
    # Either escape may also stand behind an escaped backslash, where it is harmless: look at the values then.
    if "\\u0000" in text or "\\ud" in text or "\\uD" in text:
        check(value, max_depth=max_depth)
    return value


def check(value: Any, *, max_depth: int = MAX_DEPTH) -> None:
    """Hold a Python value to the rules of `loads`, and to the types JSON has.

    Raises StrictError with the pointer of the first offending value in document order.
    """
    _check(value, "", max_depth)


def dumps(value: Any) -> bytes:
    """The RFC 8785 bytes of a value; raises StrictError where it has none.

    Most of what is written down holds text, integers and null under ASCII names; there the standard encoder gives the
    same bytes in a fifth of the time (a test compares the two), and the rest takes the general way.
    """
    try:
        if _is_plain(value):
            return _encode(value).encode()
        return rfc8785.dumps(value)
    except (ValueError, RecursionError) as error:
        check(value)
        raise StrictError("", f"This value has no canonical form: {error}.") from error


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def _is_plain(value: Any) -> bool:
    """Whether there is nothing in it but text, safe integers, booleans, null, and objects and lists of such."""
    items = value
    if type(value) is dict:
        for key in value:
            # ASCII names sort alike by code point and by UTF-16 unit, which is RFC 8785's order.
            if type(key) is not str or not key.isascii():
                return False
        items = value.values()
    elif type(value) is not list:
        items = (value,)
    for item in items:
        kind = type(item)
        if kind is str or item is None or kind is bool:
            continue
        if kind is int:
            if not -MAX_NUMBER <= item <= MAX_NUMBER:
                return False
        elif (kind is not dict and kind is not list) or not _is_plain(item):
            return False
    return True


def digest(data: bytes) -> str:
    """`sha256:` and the hexadecimal SHA-256 of the bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def intent(
    *,
    id: str,
    agent: str,
    action: str,
    payload: Any,
    summary: str | None = None,
    context: Mapping[str, Any] | None = None,
    target: str | None = None,
    tags: Sequence[str] = (),
    records: int | None = None,
    value: Mapping[str, Any] | None = None,
    on_behalf_of: str | None = None,
    execution_mode: str,
) -> dict[str, Any]:
    """The canonical intent: the object whose RFC 8785 bytes are hashed. `agent` is the agent's id.

    Every key is always there, so that absent and null can never be two different digests.
    """
    return {
        "version": INTENT_VERSION,
        "id": id,
        "agent": agent,
        "action": action,
        "payload": payload,
        "summary": summary,
        "context": {} if context is None else dict(context),
        "target": target,
        "tags": list(tags),
        "records": records,
        "value": None if value is None else dict(value),
        "on_behalf_of": on_behalf_of,
        "execution_mode": execution_mode,
    }


# Reading. One quick pass that accepts; only where it balks does a second one look for the culprit.


class _Suspect(Exception):
    """The quick pass met something to refuse; it does not know where."""


def _text(data: bytes | str, max_bytes: int) -> str:
    if isinstance(data, str):
        # Each character is at least one byte: a huge text is refused before it is copied.
        if len(data) > max_bytes:
            _too_large(max_bytes)
        try:
            size = len(data) if data.isascii() else len(data.encode())
        except UnicodeEncodeError as error:
            raise StrictError("", "The text holds a lone surrogate; send well-formed Unicode.") from error
        if size > max_bytes:
            _too_large(max_bytes)
        text = data
    else:
        if len(data) > max_bytes:
            _too_large(max_bytes)
        try:
            text = bytes(data).decode()
        except UnicodeDecodeError as error:
            raise StrictError("", f"Byte {error.start} is not valid UTF-8; send the body as UTF-8.") from error
    if text.startswith("\ufeff"):
        raise StrictError("", "The body starts with a byte order mark; send UTF-8 without one.")
    return text


def _too_large(max_bytes: int) -> NoReturn:
    raise StrictError("", f"The body is over {max_bytes} bytes; send less.", "too-large")


_BRACKET = re.compile(r'"[^"\\]*+(?:\\.?[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.?[^"\\]*+)*+"?|[\[{\]},]', re.DOTALL)


def _refuse_deep(text: str, max_depth: int) -> None:
    """Refuse deep nesting before a parser recurses into it."""
    if text.count("[") + text.count("{") <= max_depth:
        return
    depth = 0
    for token in _BRACKET.findall(text):
        if token in "[{":
            depth += 1
            if depth > max_depth:
                raise StrictError(
                    _pointer_of_depth(text, max_depth),
                    f"Arrays and objects nest more than {max_depth} deep; send a flatter value.",
                )
        elif token in "]}":
            depth -= 1


def _pointer_of_depth(text: str, max_depth: int) -> str:
    """The pointer of the first array or object nested deeper than `max_depth`; a best guess where it is not JSON."""
    parts: list[str | int] = []
    fresh_key = False
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in "[{":
            if len(parts) >= max_depth:
                break
            parts.append(0 if token == "[" else "")
            fresh_key = token == "{"
        elif token in "]}":
            if parts:
                parts.pop()
            fresh_key = False
        elif token == ",":
            if parts and isinstance(parts[-1], int):
                parts[-1] += 1
            else:
                fresh_key = True
        elif fresh_key and parts:
            try:
                parts[-1] = str(json.loads(token))
            except ValueError:
                return ""
            fresh_key = False
    return pointer(*parts)


def _quick_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Suspect
    return made


def _quick_int(digits: str) -> int:
    # Length first: int() refuses thousands of digits with an error of its own, and is slow before that.
    if len(digits) < _MAX_INTEGER_CHARACTERS - 1:
        return int(digits)
    if len(digits) > _MAX_INTEGER_CHARACTERS:
        raise _Suspect
    number = int(digits)
    if -MAX_NUMBER <= number <= MAX_NUMBER:
        return number
    raise _Suspect


def _quick_float(digits: str) -> float:
    number = float(digits)
    if -MAX_NUMBER <= number <= MAX_NUMBER:
        # Canonical form writes 5.0 and 5e0 as 5: whoever judges this must not tell them apart either.
        return int(number) if number.is_integer() else number
    raise _Suspect


def _quick_constant(name: str) -> NoReturn:
    raise _Suspect


_FAST = json.JSONDecoder(
    object_pairs_hook=_quick_object,
    parse_int=_quick_int,
    parse_float=_quick_float,
    parse_constant=_quick_constant,
)


class _Refused:
    """Stands in the parsed tree for a value to refuse, so that a walk can tell where it was."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class _Pairs(list[tuple[str, Any]]):
    """An object with its duplicate keys still in it."""


_BEYOND = "This number is beyond ±(2^53−1), where readers begin to disagree; send it as a string."


def _slow_int(digits: str) -> int | _Refused:
    try:
        return _quick_int(digits)
    except _Suspect:
        return _Refused(_BEYOND)


def _slow_float(digits: str) -> float | _Refused:
    try:
        return _quick_float(digits)
    except _Suspect:
        return _Refused(_BEYOND)


def _slow_constant(name: str) -> _Refused:
    return _Refused(f"{name} is not JSON; send null or leave it out.")


_SLOW = json.JSONDecoder(
    object_pairs_hook=_Pairs,
    parse_int=_slow_int,
    parse_float=_slow_float,
    parse_constant=_slow_constant,
)


def _explain(text: str) -> NoReturn:
    """Parse once more, this time keeping what is wrong in its place, and raise for the first of it."""
    try:
        tree = _SLOW.decode(text)
    except json.JSONDecodeError as error:
        reason = f"Line {error.lineno}, column {error.colno}: {error.msg}; send one well-formed JSON value."
        raise StrictError("", reason) from error
    for path, reason in _refusals(tree, ""):
        raise StrictError(path, reason)
    raise StrictError("", "This is not strict JSON.")  # both passes disagree: refuse all the same


def _refusals(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, _Refused):
        yield path, value.reason
    elif isinstance(value, _Pairs):
        seen = set()
        for key, member in value:
            below = f"{path}/{_escape(key)}"
            if key in seen:
                yield below, "This key stands twice in its object; keep one of them."
            seen.add(key)
            yield from _refusals(member, below)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _refusals(member, f"{path}/{index}")


# Checking


def _escape(key: str) -> str:
    """A key as a pointer shows it: RFC 6901, and never with a character that a log or header cannot hold."""
    if not key.isascii() or "\x00" in key:
        key = key.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    return key.replace("~", "~0").replace("/", "~1")


def _check(value: Any, path: str, depth_left: int) -> None:
    kind = type(value)
    if kind is str:
        _check_text(value, path)
    elif value is None or kind is bool:
        return
    elif kind is int:
        if not -MAX_NUMBER <= value <= MAX_NUMBER:
            raise StrictError(path, _BEYOND)
    elif kind is float:
        if not math.isfinite(value):
            raise StrictError(path, f"{value} is not JSON; send null or leave it out.")
        if not -MAX_NUMBER <= value <= MAX_NUMBER:
            raise StrictError(path, _BEYOND)
    elif isinstance(value, dict):
        _check_depth(path, depth_left)
        for key, member in value.items():
            if type(key) is not str:
                raise StrictError(path, f"The key {key!r:.50} is not a string; JSON objects have only string keys.")
            below = f"{path}/{_escape(key)}"
            _check_text(key, below)
            _check(member, below, depth_left - 1)
    elif isinstance(value, list):
        _check_depth(path, depth_left)
        for index, member in enumerate(value):
            _check(member, f"{path}/{index}", depth_left - 1)
    else:
        raise StrictError(
            path, f"A {kind.__name__} is not JSON; send an object, a list, a string, a number, true, false or null."
        )


def _check_depth(path: str, depth_left: int) -> None:
    if depth_left <= 0:
        raise StrictError(path, "Arrays and objects nest too deep here; send a flatter value.")


def _check_text(text: str, path: str) -> None:
    if "\x00" in text:
        raise StrictError(path, "U+0000 is refused, since many systems end a text there; remove it.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise StrictError(path, "This text holds a lone surrogate; send well-formed Unicode.") from error
