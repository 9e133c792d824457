"""The ``field_checks`` of Zehrava Gate: what a field of the payload must be, or the proposal is blocked."""

from __future__ import annotations

from typing import Any

from ..strict_yaml import join
from ..verdicts import BLOCK
from .cel import (
    FALSE,
    TRUE,
    CannotSay,
    Cel,
    Path,
    amount_of,
    both,
    call,
    choose,
    compare,
    either,
    fits,
    is_kind,
    literal,
    matches,
    negate,
    one_of,
)
from .draft import Draft
from .patterns import JAVASCRIPT, rewrite
from .source import Source, prose

_KEYS = ("path", "required", "min", "max", "max_length", "pattern")
_MOST_LENGTH = 10**9
MAX_STEPS = 8

# What JavaScript finds in every list or text, and we do not.
_BUILT_IN = frozenset({"length", "constructor", "prototype", "__proto__"})


def field_rule(source: Source, check: dict[str, Any], place: str) -> Draft | None:
    """The rule that blocks what does not pass ``check``; None where there is nothing to check."""
    if "path" not in check:
        raise source.refuse(place, "has no path; name the field that is checked")
    text = source.text(check["path"], join(place, "path"), most=200)
    keys = tuple(text.split("."))
    if any(not key for key in keys) or len(keys) > MAX_STEPS:
        raise source.refuse(join(place, "path"), f"must be names with dots between them, at most {MAX_STEPS}")
    required = "required" in check and source.boolean(check["required"], join(place, "required"))
    for key in check:
        if key not in _KEYS:
            source.drop(join(place, key), "is unknown to Gate as we know it; the field is blocked wherever it is there")
    known, wrong = _path(source, keys, place), [] if all(key in _KEYS for key in check) else [TRUE]
    if known == keys:
        wrong += _faults(source, check, Path("payload", keys), place)
    else:
        wrong = [TRUE]
    when = _rule(Path("payload", known), required, either(*wrong), exact=known == keys)
    if when == FALSE:
        return None
    if not fits(when):
        source.drop(place, "is more than a condition holds; the field is blocked wherever it is there")
        when = _rule(Path("payload", known), required, TRUE, exact=True)
    return Draft(f"field-{text}", BLOCK, when, f"the field {prose(text, most=200)} is missing or not as it must be")


def _path(source: Source, keys: tuple[str, ...], place: str) -> tuple[str, ...]:
    """The steps up to the first that has no equal here: numbers count entries in a list, some names mean its length."""
    for index, key in enumerate(keys):
        if key.isdigit() or key in _BUILT_IN:
            source.drop(
                join(place, "path"),
                f"the step {key!r} has no equal here; every payload that could hold it is blocked",
            )
            return keys[: max(index, 1)]
    return keys


def _rule(path: Path, required: bool, wrong: Cel, *, exact: bool) -> Cel:
    """Blocked: required and missing, or there and wrong. Null is as good as missing, as it was to Gate."""
    missing = negate(path.present)
    empty = one_of(path.value, [None, ""])
    if not exact:
        return TRUE if required else path.present or TRUE
    if required:
        return either(missing, empty, wrong)
    if wrong == FALSE:
        return FALSE
    there = both(path.present, None if wrong == TRUE else compare(path.value, "!=", literal(None)))
    return both(there, wrong) or TRUE


def _faults(source: Source, check: dict[str, Any], path: Path, place: str) -> list[Cel]:
    """What is wrong with a value that is there, one condition per bound."""
    wrong = []
    for key, sign in (("min", "<"), ("max", ">")):
        if check.get(key) is not None:
            bound = source.number(check[key], join(place, key))
            try:
                wrong.append(compare(amount_of(path.value), sign, amount_of(bound)))
            except CannotSay as error:
                source.drop(join(place, key), f"{error}; the field is blocked wherever it is there")
                wrong.append(TRUE)
    if check.get("max_length") is not None:
        most = source.whole(check["max_length"], join(place, "max_length"), least=0, most=_MOST_LENGTH)
        wrong.append(_too_long(path.value, most))
    if check.get("pattern") is not None:
        pattern = source.text(check["pattern"], join(place, "pattern"), most=500)
        wrong.append(_unlike(source, path, pattern, join(place, "pattern")))
    return wrong


def _too_long(value: Cel, most: int) -> Cel:
    """Too long a text or list. Gate counted some characters, such as emoji, twice: those texts go by their bytes."""
    text = either(
        compare(call("length", value), ">", literal(most)),
        both(matches(value, "[\\U00010000-\\U0010FFFF]"), compare(call("size", value), ">", literal(most))) or FALSE,
    )
    other = either(is_kind(value, "list", negated=True), compare(call("size", value), ">", literal(most)))
    return choose(is_kind(value, "string"), text, other)


def _unlike(source: Source, path: Path, pattern: str, place: str) -> Cel:
    """Not a text, or not like the pattern."""
    try:
        found = matches(path.value, rewrite(pattern, JAVASCRIPT))
    except CannotSay as error:
        source.drop(place, f"{error}; the field is blocked wherever it is there")
        return TRUE
    if not fits(found):
        source.drop(place, "is too long or repeats too much; the field is blocked wherever it is there")
        return TRUE
    return negate(both(is_kind(path.value, "string"), found))
