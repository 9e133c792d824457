"""Before and after: where an action type says to read what stands at the target now, and what it will be.

The address is the document's, up to its path; values of a payload stand in it as one part of the path or one value of
the query, and change nothing else about it. What a server in between could undo (`%2F`, `%2E%2E`) is not encoded but
refused, so that nothing depends on how often somebody decodes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from zehrava import canonical
from zehrava.policy.conditions import Condition, ConditionError, Reads
from zehrava.policy.expressions import Path
from zehrava.policy.plain_data import EvaluationError, check_json
from zehrava.policy.reasons import Template, parse_path, present_at
from zehrava.policy.shape import Shape
from zehrava.policy.strict_yaml import join
from zehrava.targets import credentials_fault, destination

MAX_FIELDS = 20
MAX_URL = 2_000
LONGEST_VALUE = 300
NOT_SAID = "the payload does not say"

_PAYLOAD = frozenset({"payload"})
# What a document fixes: everything up to the path, or to the query of a URL without one.
_FIXED = re.compile(r"[a-z]+://[^/?#]+[/?]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# What some servers read as a step of the path, or as the end of one, however it is encoded.
_STEPS = re.compile(r"[/\\%;]")

Found = dict[str, Any]


class AddressError(ValueError):
    """This payload gives no address to ask; the text is a sentence for people, and may quote a path of the document."""


class Address:
    """A URL with references such as ``{payload.customer}`` in its path and query.

    Args:
        allow_private: as in the settings of the http executor.

    Raises:
        ValueError: for one that does not fix where it leads.
    """

    __slots__ = ("_template",)

    def __init__(self, text: str, *, allow_private: bool) -> None:
        self._template = Template(text, _PAYLOAD)
        parts = self._template.parts
        first = parts[0] if parts and isinstance(parts[0], str) else ""
        if not _FIXED.match(first):
            if first:
                destination(first, allow_private=allow_private)  # a plain mistake is told as what it is
            raise ValueError("must fix the host, as in https://host/…: references stand in the path or in the query")
        written = "".join(part if isinstance(part, str) else "x" for part in parts)
        destination(written, allow_private=allow_private)
        if any(not step.strip(".") and step for step in written.partition("?")[0].split("/")):
            raise ValueError("must not hold the steps '.' or '..'; write where they lead")
        before = ""
        for part in parts:
            if isinstance(part, str):
                before += part
            elif "?" in before and "=" not in re.split("[?&]", before)[-1]:
                raise ValueError("must name what it asks for: in the query, references stand behind '=' only")

    def fill(self, payload: Any) -> str:
        """The URL for this payload.

        Raises:
            AddressError: where a value is missing, or is none that an address can hold.
        """
        url = ""
        for part in self._template.parts:
            if isinstance(part, str):
                url += part
            else:
                url += quote(_text(payload, part, in_path="?" not in url), safe="")
        if any(step and not step.strip(".") for step in url.partition("?")[0].split("/")):
            raise AddressError("What the payload puts into the address would be a step to somewhere else.")
        if len(url) > MAX_URL:
            raise AddressError("What the payload puts into the address makes it too long.")
        return url


def _text(payload: Any, path: tuple[str, ...], *, in_path: bool) -> str:
    """The value at a path as an address holds it, not yet encoded."""
    name = ".".join(path)
    there, value = present_at({"payload": payload}, path)
    if not there:
        raise AddressError(f"The payload has no {name}, which the address needs.")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise AddressError(f"{name} is neither text nor a whole number, so that no address can be made of it.")
    if not value or len(value) > LONGEST_VALUE:
        raise AddressError(f"{name} is {'too long' if value else 'empty'}, so that no address can be made of it.")
    if _CONTROL.search(value) or (in_path and _STEPS.search(value)) or not _is_unicode(value):
        raise AddressError(f"{name} holds characters that could lead to another address; nothing is asked.")
    return value


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Compared:
    """One thing to compare: ``now`` are its steps in the target's answer; without ``then`` it is only shown."""

    name: str
    now: tuple[str, ...]
    then: Condition | None


