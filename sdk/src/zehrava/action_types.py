"""Action types: what the portal checks, derives, shows and runs for one action."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import jsonschema_rs

from zehrava import narrowing
from zehrava.before import Before, read_before
from zehrava.policy.conditions import Condition, ConditionError, Reads
from zehrava.policy.document import read_template
from zehrava.policy.errors import ActionTypeError, DocumentError
from zehrava.policy.functions import amount
from zehrava.policy.plain_data import EvaluationError, check_json
from zehrava.policy.reasons import Template, parse_path
from zehrava.policy.shape import Shape
from zehrava.policy.strict_yaml import join, read
from zehrava.policy.tables import LEVELS
from zehrava.sensitive import mask_all, reads
from zehrava.targets import TargetError, credentials_fault, destination, header_name_fault, header_value_fault

MAX_VIOLATIONS = 50
MAX_RECORDS = 2**53 - 1
MAX_TARGET = 500
MAX_NARROWER = 50
MAX_SENSITIVE = 20
SENSITIVE = "sensitive"
"""The key, as it is written in every document that has it: by that word such documents can be searched for."""

_PAYLOAD = frozenset({"payload"})
_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_-]+)+")
_EXECUTOR = re.compile(r"[a-z][a-z0-9_]*([.-][a-z0-9_]+)*")
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_SENDER = re.compile(r"[^\s@<>,;\"()]+@[A-Za-z0-9.-]+")
# A pattern that backtracks for ever on a hostile payload gives up, and the payload is refused.
_PATTERNS = jsonschema_rs.FancyRegexOptions(backtrack_limit=100_000)
_CURRENCY = re.compile(r"[A-Z]{3}")

_KEYS = (
    "name", "title", "description", "schema", "derive", "executor", "http", "email", "noop", "safe_to_repeat",
    "present", "narrower", "sensitivity", "sensitive",
)  # fmt: skip
_LATER = frozenset({"command", "preconditions", "undo", "risk"})
_SETTINGS = ("http", "email", "noop")
_DERIVED = ("records", "value", "target")
_METHODS = ("POST", "PUT", "PATCH", "DELETE")
_SHOWN_AS = ("text", "money", "email", "url", "code", "sql", "diff")


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing a payload breaks; ``path`` is a JSON Pointer into the payload."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Derived:
    """What an action type finds in a payload.

    Attributes:
        names: what the type derives, whether or not it came out; those replace what the agent claims.
        errors: one sentence for each that did not come out; the portal turns them into an ask.
    """

    records: int | None = None
    value: dict[str, str] | None = None
    target: str | None = None
    errors: tuple[str, ...] | list[str] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ActionType:
    """One registered action.

    Attributes:
        text: the document as it was read; ``digest`` is ``sha256:`` and the hex SHA-256 of its UTF-8 bytes.
        schema: JSON Schema 2020-12 of the payload, or None.
        executor: ``http``, ``email``, ``noop`` or another executor's name; None: only the agent executes it.
        settings: the block named like the executor, or {}.
        safe_to_repeat: whether a second execution does no harm.
        presentation: ``{"title", "fields", "reversible", "before"}`` as written, or None.
        before: where to read what stands at the target before it runs, or None; see ``zehrava.before``.
        sensitivity: ``low``, ``normal`` or ``high``, or None where it does not say.
        narrower: by the steps of a path in the payload, the change there that narrows; see ``zehrava.narrowing``.
        sensitive: the steps of each path in the payload that people see masked; see ``zehrava.sensitive``.
    """

    name: str
    title: str
    description: str
    text: str
    digest: str
    schema: dict[str, Any] | bool | None
    executor: str | None
    settings: dict[str, Any]
    safe_to_repeat: bool
    presentation: dict[str, Any] | None
    narrower: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    before: Before | None = None
    sensitivity: str | None = None
    sensitive: tuple[tuple[str, ...], ...] = ()
    _validator: Any = None
    _expressions: tuple[tuple[str, Condition], ...] = ()
    _reads: Reads = field(default_factory=lambda: Reads(()))
    _title: Template | None = None

    @property
    def reversible(self) -> bool | None:
        """Whether what it does can be undone, as ``present`` says; None where it does not say."""
        if self.presentation is None or "reversible" not in self.presentation:
            return None
        return self.presentation["reversible"] is not False

    @classmethod
    def parse(cls, text: str) -> ActionType:
        """Read one action type.

        Args:
            text: the YAML document, at most 256 KiB.

        Raises:
            ActionTypeError: with path, line, column and reason of everything found wrong.
        """
        try:
            shape = Shape(read(text))
        except DocumentError as error:
            raise ActionTypeError(error.errors) from None
        made = _read_action_type(cls, shape, text)
        if made is None or shape.faults:
            raise ActionTypeError(sorted(shape.faults, key=lambda fault: (fault.line, fault.column)))
        return made

    def validate(self, payload: Any) -> list[Violation]:
        """What the payload breaks in the schema, at most ``MAX_VIOLATIONS``; empty without a schema."""
        if self._validator is None:
            return []
        violations: list[Violation] = []
        try:
            check_json(payload, "the payload")
            for error in self._validator.iter_errors(payload):
                violations.append(Violation(_pointer(error.instance_path), str(error.message)[:500]))
                if len(violations) == MAX_VIOLATIONS:
                    break
        except EvaluationError as error:
            violations.append(Violation("", str(error)))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # an unreadable payload is an invalid one
            violations.append(Violation("", f"the payload cannot be checked: {type(error).__name__}"))
        return violations

    def derive(self, payload: Any) -> Derived:
        """Records, value and target as the payload has them. Never raises: what fails is listed in ``errors``."""
        if not self._expressions:
            return Derived()
        names = tuple(dict.fromkeys(path.split(".")[0] for path, _ in self._expressions))
        try:
            check_json(payload, "payload")
            surroundings = self._reads.environment({"payload": payload})
        except EvaluationError as error:
            return Derived(errors=[str(error)], names=names)
        except (ValueError, TypeError, OverflowError):
            return Derived(errors=["the payload cannot be read"], names=names)
        found: dict[str, Any] = {}
        errors = []
        for path, expression in self._expressions:
            try:
                found[path] = expression.value(surroundings)
            except EvaluationError as error:
                errors.append(f"{path}: {error}")
        values: dict[str, Any] = {}
        for name in names:
            try:
                if not any(error.startswith((f"{name}:", f"{name}.")) for error in errors):
                    values[name] = _CHECKS[name](found)
            except ValueError as error:
                errors.append(f"{name}: {error}")
        return Derived(values.get("records"), values.get("value"), values.get("target"), errors, names)

    def veiled(self, payload: Any) -> frozenset[str]:
        """Of target, records and value those that are derived of what is sensitive, and are to be masked with it.

        That is what an expression reads by name; and where one goes through something that holds a sensitive part, such
        as a list of people, it is whether the masks make a difference to what comes out.
        """
        if not self.sensitive:
            return frozenset()
        masked, _ = mask_all(payload, self.sensitive)
        before, after = self.derive(payload), self.derive(json.loads(json.dumps(masked)))
        return frozenset(
            name
            for name in before.names
            if getattr(before, name) != getattr(after, name)
            or any(
                reads(expression.source, path)
                for part, expression in self._expressions
                if part.split(".")[0] == name
                for path in self.sensitive
            )
        )

    def render_title(self, payload: Any) -> str | None:
        """``present.title`` with the payload's values: plain, hostile text. None where there is no such title."""
        return self._title.render({"payload": payload}) if self._title else None


