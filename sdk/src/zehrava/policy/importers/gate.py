"""Zehrava Gate: one document per policy, evaluated in a fixed order of its keys, first hit decides.

What Gate looked at, and what stands for it here:

- the destination of a proposal is the action of an intent, its record count is ``intent.records``;
- ``metadata.environment`` is the registered environment of the agent, ``metadata.scope`` is ``context.scope``;
- the payload is the payload; the file whose extension counts is the payload itself where that is a text, else
  ``payload.file``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from zehrava import durations

from ..strict_yaml import join
from ..verdicts import ALLOW, ASK, BLOCK
from .cel import FALSE, Cel, Path, both, choose, compare, either, fits, is_kind, literal, matches, negate, none_of
from .dialects import GATE, refuse_another
from .draft import Approval, Draft, Drafts
from .gate_fields import field_rule
from .gate_terms import term_rules
from .imported import Imported
from .source import Source, policy_name, prose, quoted, slug

_ACTION = Path("intent", ("action",)).value
_ENVIRONMENT = Path("agent", ("environment",)).value
_RECORDS = Path("intent", ("records",)).value
_MOST = 10**9
_MOST_RECORDS = 2**53 - 1

_FIRST = ("id", "destinations", "allowed_types", "environments")
_THRESHOLDS = (
    "rate_limits", "field_checks", "block_if_terms", "require_approval", "require_approval_over", "auto_approve_under",
    "require_approval_for",
)  # fmt: skip
_APPROVAL = ("require_approvals", "expiry_minutes", "on_no_response", "require_profile", "assurance")
_HARMLESS = {
    "name": "is only a title; the policy keeps its own name",
    "approval_channel": "is not carried over; where people are told is set in the portal, not in a policy",
}
# Keys of Gate's own examples whose value asks for nothing that is not so here anyway.
_MEANS_NOTHING = {
    "delivery": ("one_time_only", "is left out: here nothing runs more than once"),
    "block_if_pii": (False, "asks for nothing and is left out"),
}

_Limits = tuple[dict[str, Any], ...]


def gate(text: str, name: str) -> Imported:
    """A policy of Zehrava Gate in our grammar.

    Args:
        text: the YAML document.
        name: the name of its file, which was its id, with or without ``.yaml``; it becomes the name of the policy.

    Raises:
        PolicyError: with line and column, for what is no such document, or a name that is none.
    """
    source = Source(text)
    refuse_another(source, GATE)
    made = policy_name(source, name)
    _check_id(source, name)
    reader = _Gate(source)
    reader.read_whole()
    variants = reader.read_environments()
    reader.read_blocks(variants)
    for variant in variants:
        reader.read_decisions(variant)
    return reader.rules.finish(
        made,
        match={"actions": reader.actions},
        default=ASK,
        description=_description(source),
        expires_in=reader.expires_in,
    )


def _check_id(source: Source, name: str) -> None:
    if "id" not in source.data:
        return
    identifier = source.text(source.data["id"], "id", most=120)
    if "/" in identifier or "\\" in identifier or ".." in identifier:
        raise source.refuse("id", f"{quoted(identifier)} is a path; an id is a name alone")
    if slug(identifier) != slug(name.removesuffix(".yaml").removesuffix(".yml")):
        source.note("id", f"the id {quoted(identifier)} is left out; Gate took the name of the file, and so does this")


def _description(source: Source) -> str:
    value = source.data.get("description")
    return "" if value is None else prose(source.text(value, "description"), most=1_000)


@dataclass(frozen=True, slots=True)
class _Variant:
    """The keys that count in one environment: where each of them stands, and which agents are meant."""

    data: dict[str, Any]
    path: str
    overlaid: frozenset[str] = frozenset()
    environment: str | None = None

    def get(self, key: str) -> Any:
        return self.data.get(key)

    def place(self, key: str) -> str:
        return join(self.path, key) if key in self.overlaid else key

    @property
    def when(self) -> Cel | None:
        if self.environment is None:
            return None
        return compare(_ENVIRONMENT, "==", literal(self.environment))

    def name(self, rule: str) -> str:
        return rule if self.environment is None else f"{slug(self.environment) or 'environment'}-{rule}"


class _Gate:
    """One document, key by key, in the order in which Gate looked at them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.data = source.data
        self.rules = Drafts(source)
        self.actions = ["*"]
        self.expires_in: str | None = None
        self.approval = Approval()

    def read_whole(self) -> None:
        """What holds in every environment."""
        self._read_approval()
        self._read_unknown(self.data, "", (*_FIRST, *_THRESHOLDS, *_APPROVAL, "description"))
        self._read_destinations()
        self._read_types()
        if self.data.get("require_profile") is not None:
            reason = (
                "typed profiles have no equal here, so nothing passes without a person; register an action type with a"
                " JSON Schema, then let the rule allow again"
            )
            self._hold_back("require_profile", reason)

    def _hold_back(self, path: str, reason: str) -> None:
        self.source.drop(path, reason)
        rule = Draft(
            self.rules.id("held-back"), ASK, reason=f"{path} could not be carried over", approval=self.approval
        )
        self.rules.unreadable(rule)

    def _read_unknown(self, data: dict[str, Any], path: str, known: tuple[str, ...]) -> None:
        passing = self.source.left_out(data, path)
        for key in data:
            if key in _HARMLESS:
                self.source.drop(join(path, key), _HARMLESS[key])
            elif key in _MEANS_NOTHING and data[key] == _MEANS_NOTHING[key][0]:
                self.source.note(join(path, key), _MEANS_NOTHING[key][1])
            elif key not in known and key not in passing:
                self._hold_back(join(path, key), "is unknown to Gate as we know it; nothing passes without a person")

    def _read_approval(self) -> None:
        count = 1
        if self.data.get("require_approvals") is not None:
            count = self.source.whole(self.data["require_approvals"], "require_approvals", least=1, most=100)
        if self.data.get("expiry_minutes") is not None:
            minutes = self.source.whole(self.data["expiry_minutes"], "expiry_minutes", least=1, most=365 * 1_440)
            self.expires_in = durations.text(minutes * 60)
        step_up = self._read_assurance()
        self.approval = Approval((("reviewers", count),) if count > 1 or step_up else (), step_up=step_up)
        silence = self.data.get("on_no_response")
        if silence is not None and silence not in ("expire", "reject", "block"):
            reason = f"{quoted(silence)} is not carried over: an ask that nobody answers expires, and nothing runs"
            self.source.drop("on_no_response", reason)

    def _read_assurance(self) -> bool:
        """Whether anybody has to prove more than who they are."""
        levels = self.data.get("assurance")
        if levels is None:
            return False
        factors: list[str] = []
        for level, wanted in self.source.mapping(levels, "assurance").items():
            if wanted is not None:
                factors += self.source.texts(wanted, join("assurance", level))
        if not factors:
            return False
        reason = (
            f"evidence by level of risk ({', '.join(quoted(each) for each in dict.fromkeys(factors))}) has no equal"
            " here; every approval needs a fresh second factor instead (step_up)"
        )
        self.source.drop("assurance", reason)
        return True

    def _read_destinations(self) -> None:
        listed = self.data.get("destinations")
        if listed is None:
            reason = (
                "there are no destinations, so this covers every action of every agent; Gate asked only proposals that"
                " named the policy: list the actions in match.actions"
            )
            self.source.note("", reason)
            return
        names = list(dict.fromkeys(self.source.texts(listed, "destinations", most=200)))
        if not names:
            raise self.source.refuse("destinations", "is empty, which blocks everything; list what may be reached")
        for name in names:
            if "*" in name or not name.isascii() or not name.isprintable() or " " in name:
                raise self.source.refuse(
                    "destinations", f"{quoted(name)} is no name of an action: plain, without * and spaces"
                )
        self.actions = names
        self.source.note(
            "destinations",
            "destinations are actions here; this policy covers those, and blocks any other for an agent that names it",
        )
        when = none_of(_ACTION, names)
        if not fits(when):
            raise self.source.refuse("destinations", "are more than one condition holds; split the policy")
        rule = Draft(self.rules.id("destinations"), BLOCK, when, "{intent.action} is not among the destinations")
        self.rules.add(rule, "destinations")

    def _read_types(self) -> None:
        listed = self.data.get("allowed_types")
        if listed is None:
            return
        types = []
        for each in self.source.texts(listed, "allowed_types", most=20):
            if each != each.lower():
                # Gate put the extension of the file in small letters, and not the list.
                self.source.note("allowed_types", f"{quoted(each)} matched no file in Gate, and is left out")
                continue
            types.append(each)
        for each in types:
            if not each.isascii() or not each.isalnum():
                raise self.source.refuse(
                    "allowed_types", f"{quoted(each)} is no file extension: letters and digits, no dot"
                )
        payload, file = Path("payload"), Path("payload", ("file",))
        named = [_ends_in(path.value, types) for path in (payload, file)]
        inside = both(is_kind(payload.value, "map"), file.present)
        assert inside is not None
        proper = both(is_kind(file.value, "string"), named[1])
        assert proper is not None
        other = literal("json" in types)
        when = (
            negate(choose(is_kind(payload.value, "string"), named[0], choose(inside, proper, other))) if types else None
        )
        self.source.note(
            "allowed_types",
            "the extension counts of the payload where it is a text, else of payload.file; any other payload is json",
        )
        rule = Draft(self.rules.id("types"), BLOCK, when, f"only these types may pass: {', '.join(types) or 'none'}")
        self.rules.add(rule, "allowed_types")

    def read_environments(self) -> list[_Variant]:
        """What counts in each environment that the document names, and last in all others."""
        variants = []
        overlays = self.source.mapping(self.data.get("environments"), "environments")
        for environment, overlay in overlays.items():
            path = join("environments", environment)
            data = self.source.mapping(overlay, path)
            if not environment.isascii() or not environment.isprintable() or not environment.strip():
                raise self.source.refuse(path, "is no name of an environment: plain letters and digits")
            self._read_unknown(data, path, (*_FIRST, *_THRESHOLDS, *_APPROVAL, "description"))
            for key in data:
                if key in (*_FIRST, *_APPROVAL):
                    self.source.drop(join(path, key), "has no effect within an environment, and had none to Gate")
            self.source.note(path, "this holds for agents registered in the environment, not for those that claim it")
            overlaid = {key: data[key] for key in data if key in _THRESHOLDS}
            variants.append(_Variant({**self.data, **overlaid}, path, frozenset(overlaid), environment))
        return [*variants, _Variant(self.data, "")]

    def read_blocks(self, variants: list[_Variant]) -> None:
        """What blocks, each key once where it counts, so that an environment repeats only what it changes."""
        for key, read in (
            ("rate_limits", self._read_rates_of_none),
            ("field_checks", self._read_checks),
            ("block_if_terms", self._read_terms),
        ):
            apart = [variant for variant in variants if key in variant.overlaid]
            for variant in apart:
                read(variant, variant.when)
            others = none_of(_ENVIRONMENT, [variant.environment for variant in apart]) if apart else None
            read(variants[-1], others)

    def read_decisions(self, variant: _Variant) -> None:
        """Who decides in one environment; the last rule leaves nothing over."""
        limits = self._read_rates(variant)
        if self._asks_always(variant):
            self._decide(variant, limits, "always", None, "everything is looked at", "require_approval")
            return
        self._read_counts(variant, limits)
        if variant.environment is not None or limits or self.approval != Approval():
            self._decide(variant, limits, "review", None, "no other rule decides", "")

    def _block(self, variant: _Variant, rule: Draft, key: str) -> None:
        self.rules.add(replace(rule, id=self.rules.id(variant.name(rule.id))), variant.place(key))

    def _decide(
        self, variant: _Variant, limits: _Limits, name: str, when: Cel | None, reason: str, key: str, effect: str = ASK
    ) -> None:
        """A rule for the agents of ``variant`` alone, which counts what passes it."""
        name = self.rules.id(variant.name(name))
        rule = Draft(name, effect, both(variant.when, when), reason, self.approval, limits)
        self.rules.add(rule, variant.place(key) if key else variant.path)

    def _rates(self, variant: _Variant) -> dict[str, int]:
        """How many may pass in a window; 0 meant no limit to Gate."""
        path = variant.place("rate_limits")
        counts = {}
        for key, count in self.source.mapping(variant.get("rate_limits"), path).items():
            window = {"per_agent_per_hour": "1h", "per_agent_per_day": "1d"}.get(key)
            if window is None:
                self._hold_back(join(path, key), "is unknown to Gate as we know it; nothing passes without a person")
            else:
                counts[window] = self.source.whole(count, join(path, key), least=0, most=_MOST)
        return counts

    def _read_rates_of_none(self, variant: _Variant, when: Cel | None) -> None:
        if 0 in self._rates(variant).values():
            self.source.note(variant.place("rate_limits"), "0 meant no limit to Gate; here none may pass")
            self._block(variant, Draft("no-rate", BLOCK, when, "none may pass"), "rate_limits")

    def _read_rates(self, variant: _Variant) -> _Limits:
        rates = self._rates(variant)
        if any(rates.values()):
            reason = (
                "each rule counts for itself what passes it; Gate counted every proposal of an agent together, also"
                " those that were blocked or named another policy"
            )
            self.source.drop(variant.place("rate_limits"), reason)
        return tuple(
            {"count": count, "per": "agent", "window": window, "over": BLOCK}
            for window, count in rates.items()
            if count
        )

    def _read_checks(self, variant: _Variant, when: Cel | None) -> None:
        path = variant.place("field_checks")
        entries = self.source.items(variant.get("field_checks"), path)
        if not entries:
            return
        reason = "the payload is no JSON object, so its fields cannot be checked"
        other = both(when, is_kind(Path("payload").value, "map", negated=True))
        self._block(variant, Draft("payload", BLOCK, other, reason), "field_checks")
        for index, entry in enumerate(entries):
            place = join(path, index)
            rule = field_rule(self.source, self.source.mapping(entry, place), place)
            if rule:
                self._block(variant, replace(rule, when=both(when, rule.when)), "field_checks")

    def _read_terms(self, variant: _Variant, when: Cel | None) -> None:
        path = variant.place("block_if_terms")
        words = self.source.texts(variant.get("block_if_terms"), path, most=100)
        for rule in term_rules(self.source, words, path):
            self._block(variant, replace(rule, when=both(when, rule.when)), "block_if_terms")

    def _asks_always(self, variant: _Variant) -> bool:
        value = variant.get("require_approval")
        if value is None:
            return False
        if value == "always" or value is True:
            return True
        self.source.drop(variant.place("require_approval"), f"{quoted(value)} means nothing to Gate; only always does")
        return False

    def _read_counts(self, variant: _Variant, limits: _Limits) -> None:
        """The thresholds. What has to ask stands before what is approved, whatever Gate did."""
        for key in ("require_approval_over", "auto_approve_under"):
            if variant.get(key) is not None:
                self.source.whole(variant.get(key), variant.place(key), least=0, most=_MOST_RECORDS)
        over, under = variant.get("require_approval_over"), variant.get("auto_approve_under")
        if over is not None:
            when = both(compare(_RECORDS, "!=", literal(None)), compare(_RECORDS, ">", literal(over)))
            reason = f"{{intent.records}} records are more than {over}"
            self._decide(variant, limits, "many", when, reason, "require_approval_over")
        if self._asks_org_wide(variant):
            scope = Path("context", ("scope",))
            said = compare(scope.value, "==", literal("org_wide"))
            odd = both(compare(scope.value, "!=", literal(None)), is_kind(scope.value, "string", negated=True))
            when = both(scope.present, either(said, odd or FALSE))
            reason = "the agent says that this reaches everybody"
            self._decide(variant, limits, "org-wide", when, reason, "require_approval_for")
        if under is None:
            return
        if under == 0:
            self.source.note(variant.place("auto_approve_under"), "0 approves nothing, so there is no rule for it")
            return
        if self.data.get("environments"):
            claimed = Path("context", ("environment",))
            when = both(claimed.present, compare(claimed.value, "!=", _ENVIRONMENT))
            reason = "the agent says that it works elsewhere"
            self._decide(variant, limits, "other-environment", when, reason, "environments")
        when = both(
            compare(_RECORDS, "!=", literal(None)),
            compare(_RECORDS, ">=", literal(1)),
            compare(_RECORDS, "<=", literal(under)),
        )
        reason = f"{{intent.records}} records are no more than {under}"
        self._decide(variant, limits, "few", when, reason, "auto_approve_under", ALLOW)

    def _asks_org_wide(self, variant: _Variant) -> bool:
        value = variant.get("require_approval_for")
        if value is None:
            return False
        values = value if isinstance(value, list) else [value]
        place = variant.place("require_approval_for")
        if any(each != "org_wide" for each in values):
            self._hold_back(place, f"{quoted(value)} has no equal here; nothing passes without a person")
        return "org_wide" in values


def _ends_in(value: Cel, types: list[str]) -> Cel:
    """Whether the name of a file ends in one of the extensions, whatever their case."""
    chunks = [types[start : start + 8] for start in range(0, len(types), 8)]
    return either(*(matches(value, rf"(?i)\.({'|'.join(chunk)})$") for chunk in chunks))
