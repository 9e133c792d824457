"""What the JSON Schema of a payload says about one path: never less than it admits.

Keywords that only narrow further (``not``, ``if``, ``dependentSchemas``, ``unevaluatedProperties``, references to other
documents) are passed over, so that what is called impossible here is impossible.
"""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import jsonschema_rs

from ..functions import amount
from .claims import Steps
from .values import Span, Values, anything, kind_of, meet, of_kinds, points

_MOST_ALTERNATIVES = 32
_DEEPEST = 16

Alternative = tuple[dict[str, Any], ...]
"""Schemas without references and branches that all apply to one value."""

_KINDS = {
    "null": "null", "boolean": "bool", "number": "number", "integer": "number", "string": "string", "array": "list",
    "object": "map",
}  # fmt: skip
_BOUNDS = {"minimum": ("low", False), "exclusiveMinimum": ("low", True), "maximum": ("high", False),
           "exclusiveMaximum": ("high", True)}  # fmt: skip
_SIZES = {"string": ("minLength", "maxLength"), "list": ("minItems", "maxItems"), "map": ("minProperties", None)}
_BYTES = 4  # the most that one character of a string takes, and size() counts bytes


class Schema:
    """The schema of a payload, asked path by path; a path starts behind ``payload``."""

    def __init__(self, schema: dict[str, Any] | bool) -> None:
        self.root = schema
        self._found: dict[Steps, list[Alternative]] = {}
        self._validators: dict[int, Any] = {}

    def alternatives(self, path: Steps) -> list[Alternative]:
        """What may stand at ``path``: one of these; none where nothing can stand there."""
        if path not in self._found:
            if path:
                found = [branch for parent in self.alternatives(path[:-1]) for branch in self._below(parent, path[-1])]
                self._found[path] = found if len(found) <= _MOST_ALTERNATIVES else [()]
            else:
                self._found[path] = self._expand(self.root, 0)
        return self._found[path]

    def values(self, path: Steps) -> list[Values]:
        """The values that may stand at ``path``, by alternative."""
        return [found for found in map(_values, self.alternatives(path)) if found]

    def sizes(self, path: Steps) -> list[Values]:
        """What ``size()`` may give of the value at ``path``."""
        return [found for found in map(_sizes, self.alternatives(path)) if found]

    def lengths(self, path: Steps) -> list[Values]:
        """What ``length()`` may give of the text at ``path``."""
        return [found for found in map(_lengths, self.alternatives(path)) if found]

    def amounts(self, path: Steps) -> list[Values]:
        """What ``amount()`` may give of the value at ``path``."""
        return [found for found in map(_amounts, self.values(path)) if found]

    def admits(self, path: Steps, value: Any) -> bool:
        """Whether this value may stand at ``path``."""
        return any(all(self._valid(each, value) for each in found) for found in self.alternatives(path))

    def required(self, path: Steps) -> bool:
        """Whether the member at the end of ``path`` is there wherever what should hold it is."""
        if not path or not isinstance(path[-1], str):
            return False
        parents = [found for found in self.alternatives(path[:-1]) if "map" in _values(found)]
        return bool(parents) and all(any(path[-1] in each.get("required", ()) for each in found) for found in parents)

    def declares(self, path: Steps) -> bool:
        """Whether the schema says something about the member at the end of ``path``."""
        return any(path[-1] in each.get("properties", ()) for found in self.alternatives(path[:-1]) for each in found)

    def unknown(self, path: Steps) -> Steps | None:
        """The shortest part of ``path`` at which nothing can stand, or None."""
        for length in range(1, len(path) + 1):
            if not self.alternatives(path[:length]):
                return path[:length]
        return None

    def resembling(self, path: Steps) -> str | None:
        """A known member whose name is much like the last one of ``path``."""
        around = [each for found in self.alternatives(path[:-1]) for each in found]
        known = {name for each in around for name in each.get("properties", ())}
        close = difflib.get_close_matches(str(path[-1]), sorted(known), n=1)
        return close[0] if close else None

    def _valid(self, schema: dict[str, Any], value: Any) -> bool:
        if id(schema) not in self._validators:
            self._validators[id(schema)] = self._validator(schema)
        validator = self._validators[id(schema)]
        try:
            return validator is None or bool(validator.is_valid(value))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # what cannot be checked may be
            return True

    def _validator(self, schema: dict[str, Any]) -> Any:
        # References and branches have been followed already, and would not resolve here.
        plain = {key: value for key, value in schema.items() if key in _OF_ONE_VALUE}
        try:
            return jsonschema_rs.validator_for(plain, pattern_options=_PATTERNS)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            return None

    def _below(self, parent: Alternative, step: str | int) -> Iterator[Alternative]:
        """What may stand under one step below a value of this alternative."""
        schemas: list[Any] = []
        if ("map" if isinstance(step, str) else "list") not in _values(parent):
            return
        for each in parent:
            schemas.extend(_member(each, step) if isinstance(step, str) else _item(each, step))
        yield from self._together(self._expand(schema, 0) for schema in schemas)

    def _expand(self, schema: Any, depth: int) -> list[Alternative]:
        """References followed, ``allOf`` joined, ``anyOf`` and ``oneOf`` spread out."""
        if schema is False:
            return []
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return [()]
        parts: list[list[Alternative]] = [[(schema,)]]
        if "$ref" in schema:
            parts.append(self._expand(self._resolve(schema["$ref"]), depth + 1))
        parts.extend(self._expand(each, depth + 1) for each in schema.get("allOf", ()))
        for key in ("anyOf", "oneOf"):
            if key in schema:
                parts.append([found for each in schema[key] for found in self._expand(each, depth + 1)])
        return self._together(parts)

    @staticmethod
    def _together(parts: Iterable[list[Alternative]]) -> list[Alternative]:
        """Every choice of one alternative from each part; parts that would make too many are left out."""
        found: list[Alternative] = [()]
        for part in parts:
            if len(found) * len(part) <= _MOST_ALTERNATIVES:
                found = [(*one, *other) for one, other in itertools.product(found, part)]
        return found

    def _resolve(self, reference: Any) -> Any:
        if reference == "#":
            return self.root
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return True
        found: Any = self.root
        for step in reference[2:].split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, dict) and step in found:
                found = found[step]
            else:
                return True
        return found