def _pointer(path: Any) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _check_records(found: Mapping[str, Any]) -> int:
    records = found["records"]
    if type(records) is not int or not 0 <= records <= MAX_RECORDS:
        raise ValueError("must be a whole number, zero or more")
    return records


def _check_target(found: Mapping[str, Any]) -> str:
    target = found["target"]
    if not isinstance(target, str) or not target or len(target) > MAX_TARGET:
        raise ValueError(f"must be a string of 1 to {MAX_TARGET} characters")
    return target


def _check_value(found: Mapping[str, Any]) -> dict[str, str]:
    value = found["value"] if "value" in found else {key: found[f"value.{key}"] for key in ("amount", "currency")}
    if not isinstance(value, dict) or set(value) != {"amount", "currency"}:
        raise ValueError("must be a map of amount and currency")
    currency = value["currency"].upper() if isinstance(value["currency"], str) else ""
    if not _CURRENCY.fullmatch(currency):
        raise ValueError("the currency must be three letters")
    amount(value["amount"])  # refuses what is no exact decimal
    return {"amount": _decimal_text(value["amount"]), "currency": currency}


def _decimal_text(number: Any) -> str:
    return format(Decimal(repr(number)), "f") if isinstance(number, float) else str(number)


_CHECKS = {"records": _check_records, "target": _check_target, "value": _check_value}


