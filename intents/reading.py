"""Who may read which intents: the one place that knows.

The permission `intents.view_intent` gives everything, unless it comes from a group that has a reading rule: then it
gives what the rule lets through. A person reads the union over all that gives them the permission; who has it by
themselves, and a superuser, reads everything. What an intent does not know of itself passes only a rule that does not
ask about it (promise 1).

Whoever has a say in an intent reads that one besides, whatever the rules are: they must decide on it. Lists and figures
are of what the rules let through; what one has a say in is found on the desk.

What a person may read is kept on their object, as Django keeps their permissions: the next request reads it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from django.contrib.auth.models import Group, User
from django.db.models import BigIntegerField, Exists, JSONField, OuterRef, Q, Value

from intents.models import Intent, ReadingRule, Sensitivity

VIEW = "intents.view_intent"
_GIVES_IT = Q(permissions__content_type__app_label="intents", permissions__codename="view_intent")
_KEPT = "_reads_intents"
# Set on people by what loads them for a request.
MEETS_A_RULE = "meets_a_reading_rule"


class Terms(NamedTuple):
    """What one rule asks; None where it does not ask."""

    environments: frozenset[str] | None
    levels: frozenset[str] | None

    def admit(self, environment: str, sensitivity: str) -> bool:
        """Whether what is this sensitive and comes from there passes."""
        return (self.environments is None or environment in self.environments) and (
            self.levels is None or sensitivity in self.levels
        )

    def condition(self, path: str) -> Q:
        asked = Q()
        if self.environments is not None:
            asked &= Q(**{f"{path}environment__in": sorted(self.environments)})
        if self.levels is not None:
            asked &= Q(**{f"{path}sensitivity__in": sorted(self.levels)})
        return asked


class Sight(NamedTuple):
    """What one person may read by permission: everything, or what one of these terms admits; without any, nothing."""

    everything: bool
    terms: tuple[Terms, ...] = ()

    def admits(self, environment: str, sensitivity: str) -> bool:
        return self.everything or any(each.admit(environment, sensitivity) for each in self.terms)

    def shows(self, intent: Intent) -> bool:
        return self.admits(intent.environment, intent.sensitivity)

    def condition(self, path: str = "") -> Q:
        """The same as a condition; `path` leads from the rows that are asked for to their intent: `intent__`."""
        if self.everything:
            return Q()
        found = Q(**{f"{path}pk__in": []})
        for each in self.terms:
            found |= each.condition(path)
        return found


NOTHING, EVERYTHING = Sight(False), Sight(True)

# Whether somebody has a say in an intent. The app that knows who decides provides it, since this one does not.
HasASay = Callable[[User, Intent], bool]


def _nobody_has(person: User, intent: Intent) -> bool:
    return False


_has_a_say: HasASay = _nobody_has


def provide_say(provider: HasASay) -> None:
    """Register who knows whether somebody has a say in an intent."""
    global _has_a_say
    _has_a_say = provider


def meets_a_rule(person: str) -> Exists:
    """Whether a group of theirs has a rule at all, by the key at `person`.

    What loads a person asks it as `MEETS_A_RULE`, so that who meets none costs no query more.
    """
    return Exists(ReadingRule.objects.filter(group__user=OuterRef(person)))


def sight_of(person: Any) -> Sight:
    """What this person may read by permission; one query, once a request, for who is in a group with a rule."""
    known: Sight | None = getattr(person, _KEPT, None)
    if known is None:
        known = _sight_of(person)
        setattr(person, _KEPT, known)
    return known


def _sight_of(person: Any) -> Sight:
    if not isinstance(person, User) or not person.has_perm(VIEW):
        return NOTHING
    if not getattr(person, MEETS_A_RULE, True) or person.is_superuser or VIEW in person.get_user_permissions():
        return EVERYTHING
    given = Group.objects.filter(_GIVES_IT, user=person)
    return _union(given.values_list("reading_rule", *_ASKED))


_ASKED = ("reading_rule__environments", "reading_rule__sensitivity_up_to")


def _union(given: Iterable[tuple[Any, ...]]) -> Sight:
    """Of the groups that give somebody the permission, each by its rule's key and what the rule asks."""
    rules = list(given)
    if any(rule is None for rule, *_ in rules):
        return EVERYTHING
    terms = tuple(_terms(environments, level) for _, environments, level in rules)
    return EVERYTHING if Terms(None, None) in terms else Sight(False, terms)


