"""Which rules can ever decide by their condition, and which conditions can ever hold, fail or be evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..expressions import Call, Has, Logical, Node, Ternary, Unary, parse
from ..rules import Policy, Rule
from ..verdicts import BLOCK
from .claims import Way, constant, needed, steps, ways
from .findings import NOTE, WARNING
from .worlds import Conflict, State, World

_MOST_STATES = 24
# Rules times action types that are looked at; beyond, nothing is said about schemas.
_MOST_WORK = 5_000
_MOST_NAMED = 5
_ALWAYS_ANSWERS = frozenset({"type"})


@dataclass(slots=True)
class View:
    """A rule with the ways in which its condition is true, and false."""

    index: int
    rule: Rule
    node: Node | None
    true: list[Way] = field(default_factory=lambda: [()])
    false: list[Way] = field(default_factory=list)

    @property
    def path(self) -> str:
        return f"rules[{self.index}]" + (".when" if self.node else "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is wrong with a rule in one world.

    Attributes:
        typo: it reads what does not exist.
        behind: the index of the rule behind which nothing is reached, where that is what is wrong.
        unless_failing: it is reached where a rule above fails, which then asks whom this one asks too.
    """

    code: str
    message: str
    typo: bool = False
    behind: int | None = None
    unless_failing: bool = False


Said = tuple[str, str, str, str]
"""Path, level, code and message of a finding."""


def views_of(policy: Policy) -> list[View]:
    """The rules of a policy, taken apart."""
    views = []
    for index, rule in enumerate(policy.rules):
        if rule.condition is None:
            views.append(View(index, rule, None))
        else:
            node = parse(rule.condition.source)
            views.append(View(index, rule, node, ways(node, True), ways(node, False)))
    return views


def check(policy: Policy, views: list[View], typed: list[World], *, all_known: bool) -> Iterator[Said]:
    """Findings about the rules of one policy.

    Args:
        typed: a world for each known action type that the policy matches.
        all_known: whether those are all the actions that it can match.
    """
    base = World(policy)
    outcomes, closed = _examine(views, base)
    named, _ = _examine(views, World(policy, anywhere=True))
    if len(views) * len(typed) > _MOST_WORK:
        typed = []
    by_type = [_examine(views, world)[0] for world in typed]
    hidden = _Hidden(views)
    for view, outcome in zip(views, outcomes, strict=True):
        if outcome:
            if named[view.index]:
                yield from hidden.or_said(view, WARNING, outcome, outcome.message)
            else:
                message = f"{outcome.message}, unless an agent names this policy besides"
                yield from hidden.or_said(view, NOTE, outcome, message)
            continue
        in_types = [found for outcomes_of in by_type if (found := outcomes_of[view.index])]
        if typed and len(in_types) == len(typed):
            if all_known:
                level = WARNING if in_types[0].typo or view.rule.effect != BLOCK else NOTE
                yield from hidden.or_said(view, level, in_types[0], _by_schema(in_types[0].message, typed))
            else:
                yield from hidden.or_said(view, NOTE, in_types[0], _so_far(in_types[0], typed), known=True)
        else:
            yield from _parts(view, base, typed, all_known=all_known)
        if view.node is not None and _conflict(base, view.false):
            yield view.path, NOTE, "always-holds", "the condition is never false; leave `when` out if that is meant"
    yield from hidden.said()
    if closed:
        yield "default", *_default(policy, closed)


class _Hidden:
    """Rules that are never reached, said once at the rule that hides them: that is where the mistake is."""

    def __init__(self, views: list[View]) -> None:
        self.views = views
        self.found: dict[tuple[int, str, bool, bool], list[tuple[View, str]]] = {}

    def or_said(self, view: View, level: str, outcome: Outcome, message: str, *, known: bool = False) -> Iterator[Said]:
        """Keep a rule that another hides; say what else is wrong with one at once.

        `known`: it is so of the registered actions, and the policy matches others besides.
        """
        if outcome.behind is None:
            yield view.path, level, outcome.code, message
        else:
            key = (outcome.behind, message, known, outcome.unless_failing)
            self.found.setdefault(key, []).append((view, level))

    def said(self) -> Iterator[Said]:
        for (behind, why, known, failing), hidden in self.found.items():
            others = len(hidden) - 1
            more = f" and {others} {'rule' if others == 1 else 'rules'} after it are" if others else " is"
            level = WARNING if any(each == WARNING for _, each in hidden) else NOTE
            never = "reached by no registered action" if known else "never reached"
            if failing:
                never += ", unless a rule up to this one fails"
            text = f"rule {hidden[0][0].rule.id!r}{more} {never}: {why}"
            yield self.views[behind].path, level, "unreachable", text


