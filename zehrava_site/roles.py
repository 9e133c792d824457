"""Who may do what: the five roles, which are groups by name, and the exact permissions of each.

`manage.py bootstrap` makes the groups and sets their permissions to this table every time, so that what a role may do
is read here and nowhere else. Groups of other names are the portal's own: they fill seats in requirements, and may be
given any permissions.

Deciding is not a permission: who is in a group of the intent's requirement has a say, unless they own the agent, see
`reviews.entitlement`. A superuser is no exception.
"""

from dataclasses import dataclass

from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from audit.actors import Actor
from zehrava_site.people import record_group

BOOTSTRAP = Actor.system("manage.py bootstrap")

_SEE_WORK = (
    "intents.view_intent",
    "intents.view_execution",
    "intents.view_agent",
    "intents.view_policy",
    "intents.view_policyversion",
    "intents.view_activationrequest",
    "intents.view_actiontype",
    "intents.view_actiontypeversion",
    "reviews.view_decision",
    "reviews.view_standingapproval",
    # Tokens of one's own; seeing and revoking other people's takes view and change.
    "reviews.add_personaltoken",
)
_WRITE_RULES = (
    "intents.add_policy",
    "intents.change_policy",
    "intents.activate_policy",
    "intents.add_actiontype",
    "intents.change_actiontype",
    "intents.activate_actiontype",
)
# Deciding in advance: only who may decide later gains anything by it.
_DECIDE_IN_ADVANCE = ("reviews.add_standingapproval", "reviews.approve_standingapproval")
_OPERATE = (
    "intents.add_agent",
    "intents.change_agent",
    "intents.suspend_agent",
    "intents.view_agentkey",
    "intents.add_agentkey",
    "intents.revoke_agentkey",
    "intents.cancel_intent",
    "intents.resolve_intent",
    "reviews.revoke_standingapproval",
    # What was to be told to whom, and what could not be sent.
    "reviews.view_delivery",
)
# What an action type masks; who has a say in an intent needs no permission for that.
_REVEAL = ("intents.reveal_intent",)
# What is left to auditors alone, beside seeing: to say whether an approval beyond the requirement was justified.
_REVIEW_GLASS = ("reviews.review_break_glass",)
# `*` is every model of the app, histories too: what a later version adds is evidence as well.
_SEE_EVIDENCE = (
    "audit.view_*",
    "intents.view_*",
    "reviews.view_*",
    "auth.view_user",
    "auth.view_group",
    "audit.export_event",
)
_MANAGE_PEOPLE = (
    "auth.view_user",
    "auth.add_user",
    "auth.change_user",
    "auth.view_group",
    "auth.add_group",
    "auth.change_group",
    "reviews.view_personaltoken",
    "reviews.change_personaltoken",
    # To revoke other people's: they are made by the delegator alone.
    "reviews.change_delegation",
)


@dataclass(frozen=True)
class Role:
    """What a role is for, and its permissions as `app.codename`, or `app.view_*` for every model of an app."""

    meaning: str
    permissions: tuple[str, ...]


ROLES: dict[str, Role] = {
    "reviewers": Role("decide on intents that wait for a person, or in advance", (*_SEE_WORK, *_DECIDE_IN_ADVANCE)),
    "policy_authors": Role("write policies and action types and bring them into force", (*_SEE_WORK, *_WRITE_RULES)),
    "operators": Role(
        "register and suspend agents, cancel intents, settle executions", (*_SEE_WORK, *_OPERATE, *_REVEAL)
    ),
    "auditors": Role("see and export everything, and review broken glass", (*_SEE_EVIDENCE, *_REVIEW_GLASS, *_REVEAL)),
    # Everything but deciding: who gives out seats does not sit on them as well.
    "administrators": Role(
        "all of that except deciding, and people and groups",
        (*_SEE_WORK, *_WRITE_RULES, *_OPERATE, *_SEE_EVIDENCE, *_MANAGE_PEOPLE),
    ),
}


@transaction.atomic
def install(*, by: Actor = BOOTSTRAP) -> list[Group]:
    """Make the groups of the roles where they are missing and give each exactly its permissions; record what changed.

    Raises ImproperlyConfigured where the table names a permission that no model has.
    """
    known = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.select_related("content_type")
    }
    groups = []
    for name, role in ROLES.items():
        group, added = Group.objects.get_or_create(name=name)
        wanted = {known[label].pk for pattern in role.permissions for label in _labels(pattern, known)}
        if wanted != set(group.permissions.values_list("pk", flat=True)):
            group.permissions.set(wanted)
            record_group(group, "added" if added else "changed", by=by)
        groups.append(group)
    return groups


def _labels(pattern: str, known: dict[str, Permission]) -> list[str]:
    found = [label for label in known if label.startswith(pattern[:-1])] if pattern.endswith("*") else [pattern]
    if not found or found[0] not in known:
        raise ImproperlyConfigured(f"No model has the permission {pattern!r}: run migrate first.")
    return found