def _read_action_type(cls: type[ActionType], shape: Shape, text: str) -> ActionType | None:
    data = shape.mapping(shape.document.data, "", known=_KEYS, required=("name",), later=_LATER)
    like = "a dotted verb such as stripe.refund, in lower case"
    name = shape.string(data["name"], "name", most=200, pattern=_NAME, like=like) if "name" in data else None
    title = shape.string(data["title"], "title", most=200) if "title" in data else name
    description = shape.string(data["description"], "description", most=2_000) if "description" in data else ""
    validator = _read_schema(shape, data["schema"]) if "schema" in data else None
    expressions = _read_derive(shape, data["derive"]) if "derive" in data else ()
    executor, settings = _read_executor(shape, data)
    repeat = shape.boolean(data["safe_to_repeat"], "safe_to_repeat") if "safe_to_repeat" in data else False
    template, before = _read_present(shape, data["present"]) if "present" in data else (None, None)
    narrower = _read_narrower(shape, data["narrower"]) if "narrower" in data else {}
    sensitivity = shape.choice(data["sensitivity"], "sensitivity", LEVELS) if "sensitivity" in data else None
    masked = _read_sensitive(shape, data[SENSITIVE], text) if SENSITIVE in data else ()
    if shape.faults or name is None or title is None or description is None:
        return None
    digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    return cls(
        name=name,
        title=title,
        description=description,
        text=text,
        digest=digest,
        schema=data.get("schema"),
        executor=executor,
        settings=settings,
        safe_to_repeat=bool(repeat),
        presentation=data.get("present"),
        narrower=narrower,
        before=before,
        sensitivity=sensitivity,
        sensitive=masked,
        _validator=validator,
        _expressions=expressions,
        _reads=Reads(expression for _, expression in expressions),
        _title=template,
    )


def _read_schema(shape: Shape, value: Any) -> Any:
    if not isinstance(value, dict | bool):
        shape.fault("schema", "must be a JSON Schema: a mapping")
        return None
    before = len(shape.faults)
    _check_references(shape, value, "schema")
    if len(shape.faults) > before:
        return None
    try:
        return jsonschema_rs.Draft202012Validator(
            value, validate_formats=True, retriever=_refuse_to_fetch, pattern_options=_PATTERNS
        )
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        where = "schema"
        for step in getattr(error, "instance_path", None) or ():
            where = join(where, step)
        shape.fault(where, f"not a JSON Schema 2020-12: {str(getattr(error, 'message', error)).splitlines()[0][:300]}")
        return None


def _refuse_to_fetch(uri: str) -> Any:
    raise ValueError(f"{uri} is outside the document")


def _check_references(shape: Shape, value: Any, path: str) -> None:
    """No reference may leave the document, nor move its base or its dialect."""
    if isinstance(value, list):
        for index, member in enumerate(value):
            _check_references(shape, member, join(path, index))
    elif isinstance(value, dict):
        for key, member in value.items():
            place = join(path, key)
            if key in ("$ref", "$dynamicRef") and isinstance(member, str) and not member.startswith("#"):
                shape.fault(place, "a reference must stay within the document: start it with '#'")
            elif key in ("$id", "$recursiveRef") and isinstance(member, str):
                shape.fault(place, f"{key} is not supported; references start with '#'")
            elif key == "$schema" and member != "https://json-schema.org/draft/2020-12/schema":
                shape.fault(place, "only JSON Schema 2020-12 is supported")
            else:
                _check_references(shape, member, place)