def _by_schema(message: str, typed: list[World]) -> str:
    """Say that this is so by the schema, where the message does not."""
    if "schema of" in message:
        return message
    return f"{message}, for payloads that fit the schema of {_named(typed)}"


def _so_far(outcome: Outcome, typed: list[World]) -> str:
    """Say that this is so of the registered actions alone: agents may propose others that the policy matches."""
    others = "an action that nobody registered may get further"
    if outcome.behind is not None:
        return f"{outcome.message} about {_named(typed)}; {others}"
    first = _named(typed[:1])
    return f"of no registered action is this so ({first}, for one: {outcome.message}); {others}"


def _named(typed: list[World]) -> str:
    names = [world.action_type.name for world in typed if world.action_type]
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _default(policy: Policy, closed: str) -> tuple[str, str, str]:
    level = NOTE if policy.default == "require_approval" else WARNING
    return level, "unreachable", f"the default {policy.default} is never reached: {closed}"


def _examine(views: list[View], world: World) -> tuple[list[Outcome | None], str]:
    """What is wrong with each rule in a world, and why the default is not reached there ("" where it is)."""
    outcomes: list[Outcome | None] = []
    reached = _Reached(world)
    for view in views:
        outcome = None
        if reached.closed:
            outcome = Outcome("unreachable", reached.here, behind=reached.behind, unless_failing=reached.may_fail)
        elif view.node is not None:
            outcome = _never(view, world) or _shadowed(view, views, reached, world)
        outcomes.append(outcome)
        reached.passes(view)
    return outcomes, reached.closed


