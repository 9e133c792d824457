"""What another version of a policy does differently, in words: its rules, what it is for, what holds where none does.

Read from the documents as they were written and not from the engine's own form, so that whatever a later grammar adds
is named too, and so that a version which can no longer be read is told of instead of failing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intents import text_diff
from intents.models import PolicyVersion
from zehrava.policy import strict_yaml
from zehrava.policy.errors import DocumentError

_RULE_PARTS = ("effect", "when", "approval", "limits", "reason")
_WORDS = {"when": "condition"}
_LISTS = ("actions", "agents", "environments", "tags")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is different: `what` it is, and how it reads in the two versions; None where it is not there."""

    what: str
    before: str | None
    after: str | None

    @property
    def was(self) -> tuple[text_diff.Part, ...]:
        """How it read before, in parts, those marked that differ."""
        return self._parts[0]

    @property
    def now(self) -> tuple[text_diff.Part, ...]:
        """How it reads now, in parts, those marked that differ."""
        return self._parts[1]

    @property
    def _parts(self) -> tuple[tuple[text_diff.Part, ...], tuple[text_diff.Part, ...]]:
        if self.before is None or self.after is None:
            return ((self.before or "", False),), ((self.after or "", False),)
        return text_diff.words(self.before, self.after)


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule that is new, gone, changed or in another place: `mark` is added, removed, changed or moved."""

    mark: str
    rule: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference between two versions; `unread` says why it could not be put into words."""

    rules: tuple[RuleChange, ...] = ()
    policy: tuple[Change, ...] = ()
    lines_added: int = 0
    lines_removed: int = 0
    unread: str = ""

    def count(self, mark: str) -> int:
        return sum(rule.mark == mark for rule in self.rules)

    @property
    def told(self) -> str:
        """`2 rules added, 1 changed; default changed`: in one line, for lists."""
        marks = [(mark, self.count(mark)) for mark in ("added", "removed", "changed", "moved")]
        rules = [f"{number} {mark}" for mark, number in marks if number]
        if rules:
            number = rules[0].split(" ", 1)
            rules[0] = f"{number[0]} rule{'' if number[0] == '1' else 's'} {number[1]}"
        parts = [", ".join(rules)] if rules else []
        if self.policy:
            parts.append(", ".join(dict.fromkeys(change.what for change in self.policy)) + " changed")
        return "; ".join(parts) or ("" if self.unread else "no rule changed")


def between(old: PolicyVersion | None, new: PolicyVersion) -> Changes:
    """What `new` does differently; without `old`, all of it is new. Remembered, for the texts never change."""
    return _between(old.text if old else "", new.text)


@functools.lru_cache(maxsize=64)
def _between(old: str, new: str) -> Changes:
    added, removed = text_diff.count(old, new)
    try:
        before = _read(old) if old else {}
    except DocumentError as error:
        return Changes(lines_added=added, lines_removed=removed, unread=f"The older one cannot be read: {error.reason}")
    try:
        after = _read(new)
    except DocumentError as error:
        return Changes(lines_added=added, lines_removed=removed, unread=f"The newer one cannot be read: {error.reason}")
    return Changes(
        rules=tuple(_rules(_by_id(before), _by_id(after))),
        policy=tuple(_of_the_policy(before, after)) if old else (),
        lines_added=added,
        lines_removed=removed,
    )


# Each version is compared with the one before it and the one after it.
@functools.lru_cache(maxsize=64)
def _read(text: str) -> dict[str, Any]:
    data = strict_yaml.read(text).data
    return data if isinstance(data, dict) else {}


def _by_id(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    rules = document.get("rules")
    named = (rule for rule in (rules if isinstance(rules, list) else ()) if isinstance(rule, dict))
    return {str(rule.get("id")): rule for rule in named}


def _rules(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> Iterator[RuleChange]:
    """In the order of the newer version, then what is gone."""
    moved = _moved([name for name in before if name in after], [name for name in after if name in before])
    for name, rule in after.items():
        if name not in before:
            yield RuleChange("added", name, tuple(_parts({}, rule)))
        elif changes := tuple(_parts(before[name], rule)):
            yield RuleChange("changed", name, (*changes, *_place(name, moved, before, after)))
        elif name in moved:
            yield RuleChange("moved", name, tuple(_place(name, moved, before, after)))
    for name in before:
        if name not in after:
            yield RuleChange("removed", name, tuple(_parts(before[name], {})))


def _parts(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key in dict.fromkeys([*_RULE_PARTS, *before, *after]):
        if key != "id" and before.get(key) != after.get(key):
            yield Change(_WORDS.get(key, key), _told(key, before), _told(key, after))


def _place(name: str, moved: set[str], before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    if name in moved:
        yield Change("place", f"rule {[*before].index(name) + 1}", f"rule {[*after].index(name) + 1}")


def _moved(before: Sequence[str], after: Sequence[str]) -> set[str]:
    """Rules that stand elsewhere among those that stayed. The order counts: the first that holds decides."""
    place = {name: number for number, name in enumerate(before)}
    kept = text_diff.longest_run([place[name] for name in after])
    return {name for number, name in enumerate(after) if number not in kept}


def _of_the_policy(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    old_match, new_match = before.get("match") or {}, after.get("match") or {}
    for key in dict.fromkeys([*_LISTS, *old_match, *new_match]):
        if old_match.get(key) != new_match.get(key):
            yield Change(f"match.{key}", _told(key, old_match), _told(key, new_match))
    for key in dict.fromkeys(["default", "expires_in", "description", *before, *after]):
        if key not in ("match", "rules", "tests", "name") and before.get(key) != after.get(key):
            yield Change(key, _told(key, before), _told(key, after))
    if before.get("tests") != after.get("tests"):
        yield Change("tests", f"{len(before.get('tests') or ())}", f"{len(after.get('tests') or ())}")


def _told(key: str, owner: Mapping[str, Any]) -> str | None:
    return plainly(owner[key]) if key in owner else None


def plainly(value: Any) -> str:
    """A value of a document as one line: `all_of: 2 of finance, 1 of security; expires_in: 15m`."""
    if isinstance(value, dict):
        if set(value) <= {"group", "count"} and "group" in value:
            return f"{value.get('count', 1)} of {value['group']}"
        if set(value) == {"group", "weight"}:
            return f"{value['group']} ({plainly(value['weight'])} each)"
        return "; ".join(f"{key}: {plainly(member)}" for key, member in value.items())
    if isinstance(value, list):
        return ", ".join(f"({plainly(one)})" if _is_wide(one) else plainly(one) for one in value)
    return {True: "true", False: "false", None: "nothing"}.get(value, str(value)) if _is_word(value) else str(value)


def _is_wide(value: Any) -> bool:
    return isinstance(value, dict) and not (set(value) <= {"group", "count"} or set(value) == {"group", "weight"})


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, bool)
