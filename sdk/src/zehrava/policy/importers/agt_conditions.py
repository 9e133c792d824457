"""Conditions of ``governance.toolkit/v1`` in our language.

Every part is said in one of two ways. *Surely*: it holds only where the toolkit certainly found it so, for a rule that
allows. *Possibly*: it also holds wherever the toolkit may have, in Python or in .NET, which read some values
differently; for a rule that asks or blocks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from .agt_syntax import All, Always, Among, Compared, Expression, Found, Not, Some, Truth, Value
from .cel import (
    FALSE,
    TRUE,
    Cel,
    Path,
    amount_of,
    both,
    compare,
    contains,
    either,
    is_kind,
    literal,
    matches,
    negate,
    none_of,
    one_of,
)
from .patterns import PYTHON, rewrite

# Of several fields in one document that are found in the same place, the first listed is meant by it.
_ACTION = ("tool_name", "tool.name", "tool", "action.name", "action", "action.type", "action_type")
_AGENT = ("agent.name", "agent_name", "agent", "agent.id", "agent_id")
_ENVIRONMENT = ("agent.environment", "environment", "env")
_REGISTERED = {"agent.tier": "tier", "agent.owner": "owner"}
# Who somebody is and how far they are trusted: in a payload that is only what the agent says of itself.
_WHO = frozenset(
    {"agent", "user", "identity", "principal", "caller", "actor", "session", "auth", "trust", "trust_score"}
)
_NOWHERE = frozenset({"agent.did", "agent_did"})
# The toolkit parses these out of the statement or the request before it looks at any rule, over whatever was sent.
_PARSED = ("sql", "k8s")
_SENT = frozenset({"sql.query", "k8s.method", "k8s.path"})
_PAYLOAD = (
    "args", "arguments", "parameters", "params", "payload", "tool_args", "tool_input", "tool.args", "tool.arguments",
    "tool.input", "tool.parameters", "action.args", "action.arguments", "action.params", "action.parameters",
    "action.payload", "action",
)  # fmt: skip


def path_of(name: str) -> Path:
    """Where a field of the toolkit's context is found here."""
    if name in _ACTION:
        return Path("intent", ("action",))
    if name in _AGENT:
        return Path("agent", ("name",))
    if name in _ENVIRONMENT:
        return Path("agent", ("environment",))
    if name in _REGISTERED:
        return Path("agent", (_REGISTERED[name],))
    steps = tuple(name.split("."))
    if steps[0] == "context" and len(steps) > 1:
        return Path("context", steps[1:])
    for prefix in _PAYLOAD:
        if name == prefix:
            return Path("payload")
        if name.startswith(prefix + "."):
            return Path("payload", tuple(name[len(prefix) + 1 :].split(".")))
    if len(steps) == 2 and steps[1] == "value":
        return Path("payload", steps[:1])  # how the toolkit hands over an argument that is no mapping
    return Path("payload", steps)


def is_claimed(name: str) -> bool:
    """Whether a field says what only the portal could know, and is here what the agent claims."""
    path = path_of(name)
    return path.root == "context" or (path.root == "payload" and name.split(".")[0] in _WHO)


def unsettled(names: Iterable[str]) -> dict[str, str]:
    """The fields of a document that have no place of their own here, and why.

    Where several are found in the same place only one of them can be it: held against the same value, two comparisons
    that were about different things would rule each other out.
    """
    placed: dict[Path, list[str]] = {}
    why: dict[str, str] = {}
    for name in sorted(set(names)):
        if name in _NOWHERE:
            why[name] = "has no equal here"
        elif name.split(".")[0] in _PARSED and name not in _SENT:
            why[name] = "is what the toolkit finds in the statement itself, which nobody does here"
        else:
            placed.setdefault(path_of(name), []).append(name)
    for path, alike in placed.items():
        first, *others = sorted(alike, key=_preference)
        why |= {name: f"has no place of its own: {path.value.text} stands for {first}" for name in others}
    return why


def _preference(name: str) -> tuple[int, str]:
    known = (*_ACTION, *_AGENT, *_ENVIRONMENT)
    if name in known:
        return known.index(name), name
    prefix = next((index for index, each in enumerate(_PAYLOAD) if f"{name}.".startswith(f"{each}.")), len(_PAYLOAD))
    return prefix, name


def fields(expression: Expression) -> set[str]:
    """The fields that a condition reads."""
    if isinstance(expression, Some | All):
        return {name for part in expression.parts for name in fields(part)}
    if isinstance(expression, Not):
        return fields(expression.part)
    return set() if isinstance(expression, Always) else {expression.field}