_PATTERNS = jsonschema_rs.FancyRegexOptions(backtrack_limit=100_000)
_OF_ONE_VALUE = frozenset(
    {"type", "const", "enum", "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength",
     "maxLength", "pattern"}
)  # fmt: skip


def _member(schema: dict[str, Any], name: str) -> list[Any]:
    """The schemas for the member ``name`` of a map."""
    properties = schema.get("properties", {})
    if name in properties:
        return [properties[name]]
    if schema.get("patternProperties") or "additionalProperties" not in schema:
        return []
    return [schema["additionalProperties"]]


def _item(schema: dict[str, Any], index: int) -> list[Any]:
    """The schemas for one member of a list."""
    first = schema.get("prefixItems", [])
    if 0 <= index < len(first):
        return [first[index]]
    found = [schema["items"]] if "items" in schema else []
    return [*found, False] if index < 0 or index >= schema.get("maxItems", index + 1) else found


def _values(found: Alternative) -> Values:
    values: Values = of_kinds(*_KINDS.values())
    for schema in found:
        values = meet(values, _values_of(schema))
    return values


def _values_of(schema: dict[str, Any]) -> Values:
    types = schema.get("type", list(_KINDS))
    types = [types] if isinstance(types, str) else types
    values = dict(meet(anything(), of_kinds(*(_KINDS[each] for each in types))))
    if "number" in values:
        values["number"] = _numbers(schema, whole="integer" in types and "number" not in types)
    options = [schema["const"]] if "const" in schema else schema.get("enum")
    if options is not None:
        kinds = [kind_of(option) for option in options]
        exact = points((kind, each) for kind, each in zip(kinds, options, strict=True) if kind not in ("list", "map"))
        return meet(values, {**of_kinds(*(kind for kind in kinds if kind in ("list", "map"))), **exact})
    return values


def _numbers(schema: dict[str, Any], *, whole: bool) -> Span:
    span = Span(whole=whole)
    for key, (side, open_side) in _BOUNDS.items():
        if key in schema:
            span = span.meet(
                Span(low=schema[key], open_low=open_side)
                if side == "low"
                else Span(high=schema[key], open_high=open_side)
            )
    return span


def _sizes(found: Alternative) -> Values:
    lows: list[Any] = []
    highs: list[Any] = []
    for kind in _SIZES.keys() & _values(found).keys():
        least, most = _SIZES[kind]
        lows.append(max((schema.get(least, 0) for schema in found), default=0))
        bounds = [schema[most] for schema in found if most in schema]
        if kind == "map":
            bounds = [bound for bound in map(_most_members, found) if bound is not None]
        highs.append(min(bounds) * (_BYTES if kind == "string" else 1) if bounds else None)
    if not lows:
        return {}
    high = None if None in highs else max(highs)
    return {"number": Span(low=min(lows), high=high, whole=True)}


def _lengths(found: Alternative) -> Values:
    if "string" not in _values(found):
        return {}
    low = max((schema.get("minLength", 0) for schema in found), default=0)
    high = min((schema["maxLength"] for schema in found if "maxLength" in schema), default=None)
    return {"number": Span(low=low, high=high, whole=True)}


def _most_members(schema: dict[str, Any]) -> int | None:
    closed = schema.get("additionalProperties") is False and not schema.get("patternProperties")
    bounds = [len(schema.get("properties", {}))] if closed else []
    return min([*bounds, *([schema["maxProperties"]] if "maxProperties" in schema else [])], default=None)


def _amounts(values: Values) -> Values:
    """``amount()`` of these: of a number or a decimal string; anything else has none."""
    exact: set[Decimal] = set()
    for kind in ("number", "string"):
        span = values.get(kind)
        if span is None:
            continue
        if span.options is None:
            if kind == "string" or len(values.keys() & {"number", "string"}) > 1:
                return of_kinds("amount")
            return {"amount": Span(_decimal(span.low), _decimal(span.high), span.open_low, span.open_high)}
        exact.update(_exact(span.options))
    return {"amount": Span(options=frozenset(exact))} if exact else {}


def _exact(options: Iterable[Any]) -> Iterator[Decimal]:
    for option in options:
        try:
            amount(option)
        except (ValueError, TypeError):
            continue
        yield _decimal(option)


def _decimal(value: Any) -> Any:
    return None if value is None else Decimal(json.dumps(value) if isinstance(value, float) else value)