@dataclass(frozen=True, slots=True)
class Before:
    """The block ``present.before`` of an action type.

    Attributes:
        credentials: the name of stored credentials, or None.
        allow_private: whether the address may be private, plain http or on any port.
    """

    address: Address
    credentials: str | None
    allow_private: bool
    fields: tuple[Compared, ...]
    _reads: Reads = field(default_factory=lambda: Reads(()))

    def now(self, answer: Any) -> Found:
        """By name what the target's answer says of each field; a field that is not in it is left out."""
        found = {}
        for each in self.fields:
            there, value = present_at(answer, each.now)
            if there:
                found[each.name] = value
        return found

    def then(self, payload: Any) -> tuple[Found, dict[str, str]]:
        """By name what each field will be, and of the others why that cannot be said. Never raises.

        Fields that are only shown are in neither.
        """
        asked = [each for each in self.fields if each.then is not None]
        try:
            check_json(payload, "payload")
            surroundings = self._reads.environment({"payload": payload})
        except (EvaluationError, ValueError, TypeError, OverflowError):
            return {}, {each.name: "the payload cannot be read" for each in asked}
        values: Found = {}
        faults: dict[str, str] = {}
        for each in asked:
            assert each.then is not None
            tree = each.then.tree
            if isinstance(tree, Path) and not present_at({"payload": payload}, (tree.root, *tree.steps))[0]:
                faults[each.name] = NOT_SAID
                continue
            try:
                value = each.then.value(surroundings)
                canonical.check(value)
                values[each.name] = value
            except EvaluationError as error:
                faults[each.name] = str(error)
            except canonical.StrictError:
                faults[each.name] = "the expression gives no JSON value"
        return values, faults


def read_before(shape: Shape, value: Any, path: str) -> Before | None:
    """Read the block from a document; None, with faults in ``shape``, where something is wrong with it."""
    known = ("url", "credentials", "allow_private", "fields")
    data = shape.mapping(value, path, known=known, required=("url", "fields"))
    allow_private = False
    if "allow_private" in data:
        allow_private = shape.boolean(data["allow_private"], f"{path}.allow_private") is True
    credentials = data.get("credentials")
    if "credentials" in data and (fault := credentials_fault(credentials)):
        shape.fault(f"{path}.credentials", fault)
    address = _read_url(shape, data["url"], f"{path}.url", allow_private) if "url" in data else None
    fields = _read_fields(shape, data["fields"], f"{path}.fields") if "fields" in data else ()
    if address is None or shape.faults:
        return None
    conditions = [each.then for each in fields if each.then is not None]
    return Before(address, credentials, allow_private, fields, Reads(conditions))


def _read_url(shape: Shape, value: Any, path: str, allow_private: bool) -> Address | None:
    text = shape.string(value, path, most=MAX_URL)
    if text is None:
        return None
    try:
        return Address(text, allow_private=allow_private)
    except ValueError as error:
        shape.fault(path, str(error))
        return None


def _read_fields(shape: Shape, value: Any, path: str) -> tuple[Compared, ...]:
    if not isinstance(value, dict) or not value:
        shape.fault(path, "must be a mapping of names to {now: …, then: …}")
        return ()
    if len(value) > MAX_FIELDS:
        shape.fault(path, f"has at most {MAX_FIELDS} entries")
    fields = []
    for name, entry in list(value.items())[:MAX_FIELDS]:
        place = join(path, name)
        if not isinstance(name, str) or not name.strip() or len(name) > 100:
            shape.faults.append(shape.document.fault_at_key(place, "must be a name of 1 to 100 characters"))
        data = shape.mapping(entry, place, known=("now", "then"), required=("now",))
        steps = _read_now(shape, data["now"], f"{place}.now") if "now" in data else None
        then = _read_then(shape, data["then"], f"{place}.then") if "then" in data else None
        fields.append(Compared(str(name), steps or (), then))
    return tuple(fields)


def _read_now(shape: Shape, value: Any, path: str) -> tuple[str, ...] | None:
    text = shape.string(value, path, most=300)
    steps = None if text is None else parse_path(f"answer.{text}", frozenset({"answer"}))
    if text is not None and steps is None:
        shape.fault(path, "must be a path in the target's answer, such as contact.email or items.0.price")
    return steps[1:] if steps else None


def _read_then(shape: Shape, value: Any, path: str) -> Condition | None:
    if not isinstance(value, str):
        shape.fault(path, "must be an expression written as a string")
        return None
    try:
        return Condition.parse(value, variables=_PAYLOAD)
    except ConditionError as error:
        shape.fault(path, str(error).replace("a condition", "an expression"))
        return None