def translate(expression: Expression, *, sure: bool, unsettled: Collection[str] = ()) -> Cel:
    """The condition, said surely or possibly.

    Args:
        unsettled: fields that cannot be read here: what is held against them may or may not be so.

    Raises:
        CannotSay: for numbers that are no amounts.
    """

    def translated(part: Expression) -> Cel:
        return translate(part, sure=sure, unsettled=unsettled)

    if isinstance(expression, Some):
        return either(*(translated(part) for part in expression.parts))
    if isinstance(expression, All):
        parts = [translated(part) for part in expression.parts]
        return FALSE if FALSE in parts else both(*parts) or TRUE
    if isinstance(expression, Not):
        return negate(translate(expression.part, sure=not sure, unsettled=unsettled))
    if isinstance(expression, Always):
        return TRUE if expression.holds else FALSE
    path = path_of(expression.field)
    if expression.field in unsettled or (path == _NAME and _decentral(expression)):
        return FALSE if sure else TRUE
    held = _said_of(path, expression, sure)
    if sure:
        return held
    if path.root == "payload" and expression.field == f"{path.keys[0] if len(path.keys) == 1 else ''}.value":
        # A member of that name, where the argument is a mapping all the same.
        held = either(held, _said_of(Path("payload", (*path.keys, "value")), expression, sure))
    return held


def _said_of(path: Path, expression: Compared | Among | Found | Truth, sure: bool) -> Cel:
    if isinstance(expression, Truth):
        return _truth(path, sure)
    if isinstance(expression, Found):
        return _found(path, expression, sure)
    if isinstance(expression, Among):
        return _among(path, expression.values, expression.negated, sure)
    if expression.operator in ("==", "!="):
        return _among(path, (expression.value,), expression.operator == "!=", sure)
    return _order(path, expression, sure)


_NAME = Path("agent", ("name",))


def _decentral(expression: Compared | Among | Found | Truth) -> bool:
    """Whether an agent is named by a DID, which nobody has here."""
    if isinstance(expression, Truth):
        return False
    values = expression.values if isinstance(expression, Among) else (expression.value,)
    return any(isinstance(value, str) and value.startswith("did:") for value in values)


def dids(expression: Expression) -> set[str]:
    """The fields that a condition holds against the DID of an agent."""
    if isinstance(expression, Some | All):
        return {name for part in expression.parts for name in dids(part)}
    if isinstance(expression, Not):
        return dids(expression.part)
    if isinstance(expression, Always) or path_of(expression.field) != _NAME:
        return set()
    return {expression.field} if _decentral(expression) else set()


def _truth(path: Path, sure: bool) -> Cel:
    if path.root in ("intent", "agent"):
        return TRUE  # these are texts that are never empty
    held = compare(path.value, "==", literal(True)) if sure else none_of(path.value, [False, None, 0, ""])
    return both(path.present, held) or TRUE


def _found(path: Path, expression: Found, sure: bool) -> Cel:
    """Whether something is in a text; in what is no text it may be, in the way in which the toolkit wrote it out."""
    if expression.how == "contains":
        held = contains(path.value, expression.value)
    else:
        held = matches(path.value, rewrite(expression.value, PYTHON, sure=sure))
    if path.root not in ("intent", "agent"):
        text = is_kind(path.value, "string", negated=not sure)
        held = (both(text, held) or TRUE) if sure else either(text, held)
    return both(path.present, held) or TRUE


def _among(path: Path, values: tuple[Value, ...], negated: bool, sure: bool) -> Cel:
    """Whether a field is one of the values, or is none of them."""
    alike = _alike(values, sure if not negated else not sure)
    if not alike:
        return TRUE if negated else FALSE
    if negated and sure:
        return both(path.present, none_of(path.value, alike)) or TRUE
    there = both(path.present, one_of(path.value, alike)) or TRUE
    if None in values:
        there = either(negate(path.present), there)
    if negated:
        return none_of(path.value, alike) if path.present is None else negate(there)
    return there


def _alike(values: tuple[Value, ...], sure: bool) -> list[Value]:
    """The values, and unless it has to be sure also what one of the engines takes for the same."""
    found: list[Value] = []
    for value in values:
        found.append(value)
        if sure:
            continue
        if isinstance(value, bool):
            found += [str(value), str(value).lower()]
        elif isinstance(value, int | float):
            found.append(str(value))
        elif isinstance(value, str):
            found += _read_as(value)
    return [value for index, value in enumerate(found) if not _within(value, found[:index])]


def _read_as(text: str) -> list[Value]:
    """What is no text but is written like this one."""
    if text.lower() in ("true", "false"):
        return [text.lower() == "true"]
    try:
        number = float(text) if "." in text else int(text)
    except ValueError:
        return []
    return [number] if str(number) == text and abs(number) < 2**53 else []


def _within(value: Value, others: list[Value]) -> bool:
    """Membership that tells true from 1."""
    return any(type(value) is type(other) and value == other for other in others)


def _order(path: Path, expression: Compared, sure: bool) -> Cel:
    assert isinstance(expression.value, int | float)
    held = compare(amount_of(path.value), expression.operator, amount_of(expression.value))
    bound = expression.value
    zero = {"<": bound > 0, "<=": bound >= 0, ">": bound < 0, ">=": bound <= 0}[expression.operator]
    if not sure and zero and path.present is not None:
        return either(negate(path.present), held)  # in Python, what is missing counts as zero
    return both(path.present, held) or TRUE