class _Reached:
    """What is so where no rule up to here has decided."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.states = [State(world)]
        self.closed = ""  # why nothing comes further
        self.here = ""  # the same, said at the rule behind which nothing comes
        self.behind: int | None = None
        self.may_fail = False  # whether a rule up to here may give no answer

    def passes(self, view: View) -> None:
        """Go on behind ``view``: its condition is false."""
        if self.closed:
            return
        # One that blocks decides by failing, too.
        self.may_fail = self.may_fail or (view.rule.effect != BLOCK and _may_fail(view, self.world))
        if len(self.states) * len(view.false) <= _MOST_STATES:
            states = []
            for state in self.states:
                for way in view.false:
                    further = State(self.world, state)
                    if not further.add_all(way):
                        states.append(further)
            self.states = states
        if not self.states or not view.false:
            alone = not view.false or _conflict(self.world, view.false) is not None
            self.closed = f"rule {view.rule.id!r} above always decides" if alone else "the rules above always decide"
            self.here = "this rule always decides" if alone else "the rules up to this one always decide"
            self.behind = view.index

    def excludes(self, found: list[Way]) -> bool:
        """Whether none of these ways is possible where the rules above have not decided."""
        return not any(State(self.world, state).add_all(way) is None for state in self.states for way in found)


def _never(view: View, world: World) -> Outcome | None:
    """A condition that is true for no intent."""
    conflict = _conflict(world, view.true)
    if conflict is None:
        return None
    if not view.true and not view.false:
        return Outcome(
            "never-answers", f"the condition gives neither true nor false, so the rule always {_fails(view)}"
        )
    if not view.true:
        return Outcome("never-holds", "the condition is always false")
    typo = conflict.unknown is not None
    if _conflict(world, view.false):
        message = f"the condition always fails, so the rule always {_fails(view)}: {conflict.text}"
        return Outcome("never-answers", message, typo)
    but = f"; where it fails, the rule still {_fails(view)}" if _may_fail(view, world) else ""
    return Outcome("never-holds", f"the condition can never hold: {conflict.text}{but}", typo)


def _may_fail(view: View, world: World) -> bool:
    """Whether a condition may give no answer: it reads what may be missing, or calls what does not take everything."""
    if view.node is None:
        return False
    nodes = list(view.node.walk())
    if any(isinstance(node, Call) and node.name not in _ALWAYS_ANSWERS for node in nodes):
        return True
    paths = [path for node in nodes if (path := steps(node)) is not None]
    whole = [path for path in paths if not any(path == other[: len(path)] and path != other for other in paths)]
    return any(path[0] != "agent" and len(path) > 1 and not world.required(path) for path in whole)


def _fails(view: View) -> str:
    return "blocks" if view.rule.effect == BLOCK else "asks"


def _conflict(world: World, found: list[Way]) -> Conflict | None:
    """The first conflict, where none of these ways is possible; None where one is."""
    first = None
    for way in found:
        conflict = State(world).add_all(way)
        if conflict is None:
            return None
        first = first or conflict
    return first or Conflict(())


def _shadowed(view: View, views: list[View], reached: _Reached, world: World) -> Outcome | None:
    """A condition that holds only where a rule above has decided."""
    if reached.excludes(view.true):
        for other in views[: view.index]:
            conflict = _together(view, other, world)
            if conflict:
                return Outcome("shadowed", _shadow_text(other, conflict, world))
        failing = " or failed" if reached.may_fail else ""
        return Outcome("shadowed", f"wherever the condition holds, one of the rules above has decided{failing} already")
    return None


def _together(view: View, other: View, world: World) -> Conflict | None:
    """Why ``view`` cannot hold where ``other`` does not; None where it can."""
    conflict: Conflict | None = None
    for passed in other.false:
        before = State(world)
        if before.add_all(passed):
            continue
        for way in view.true:
            found = State(world, before).add_all(way)
            if found is None:
                return None
            conflict = conflict or found
    return conflict


def _shadow_text(other: View, conflict: Conflict, world: World) -> str:
    rule = f"rule {other.rule.id!r} above"
    missing = next((claim.lacks for claim in conflict.claims if claim.lacks), None)
    if missing and other.node is not None and missing in needed(other.node):
        name = ".".join(str(step) for step in missing)
        return f"wherever the condition holds, {rule} has failed already and {_fails(other)}: it reads {name}"
    failing = " or failed" if other.rule.effect != BLOCK and _may_fail(other, world) else ""
    return f"wherever the condition holds, {rule} has decided{failing} already ({other.rule.effect})"


def _parts(view: View, base: World, typed: list[World], *, all_known: bool) -> Iterator[Said]:
    """Parts of a condition that never hold, or never give an answer, while the whole may."""
    if view.node is None:
        return
    if isinstance(view.node, Logical) and view.node.op == "||":
        for part in view.node.parts:
            conflict = _conflict(base, ways(part, True)) if constant(part) is None else None
            if conflict and conflict.claims and not _silent(part, base):
                yield view.path, WARNING, "never-holds", f"`{part.source}` can never hold: {conflict.text}"
    for atom in _atoms(view.node):
        conflict = _silent(atom, base)
        level, whom = WARNING, ""
        if conflict is None and typed:
            conflicts = [_silent(atom, world) for world in typed]
            conflict = conflicts[0] if all(conflicts) else None
            if not all_known:
                level, whom = NOTE, " for a registered action"
        if conflict:
            yield view.path, level, "never-answers", f"`{atom.source}` never has an answer{whom}: {conflict.text}"


def _silent(atom: Node, world: World) -> Conflict | None:
    """Why a part is neither true nor false in this world, or None."""
    true = _conflict(world, ways(atom, True))
    return true if true and _conflict(world, ways(atom, False)) else None


def _atoms(node: Node) -> Iterator[Node]:
    """The parts that ``&&``, ``||``, ``!`` and ``? :`` join."""
    waiting: Sequence[Node] = [node]
    while waiting:
        first, *rest = waiting
        if isinstance(first, Logical | Ternary) or (isinstance(first, Unary) and first.op == "!"):
            waiting = [*first.children, *rest]
        else:
            waiting = rest
            if not isinstance(first, Has):
                yield first