def _read_derive(shape: Shape, value: Any) -> tuple[tuple[str, Condition], ...]:
    data = shape.mapping(value, "derive", known=_DERIVED)
    expressions: dict[str, Any] = {}
    for key in _DERIVED:
        if key not in data:
            continue
        if key == "value" and isinstance(data[key], dict):
            pair = shape.mapping(
                data[key], "derive.value", known=("amount", "currency"), required=("amount", "currency")
            )
            expressions |= {f"value.{part}": pair[part] for part in ("amount", "currency") if part in pair}
        else:
            expressions[key] = data[key]
    compiled = []
    for path, source in expressions.items():
        where = f"derive.{path}"
        if not isinstance(source, str):
            shape.fault(where, "must be an expression written as a string")
            continue
        try:
            compiled.append((path, Condition.parse(source, variables=_PAYLOAD)))
        except ConditionError as error:
            shape.fault(where, str(error).replace("a condition", "an expression"))
    return tuple(compiled)


def _read_executor(shape: Shape, data: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    executor = None
    if "executor" in data:
        like = "the name of an executor, such as http"
        executor = shape.string(data["executor"], "executor", most=100, pattern=_EXECUTOR, like=like)
    settings: dict[str, Any] = {}
    for block in _SETTINGS:
        if block not in data:
            continue
        read_block = {"http": _read_http, "email": _read_email, "noop": _read_noop}[block]
        before = len(shape.faults)
        made = read_block(shape, data[block])
        if block != executor and len(shape.faults) == before:
            shape.faults.append(
                shape.document.fault_at_key(block, f"belongs to the executor {block}, which is not chosen")
            )
        elif block == executor:
            settings = made
    if executor == "http" and "http" not in data:
        shape.fault("http", "is missing: the executor http needs method and url")
    return executor, settings


def _read_http(shape: Shape, value: Any) -> dict[str, Any]:
    known = ("method", "url", "credentials", "allow_private", "headers", "timeout")
    data = shape.mapping(value, "http", known=known, required=("url",))
    settings: dict[str, Any] = {
        "method": "POST",
        "allow_private": False,
        "headers": {},
        "timeout": 10,
        "credentials": None,
    }
    if "method" in data:
        settings["method"] = shape.choice(data["method"], "http.method", _METHODS)
    if "allow_private" in data:
        settings["allow_private"] = shape.boolean(data["allow_private"], "http.allow_private")
    if "url" in data:
        settings["url"] = _read_url(shape, data["url"], allow_private=settings["allow_private"] is True)
    if "credentials" in data:
        settings["credentials"] = data["credentials"]
        if fault := credentials_fault(data["credentials"]):
            shape.fault("http.credentials", fault)
    if "timeout" in data:
        settings["timeout"] = shape.integer(data["timeout"], "http.timeout", least=1, most=20)
    if "headers" in data:
        settings["headers"] = _read_headers(shape, data["headers"])
    return settings


def _read_url(shape: Shape, value: Any, *, allow_private: bool) -> str | None:
    url = shape.string(value, "http.url", most=2_000)
    if url is None:
        return None
    try:
        destination(url, allow_private=allow_private)
    except TargetError as error:
        shape.fault("http.url", str(error))
    return url


def _read_headers(shape: Shape, value: Any) -> dict[str, str]:
    headers: dict[str, str] = {}
    data = value if isinstance(value, dict) else {}
    if not isinstance(value, dict):
        shape.fault("http.headers", "must be a mapping of names to strings")
    if len(data) > 20:
        shape.fault("http.headers", "has at most 20 entries")
    for name, text in data.items():
        path = join("http.headers", name)
        if fault := header_name_fault(name):
            shape.faults.append(shape.document.fault_at_key(path, fault))
        elif name.lower() in (known.lower() for known in headers):
            shape.faults.append(shape.document.fault_at_key(path, "stands here twice"))
        elif fault := header_value_fault(text):
            shape.fault(path, fault)
        else:
            headers[name] = text
    return headers


def _read_email(shape: Shape, value: Any) -> dict[str, Any]:
    data = shape.mapping(value, "email", known=("from", "allowed_domains"))
    settings: dict[str, Any] = {}
    if "from" in data:
        settings["from"] = shape.string(
            data["from"], "email.from", most=320, pattern=_SENDER, like="one bare e-mail address"
        )
    if "allowed_domains" in data:
        path = "email.allowed_domains"
        settings["allowed_domains"] = [
            shape.string(entry, join(path, index), most=253, pattern=_DOMAIN, like="a domain in lower case")
            for index, entry in enumerate(shape.items(data["allowed_domains"], path, most=200))
        ]
    return settings


def _read_noop(shape: Shape, value: Any) -> dict[str, Any]:
    return shape.mapping(value, "noop", known=())


def _read_present(shape: Shape, value: Any) -> tuple[Template | None, Before | None]:
    data = shape.mapping(value, "present", known=("title", "fields", "reversible", "before"))
    template = read_template(shape, data["title"], "present.title", _PAYLOAD) if "title" in data else None
    if "fields" in data:
        for index, entry in enumerate(shape.items(data["fields"], "present.fields", most=50)):
            _read_field(shape, entry, join("present.fields", index))
    reversible = data.get("reversible", False)
    if reversible is not False and not isinstance(reversible, str):
        shape.fault("present.reversible", "must be a text that says how to undo it, or false")
    elif isinstance(reversible, str):
        shape.string(reversible, "present.reversible", most=500)
    before = read_before(shape, data["before"], "present.before") if "before" in data else None
    return template, before


def _read_narrower(shape: Shape, value: Any) -> dict[tuple[str, ...], str]:
    if not isinstance(value, dict):
        shape.fault("narrower", "must be a mapping of paths such as payload.amount to less, fewer or any")
        return {}
    if len(value) > MAX_NARROWER:
        shape.fault("narrower", f"has at most {MAX_NARROWER} entries")
    narrower: dict[tuple[str, ...], str] = {}
    for text, how in value.items():
        place = join("narrower", text)
        path = narrowing.parse_path(text) if isinstance(text, str) else None
        if path is None:
            fault = "must be a path such as payload.amount or payload.lines.*.amount"
            shape.faults.append(shape.document.fault_at_key(place, fault))
        elif (chosen := shape.choice(how, place, narrowing.NARROWINGS)) is not None:
            narrower[path] = chosen
    return narrower


def _read_sensitive(shape: Shape, value: Any, document: str) -> tuple[tuple[str, ...], ...]:
    if SENSITIVE not in document:
        shape.fault(SENSITIVE, "write this key without escapes")
        return ()
    if not isinstance(value, list) or not value:
        shape.fault(SENSITIVE, "must be a list of paths such as payload.card.number")
        return ()
    if len(value) > MAX_SENSITIVE:
        shape.fault(SENSITIVE, f"has at most {MAX_SENSITIVE} entries")
    paths: list[tuple[str, ...]] = []
    for place, text in enumerate(value):
        path = narrowing.parse_path(text) if isinstance(text, str) else None
        if path is None:
            shape.fault(join(SENSITIVE, place), "must be a path such as payload.card or payload.people.*.email")
        elif not path:
            # Of what nobody sees at all, nobody can say whether it may run.
            shape.fault(join(SENSITIVE, place), "must name a part of the payload: all of it cannot be masked")
        elif path in paths:
            shape.fault(join(SENSITIVE, place), "stands here twice")
        else:
            paths.append(path)
    return tuple(paths)


def _read_field(shape: Shape, value: Any, path: str) -> None:
    data = shape.mapping(value, path, known=("path", "label", "as"), required=("path",))
    if "path" in data:
        place = f"{path}.path"
        text = shape.string(data["path"], place, most=300)
        if text is not None and parse_path(text, _PAYLOAD) is None:
            shape.fault(place, "must be a path such as payload.amount")
    if "label" in data:
        shape.string(data["label"], f"{path}.label", most=100)
    if "as" in data:
        shape.choice(data["as"], f"{path}.as", _SHOWN_AS)
