"""Changing a payload in the browser: its values as fields, the same as JSON, and what differs in words.

A field never shows what an eye cannot see: text with hidden characters is changed as JSON, where they are written out.
What a form sends is a whole changed payload; what is stored is the JSON Patch between the two (`intents.amending`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.utils.safestring import SafeString, mark_safe

from audit.text import is_hidden
from reviews.presentation import floods, size_of, text
from reviews.tree import tree
from zehrava import canonical
from zehrava.problems import Problem
from zehrava.sensitive import Masked

# A payload of more values than this is changed as JSON.
FIELDS = 60
LONGEST = 5_000
# Lists longer than this are compared by what is taken from their ends and what is left between.
ALIGNED = 200
# So many places are told apart; what differs in more is shown as what it was and what it is.
PLACES = 400

Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """One value of the payload; `kind` is text, lines, number, truth or fixed (to be changed as JSON only).

    `leave_out` is the name of the box that takes this item out of its list; empty where it is in none.
    """

    name: str
    label: SafeString
    kind: str
    value: str
    shown: SafeString
    leave_out: str = ""
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where two payloads differ; None where there is nothing on that side."""

    place: SafeString
    before: SafeString | None
    after: SafeString | None


# --- fields ---------------------------------------------------------------------------------------------------------


def fields(payload: Any, typed: Mapping[str, str] | None = None) -> list[Field] | None:
    """The values of a payload as fields, with what was `typed` into them; None where it is better changed as JSON."""
    found = []
    for number, (steps, value, in_list) in enumerate(_values(payload, (), False)):
        if number == FIELDS:
            return None
        name = f"value-{number}"
        kind = _kind(value)
        before = _plain(value)
        found.append(
            Field(
                name=name,
                label=text(_label(steps)),
                kind=kind,
                value=before if typed is None else _unix(typed.get(name, before)),
                shown=text(before),
                leave_out=f"without-{number}" if in_list else "",
                left_out=typed is not None and f"without-{number}" in typed,
            )
        )
    return found


def changed_by_fields(payload: Any, typed: Mapping[str, str]) -> Any:
    """The payload with what was typed into its fields. Raises Problem `invalid`, with the field's name as `path`."""
    taken_out: list[Steps] = []
    changed = json.loads(canonical.dumps(payload))
    for number, (steps, value, in_list) in enumerate(_values(payload, (), False)):
        if in_list and f"without-{number}" in typed:
            taken_out.append(steps)
            continue
        name = f"value-{number}"
        if name in typed and _kind(value) != "fixed" and _unix(typed[name]) != _unix(_plain(value)):
            changed = _with(changed, steps, _read(value, _unix(typed[name]), name))
    for steps in reversed(taken_out):
        holder = changed
        for step in steps[:-1]:
            holder = holder[step]
        del holder[steps[-1]]
    return changed


def _values(value: Any, steps: Steps, in_list: bool) -> Iterator[tuple[Steps, Any, bool]]:
    """Every value that has no members, in canonical order, with its place and whether it is an item of a list."""
    if isinstance(value, dict) and value:
        for key in sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass")):
            yield from _values(value[key], (*steps, key), False)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _values(item, (*steps, index), True)
    else:
        yield steps, value, in_list


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        return "number"
    if not isinstance(value, str) or len(value) > LONGEST or _hides(value) or floods(value):
        return "fixed"
    return "lines" if "\n" in value or len(value) > 80 else "text"


def _hides(value: str) -> bool:
    return any(is_hidden(character) or character == "\r" for character in value if character != "\n")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else canonical.dumps(value).decode()


def _unix(typed: str) -> str:
    # Browsers send CRLF for every end of a line.
    return typed.replace("\r\n", "\n").replace("\r", "\n")


def _read(before: Any, typed: str, name: str) -> Any:
    if isinstance(before, str):
        return typed
    try:
        value = canonical.loads(typed.strip())
    except canonical.StrictError as error:
        raise Problem("invalid", f"{typed[:80]!r} is no JSON value: {error}", path=name) from error
    if isinstance(before, bool) != isinstance(value, bool) or not isinstance(value, bool | int | float):
        what = "true or false" if isinstance(before, bool) else "a number"
        told = f"{typed[:60]!r} is not {what}. To put something else there, edit the JSON."
        raise Problem("invalid", told, path=name)
    return value


def _with(payload: Any, steps: Steps, value: Any) -> Any:
    if not steps:
        return value
    holder = payload
    for step in steps[:-1]:
        holder = holder[step]
    holder[steps[-1]] = value
    return payload


def _label(steps: Steps) -> str:
    """`lines › 2 › amount`; items of lists count from 1, as in the tree."""
    return " › ".join(str(step + 1) if isinstance(step, int) else step or "(empty name)" for step in steps) or "(value)"


# --- JSON -----------------------------------------------------------------------------------------------------------


