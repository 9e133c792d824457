"""Members that may be missing while a condition reads them: shown by an intent that the schema lets pass.

Nothing is concluded here. Payloads are made up from the schema and from what conditions compare with; where one of
them is valid and a rule fails on it for want of a member, that is said.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

from zehrava.action_types import ActionType

from ..cases import NOW
from ..evaluation import Evaluator
from ..expressions import Binary, Call, ListOf, Node, Unary
from ..rules import Policy
from ..running import example_agent
from ..verdicts import BLOCK
from .claims import Steps, constant, path_text, steps, term
from .findings import NOTE
from .reach import Said
from .schemas import Schema
from .worlds import World

_MISSING: Any = object()
_TRIES = 120
# Rules looked at for made-up payloads, over all action types: a long policy gets fewer payloads, not a longer wait.
_MOST_RULES = 200_000
_MOST_TYPES = 10
_MOST_PATHS = 100
_DEEPEST = 6
_LONGEST = 5_000
_STRINGS = (
    "x", "abc", "1", "1.00", "a@example.com", "https://example.com/", "2026-01-01", "2026-01-01T12:00:00Z", "DE", "EUR",
    "x_1", "id-1", "v1.2.3", "1.2.3", "ABC-123",
)  # fmt: skip


def check_missing(policy: Policy, nodes: list[Node | None], worlds: list[World]) -> Iterator[Said]:
    """Rules that fail where a member is missing that the schema knows and does not require.

    Args:
        nodes: the conditions of the rules.
    """
    seen: set[tuple[str, str]] = set()
    known = [(world.action_type, world.schema) for world in worlds[:_MOST_TYPES] if world.action_type and world.schema]
    payloads = _MOST_RULES // (max(len(known), 1) * max(len(policy.rules), 1))
    for action_type, schema in known:
        for index, path in _failures(policy, nodes, action_type, schema, payloads):
            rule, name = policy.rules[index], path_text(path)
            if (rule.id, name) in seen:
                continue
            seen.add((rule.id, name))
            says = "blocks" if rule.effect == BLOCK else "asks"
            allowed = "an agent may leave it out" if path[0] == "context" else f"{action_type.name} allows that"
            message = f"where {name} is missing the condition fails and the rule {says} ({allowed}); see has({name})"
            yield f"rules[{index}].when", NOTE, "unguarded", message


def _failures(
    policy: Policy, nodes: list[Node | None], action_type: ActionType, schema: Schema, payloads: int
) -> Iterator[tuple[int, Steps]]:
    alone = Evaluator([policy])
    places = {rule.id: index for index, rule in enumerate(policy.rules)}
    agent = example_agent(policy)
    tags = [policy.match.tags[0].replace("*", "example")] if policy.match.tags else []
    for values in itertools.islice(_made_up([node for node in nodes if node], schema), payloads):
        payload, context = values["payload"], values["context"]
        if action_type.validate(payload):
            continue
        derived = action_type.derive(payload)
        verdict = alone.evaluate(
            action=action_type.name, payload=payload, agent=agent, context=context, tags=tags, target=derived.target,
            records=derived.records, value=derived.value, usage=dict.fromkeys(policy.limit_names, 0), now=NOW,
        )  # fmt: skip
        node = nodes[places[verdict.rule]] if verdict.rule in places else None
        if node is None or "could not be evaluated" not in verdict.reason:
            continue
        for path in sorted(_read(node), key=path_text):
            missing = _first_missing(values, path)
            if (
                missing
                and _expected(missing, schema)
                and verdict.reason.endswith(f": there is no {str(missing[-1])!r}")
            ):
                yield places[str(verdict.rule)], missing


def _expected(path: Steps, schema: Schema) -> bool:
    """Whether whoever reads this may expect it to be there: what nobody declares is not worth a word."""
    return path[0] == "context" or schema.declares(path[1:])


def _made_up(nodes: list[Node], schema: Schema) -> Iterator[dict[str, Any]]:
    """Payloads and contexts that conditions might tell apart, the same ones each time."""
    whole = {"payload": _sample(schema, (), whole=True), "context": {}}
    least = {"payload": _sample(schema, (), whole=False), "context": {}}
    choices: dict[Steps, list[Any]] = {}
    for node in nodes:
        for path, values in _choices(node, schema).items():
            choices.setdefault(path, []).extend(values)
    yield from (whole, least)
    paths = sorted(choices, key=path_text)[:_MOST_PATHS]
    for path in paths:
        if _MISSING in choices[path]:
            yield _changed(whole, {path: _MISSING})
    if not paths:
        return
    chance = random.Random(0)
    for base, _ in zip(itertools.cycle((whole, least)), range(_TRIES), strict=False):
        changed = chance.sample(paths, chance.randint(1, min(len(paths), 6)))
        yield _changed(base, {path: chance.choice(choices[path]) for path in changed})


def _choices(node: Node, schema: Schema) -> dict[Steps, list[Any]]:
    """Values to try for each path that a condition reads."""
    found: dict[Steps, list[Any]] = {}
    for path in _read(node):
        sampled = [_sample(schema, path[1:], whole=True)] if path[0] == "payload" else []
        optional = path[0] == "context" or not schema.required(path[1:])
        found[path] = [*sampled, *([_MISSING] if optional else [])]
    for part in node.walk():
        if isinstance(part, Unary) and part.op == "!":
            found.get(steps(part.of) or (), []).extend([True, False])
        if isinstance(part, Binary):
            for side, other in ((part.left, part.right), (part.right, part.left)):
                subject = term(side)
                if subject.path in found:
                    found[subject.path].extend(list(_around(subject.wrap, other, tuple(found[subject.path]))))
        if isinstance(part, Call) and part.receiver is not None:
            texts = [value for arg in part.args if (value := _text_of(arg)) is not None]
            found.get(steps(part.receiver) or (), []).extend(texts)
    return found


def _text_of(node: Node) -> str | None:
    value = constant(node)
    return value[1] if value and value[0] == "string" else None


def _around(wrap: str, other: Node, known: Sequence[Any]) -> Iterator[Any]:
    """Values that compare differently with a constant."""
    for node in other.children if isinstance(other, ListOf) else (other,):
        value = constant(node)
        if value is None:
            continue
        kind, exact = value
        if kind == "amount":
            yield from (str(exact), str(exact + 1), str(exact - 1))
        elif kind == "number" and wrap == "size":
            for size in {int(exact) - 1, int(exact), int(exact) + 1} & set(range(_LONGEST)):
                yield "x" * size
                yield from ([each[0]] * size for each in known if isinstance(each, list) and each)
        elif kind == "number":
            yield from (exact, exact + 1, exact - 1)
        else:
            yield exact


def _read(node: Node) -> set[Steps]:
    """The paths of payload and context that a condition reads, each as far as it goes."""
    paths = {path for part in node.walk() if (path := steps(part)) is not None and len(path) > 1}
    named = {path for path in paths if path[0] in ("payload", "context") and all(isinstance(s, str) for s in path)}
    return {path for path in named if not any(path != other and other[: len(path)] == path for other in named)}


def _first_missing(values: Any, path: Steps) -> Steps | None:
    for length, step in enumerate(path, start=1):
        if not isinstance(values, dict):
            return None
        if step not in values:
            return path[:length]
        values = values[step]
    return None


def _changed(values: dict[str, Any], changes: dict[Steps, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(values)
    for path, value in changes.items():
        holder: Any = changed
        for step in path[:-1]:
            holder = holder.setdefault(step, {}) if isinstance(holder, dict) else None
        if not isinstance(holder, dict):
            continue
        if value is _MISSING:
            holder.pop(path[-1], None)
        else:
            holder[path[-1]] = copy.deepcopy(value)
    return changed


def _sample(schema: Schema, path: Steps, *, whole: bool) -> Any:
    """A value that the schema probably admits at a path; ``whole``: with members that may be missing."""
    found = schema.alternatives(path)
    if not found or len(path) > _DEEPEST:
        return None
    for each in found[0]:
        for key in ("const", "default"):
            if key in each:
                return each[key]
        for key in ("enum", "examples"):
            if each.get(key):
                return each[key][0]
    kinds = schema.values(path)[0] if schema.values(path) else {}
    if "map" in kinds:
        wanted = {name for each in found[0] for name in each.get("required", ())}
        if whole:
            wanted |= {name for each in found[0] for name in each.get("properties", ())}
        return {name: _sample(schema, (*path, name), whole=whole) for name in sorted(wanted)}
    if "list" in kinds:
        least = max((each.get("minItems", 0) for each in found[0]), default=0)
        return [_sample(schema, (*path, index), whole=whole) for index in range(min(max(least, whole), 100))]
    return _scalar(schema, path, kinds, max((each.get("minLength", 0) for each in found[0]), default=0))


def _scalar(schema: Schema, path: Steps, kinds: Any, least: int) -> Any:
    if "string" in kinds:
        tried = [text if len(text) >= least else text * min(least, _LONGEST) for text in _STRINGS]
        return next((text for text in tried if schema.admits(path, text)), tried[0])
    if "number" in kinds:
        span = kinds["number"]
        tries = [1, span.low, span.high, (span.low or 0) + 1, (span.high or 0) - 1, 0]
        return next((number for number in tries if number is not None and schema.admits(path, number)), 1)
    return True if "bool" in kinds else None