def _terms(environments: Any, level: str) -> Terms:
    # What no form of ours writes lets nothing through; an empty list asks nothing.
    named = frozenset(environments) if isinstance(environments, list) else frozenset()
    return Terms(None if environments == [] else named, _levels_up_to(level) if level else None)


def lets_through_less(rule: ReadingRule) -> bool:
    """Whether a rule asks anything at all."""
    return _terms(rule.environments, rule.sensitivity_up_to) != Terms(None, None)


def _levels_up_to(level: str) -> frozenset[str]:
    levels: list[str] = list(Sensitivity.values)
    return frozenset(levels[: levels.index(level) + 1]) if level in levels else frozenset()


def sees_all(person: Any) -> bool:
    """Whether this person may read every intent: then figures over all of them are theirs too."""
    return sight_of(person).everything


def reads_narrowly(person: Any) -> bool:
    """Whether rules narrow what this person, who may view intents, reads."""
    return bool(person.has_perm(VIEW)) and not sees_all(person)


def visible_to(person: Any, path: str = "") -> Q:
    """Which intents this person may read by permission, as a condition on intents, or on rows that `path` leads from:
    `intent__`."""
    return sight_of(person).condition(path)


def may_read(person: Any, intent: Intent) -> bool:
    """Whether this person may read this intent: by permission, or because they have a say in it."""
    return isinstance(person, User) and (sight_of(person).shows(intent) or _has_a_say(person, intent))


def events_for(person: Any) -> Q:
    """Which events of the ledger are about no intent, or about one that this person may read by permission.

    An event is shown as it is recorded. One of an intent names what that replaced or was replaced by: then they have to
    be able to read both. What is about something else and names an intent, such as a use of a standing approval, is
    left out.
    """
    if sees_all(person):
        return Q()
    theirs = Intent.objects.filter(
        visible_to(person),
        Q(supersedes=None) | visible_to(person, "supersedes__"),
        Q(superseded_by=None) | visible_to(person, "superseded_by__"),
    )
    about_none = Q(intent_id="") & ~Q(line__contains='"int_')
    return about_none | Q(intent_id__in=theirs.values("pk"))


def sights_of(people: Iterable[User]) -> Mapping[int, Sight]:
    """What those of these people who are active and may read anything may read, by their keys; one query."""
    keys = [person.pk for person in people]
    if not keys:
        return {}
    by_a_group = User.groups.through.objects.filter(
        user__in=keys,
        user__is_active=True,
        group__permissions__content_type__app_label="intents",
        group__permissions__codename="view_intent",
    )
    by_themselves = User.objects.filter(
        Q(user_permissions__content_type__app_label="intents", user_permissions__codename="view_intent")
        | Q(is_superuser=True),
        pk__in=keys,
        is_active=True,
    )
    # What gives it without a rule.
    no_rule = (Value(None, BigIntegerField()), Value([], JSONField()), Value(""))
    given: dict[int, list[tuple[Any, ...]]] = {}
    rows = by_a_group.order_by().values_list("user_id", *(f"group__{name}" for name in ("reading_rule", *_ASKED)))
    for person, *rule in rows.union(by_themselves.order_by().values_list("pk", *no_rule), all=True):
        given.setdefault(person, []).append(tuple(rule))
    return {person: _union(rules) for person, rules in given.items()}