def as_json(payload: Any) -> str:
    """The payload as JSON to be edited, every hidden character written out as an escape."""
    written = json.dumps(payload, ensure_ascii=False, indent=2, sort_keys=True)
    return "".join(_escaped(character) if _written_out(character) else character for character in written)


def read_json(typed: str) -> Any:
    """What somebody made of it. Raises Problem `invalid` that says where it is no JSON."""
    try:
        return canonical.loads(typed)
    except canonical.StrictError as error:
        where = _where(typed)
        raise Problem("invalid", f"This is no JSON that can be carried out: {where}{error}", path="payload") from error


def _written_out(character: str) -> bool:
    return character != "\n" and is_hidden(character)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[place] << 8 | units[place + 1]:04x}" for place in range(0, len(units), 2))


def _where(typed: str) -> str:
    try:
        json.loads(typed)
    except json.JSONDecodeError as error:
        return f"line {error.lineno}, column {error.colno}: "
    except (ValueError, RecursionError):
        pass
    return ""


# --- what differs ---------------------------------------------------------------------------------------------------


Drawn = Callable[[Any, Steps], Any]


def _as_it_is(value: Any, steps: Steps) -> Any:
    return value


def differences(before: Any, after: Any, *, drawn: tuple[Drawn, Drawn] = (_as_it_is, _as_it_is)) -> list[Difference]:
    """Every place where the two differ, whole values on both sides; beyond `PLACES`, each member that does, whole.

    `drawn` gives what is read of a value that stands there, before and after: two that differ can read alike where they
    are masked.
    """
    places = list(islice(_differing(before, after, ()), PLACES + 1))
    if len(places) > PLACES:
        places = list(_members_that_differ(before, after))
    return [
        Difference(text(_label(_shown(steps, drawn))), _side(old, steps, drawn[0]), _side(new, steps, drawn[1]))
        for steps, old, new in places
    ]


def _shown(steps: Steps, drawn: tuple[Drawn, Drawn]) -> Steps:
    """The place up to where a mask is: the names of members below it are masked with them."""
    for length in range(1, len(steps)):
        if any(isinstance(draw("", steps[:length]), Masked) for draw in drawn):
            return steps[:length]
    return steps


def _members_that_differ(before: Any, after: Any) -> Iterator[tuple[Steps, Any, Any]]:
    if not (isinstance(before, dict) and isinstance(after, dict)) or len(before) + len(after) > PLACES:
        yield (), before, after
        return
    for key in dict.fromkeys([*sorted(before), *sorted(after)]):
        old, new = before.get(key, _NOTHING), after.get(key, _NOTHING)
        if old is _NOTHING or new is _NOTHING or canonical.dumps(old) != canonical.dumps(new):
            yield (key,), old, new


_NOTHING = object()


def _differing(before: Any, after: Any, steps: Steps) -> Iterator[tuple[Steps, Any, Any]]:
    if before is not _NOTHING and after is not _NOTHING and canonical.dumps(before) == canonical.dumps(after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*sorted(before), *sorted(after)]):
            yield from _differing(before.get(key, _NOTHING), after.get(key, _NOTHING), (*steps, key))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _items(before, after, steps)
    else:
        yield steps, before, after


def _items(before: list[Any], after: list[Any], steps: Steps) -> Iterator[tuple[Steps, Any, Any]]:
    old, new = [canonical.dumps(item) for item in before], [canonical.dumps(item) for item in after]
    for tag, first, last, start, end in _aligned(old, new):
        if tag == "replace" and last - first == end - start:
            for offset in range(last - first):
                yield from _differing(before[first + offset], after[start + offset], (*steps, first + offset))
        elif tag != "equal":
            for index in range(first, last):
                yield (*steps, index), before[index], _NOTHING
            for index in range(start, end):
                yield (*steps, index), _NOTHING, after[index]


def _aligned(old: list[bytes], new: list[bytes]) -> Sequence[tuple[str, int, int, int, int]]:
    if max(len(old), len(new)) <= ALIGNED:
        return difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    # Aligning takes the product of their lengths: between what is equal at both ends, all is said to be replaced.
    first = next((place for place, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), None)
    first = min(len(old), len(new)) if first is None else first
    behind = 0
    while behind < min(len(old), len(new)) - first and old[-1 - behind] == new[-1 - behind]:
        behind += 1
    return [("replace", first, len(old) - behind, first, len(new) - behind)]


def _side(value: Any, steps: Steps, drawn: Drawn) -> SafeString | None:
    if value is _NOTHING:
        return None
    value = drawn(value, steps)
    if isinstance(value, dict | list) and value:
        return mark_safe(f'<span class="zhv-mute">{size_of(value)}</span>{tree(value)}')
    return text(_plain(value)) if value != "" else mark_safe('<span class="zhv-mute">empty text</span>')
