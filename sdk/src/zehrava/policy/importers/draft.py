"""A policy while it is put together, and how whatever cannot be said keeps holding back.

Three things can be unreadable. A rule that blocks then blocks wherever it might have. A rule that asks turns into a
doubt: what a later rule would allow is asked instead, what later rules block stays blocked. A rule that allows is left
out. So nothing comes out weaker than it went in, in the order allow, ask, block.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from ..approvals import MAX_SEATS
from ..document import DEFAULT_RULE, MAX_RULES, parse_policy
from ..errors import PolicyError
from ..requirements import DEFAULT_GROUP
from ..verdicts import ALLOW, ASK, BLOCK
from .cel import Cel, both, fits
from .imported import Imported
from .source import Source, slug


@dataclass(frozen=True, slots=True)
class Approval:
    """Who is asked: every group of ``all_of``, one of ``any_of`` besides; empty: one of the reviewers."""

    all_of: tuple[tuple[str, int], ...] = ()
    any_of: tuple[str, ...] = ()
    expires_in: str | None = None
    step_up: bool = False

    def document(self) -> dict[str, Any] | None:
        """As the grammar has it; None where nothing needs to be said."""
        made: dict[str, Any] = {}
        if self.all_of:
            made["all_of"] = [
                {"group": group, "count": count} if count > 1 else {"group": group} for group, count in self.all_of
            ]
        if self.any_of:
            made["any_of"] = [{"group": group} for group in self.any_of]
        if self.expires_in:
            made["expires_in"] = self.expires_in
        if self.step_up:
            made["step_up"] = True
        return made or None


@dataclass(frozen=True, slots=True)
class Draft:
    """One rule in the making."""

    id: str
    effect: str
    when: Cel | None = None
    reason: str = ""
    approval: Approval = Approval()
    limits: tuple[dict[str, Any], ...] = ()

    def document(self) -> dict[str, Any]:
        made: dict[str, Any] = {"id": self.id}
        if self.when is not None:
            made["when"] = self.when.text
        made["effect"] = self.effect
        if self.reason:
            made["reason"] = self.reason
        approval = self.approval.document()
        if approval and self.effect == ASK:
            made["approval"] = approval
        if self.limits and self.effect != BLOCK:
            made["limits"] = [dict(limit) for limit in self.limits]
        return made


@dataclass(slots=True)
class Drafts:
    """The rules of a policy in their order, and the doubts that hold back what comes after."""

    source: Source
    rules: list[Draft] = field(default_factory=list)
    doubts: list[Draft] = field(default_factory=list)
    taken: set[str] = field(default_factory=lambda: {DEFAULT_RULE})
    fields: set[str] = field(default_factory=set)  # fields of the source whose new place has been noted
    told: set[str] = field(default_factory=set)  # ids of doubts that have become a rule already

    def id(self, wanted: str, path: str = "") -> str:
        """An id for a rule that no other has; what had to change is noted."""
        made = slug(wanted) or "rule"
        candidate = made
        number = 2
        while candidate in self.taken:
            candidate = f"{made[:58]}-{number}"
            number += 1
        self.taken.add(candidate)
        if path and candidate != wanted:
            self.source.note(path, f"the rule is called {candidate!r} here")
        return candidate

    def add(self, rule: Draft, path: str) -> None:
        """One more rule, from ``path`` of the source."""
        if not fits(rule.when):
            self.source.drop(path, "the condition is too long or too deep for one rule here; write it by hand")
            self.unreadable(replace(rule, when=None))
            return
        if rule.effect == ALLOW:
            rule = self._doubted(rule)
        self.rules.append(rule)

    def unreadable(self, rule: Draft) -> None:
        """A rule of which only a part is known: ``when`` holds at least wherever the rule did."""
        if rule.effect == BLOCK:
            self.rules.append(rule)
        elif (rule.effect == ASK or rule.limits) and not self._covered(rule):
            reason = rule.reason or f"rule {rule.id} could not be carried over whole"
            self.doubts.append(replace(rule, effect=ASK, reason=reason, limits=()))

    def _covered(self, rule: Draft) -> bool:
        return any(doubt.when is None and doubt.approval == rule.approval for doubt in self.doubts)

    def _doubted(self, rule: Draft) -> Draft:
        """An allow rule after doubts: asked as far as any of them reaches."""
        for doubt in self.doubts:
            within = both(doubt.when, rule.when)
            crowded = len(self.rules) > MAX_RULES // 2
            if doubt.when is None or crowded or rule.effect == ASK or not fits(within):
                approval = doubt.approval if rule.effect == ALLOW else _join(rule.approval, doubt.approval)
                if len(approval.all_of) > MAX_SEATS:
                    raise self.source.refuse(
                        "", f"more than {MAX_SEATS} groups would have to approve; split the document"
                    )
                rule = replace(rule, effect=ASK, approval=approval, reason=doubt.reason)
            else:
                self._tell(doubt, within)
        return rule

    def _tell(self, doubt: Draft, when: Cel | None) -> None:
        """A doubt as a rule that asks."""
        name = self.id(doubt.id) if doubt.id in self.told else doubt.id
        self.told.add(doubt.id)
        self.rules.append(replace(doubt, id=name, when=when))

    def finish(
        self,
        name: str,
        *,
        match: dict[str, list[str]],
        default: str,
        description: str = "",
        expires_in: str | None = None,
        tests: list[dict[str, Any]] | None = None,
    ) -> Imported:
        """The document.

        Raises:
            PolicyError: where the grammar cannot hold it, such as too many rules.
        """
        if default == ALLOW:
            rest = self._doubted(Draft("otherwise", ALLOW))
            if rest.effect == ASK:
                self.rules.append(replace(rest, id=self.id(rest.id)))
        if not self.rules:
            self.rules.append(Draft(self.id("everything"), default))
        made: dict[str, Any] = {"name": name}
        if description:
            made["description"] = description
        made["match"] = match
        made["rules"] = [rule.document() for rule in self.rules]
        made["default"] = default
        if expires_in:
            made["expires_in"] = expires_in
        if tests:
            made["tests"] = tests
        text = to_yaml(made)
        try:
            parse_policy(text)
        except PolicyError as error:
            where = f"{error.path}: " if error.path else ""
            raise self.source.refuse("", f"cannot be carried over: {where}{error.reason}") from None
        return Imported(text, tuple(self.source.dropped), tuple(self.source.notes))


def _join(first: Approval, second: Approval) -> Approval:
    counts: dict[str, int] = {}
    for group, count in (*_seats(first), *_seats(second)):
        counts[group] = max(count, counts.get(group, 0))
    if first.any_of and second.any_of and first.any_of != second.any_of:
        for group in (*first.any_of, *second.any_of):
            counts.setdefault(group, 1)
        any_of: tuple[str, ...] = ()
    else:
        any_of = first.any_of or second.any_of
    return Approval(
        tuple(counts.items()), any_of, second.expires_in or first.expires_in, first.step_up or second.step_up
    )


def _seats(approval: Approval) -> tuple[tuple[str, int], ...]:
    """The seats of ``all_of``, also where nobody is named."""
    return approval.all_of or (() if approval.any_of else ((DEFAULT_GROUP, 1),))


class _Dumper(yaml.SafeDumper):
    """Block style, lists indented, and quotes wherever another reader could see something else than a text."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_RISKY = re.compile(r"|~|null|true|false|yes|no|on|off|y|n|[-+]?(0[oxb].*|[0-9.][0-9.e+_-]*|\.(inf|nan))", re.I | re.A)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    risky = _RISKY.fullmatch(value)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="'" if risky else None)


_Dumper.add_representer(str, _text)


def to_yaml(document: dict[str, Any]) -> str:
    """YAML as people write it."""
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=100
    )
    return text
