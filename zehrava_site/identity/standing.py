"""How long a session holds: while the person is active, with the password, the rights and the factors it began with.

A session carries a digest of all that. It is compared on every request, in the query that loads the person anyway, so
that it makes no difference who changed them and how: the admin, a command, or SQL.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

from allauth.mfa.models import Authenticator
from asgiref.sync import sync_to_async
from django.contrib import auth
from django.contrib.auth import user_logged_in
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Aggregate, CharField, OuterRef, QuerySet, Subquery
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.functional import SimpleLazyObject

from intents import reading
from zehrava_site.models import Standing

SESSION_KEY = "zehrava_standing"
_ATTRIBUTE = "_zehrava_state"


@dataclass(frozen=True)
class State:
    """What a session of this person depends on, as one digest, and whether they have a second factor."""

    digest: str
    has_factor: bool


def state_of(person: User) -> State:
    """The state of a person, as loaded with them; a query where they were loaded by something else."""
    known = getattr(person, _ATTRIBUTE, None)
    return known if isinstance(known, State) else _state(_with_state(User.objects.filter(pk=person.pk)).get())


def has_factor(person: User) -> bool:
    """Whether this person has a second factor; recovery codes alone are none."""
    return state_of(person).has_factor


def keep_session(request: HttpRequest) -> None:
    """Let the session of this request outlive a change that the person just made to their own account.

    All other sessions of the person end with that change.
    """
    assert request.user.pk is not None
    person = _with_state(User.objects.filter(pk=request.user.pk)).get()
    setattr(request.user, _ATTRIBUTE, _state(person))
    request.session[SESSION_KEY] = _state(person).digest


def end_sessions(person: User) -> None:
    """End every session of a person, for good: also where what they depend on becomes again what it was."""
    standing, _ = Standing.objects.select_for_update().get_or_create(person=person)
    standing.ended += 1
    standing.save(update_fields=["ended"])


class PersonBackend(ModelBackend):
    """Django's own, which loads a person together with what their session depends on, and whether a rule narrows what
    they read."""

    def get_user(self, user_id: Any) -> User | None:
        people = User.objects.annotate(**{reading.MEETS_A_RULE: reading.meets_a_rule("pk")})
        person = _with_state(people.filter(pk=user_id)).first()
        if person is None or not self.user_can_authenticate(person):
            return None
        setattr(person, _ATTRIBUTE, _state(person))
        return person


class PersonMiddleware(AuthenticationMiddleware):
    """Sets `request.user`, looked up only where it is asked for, to whom the session still stands for."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        request.user = SimpleLazyObject(lambda: person_of(request))  # type: ignore[assignment]
        request.auser = partial(sync_to_async(person_of), request)  # type: ignore[attr-defined]


def person_of(request: HttpRequest) -> User | AnonymousUser:
    """The person of this session; nobody, and the session is gone, where it does not hold any more."""
    cached = getattr(request, "_cached_user", None)
    if cached is not None:
        return cached
    person = auth.get_user(request)
    if not (isinstance(person, User) and _holds(request, person)):
        if auth.SESSION_KEY in request.session:
            request.session.flush()
        person = AnonymousUser()
    request._cached_user = person  # type: ignore[attr-defined]
    return person


def _holds(request: HttpRequest, person: User) -> bool:
    return constant_time_compare(str(request.session.get(SESSION_KEY)), state_of(person).digest)


@receiver(user_logged_in)
def _begin(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    request.session[SESSION_KEY] = state_of(user).digest


@receiver(post_save, sender=User)
def _end_of_the_deactivated(sender: Any, instance: User, raw: bool = False, **kwargs: Any) -> None:
    # An account that becomes active again has no session from before.
    if not instance.is_active and not raw:
        end_sessions(instance)


# --- loading it all in one query -----------------------------------------------------------------------------------


class _Joined(Aggregate):
    """The values of a column with commas between them, in no particular order."""

    function = "GROUP_CONCAT"
    output_field = CharField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="STRING_AGG((%(expressions)s)::text, ',')", **context)


def _keys_of(rows: QuerySet[Any], column: str) -> Subquery:
    owned = rows.order_by().filter(user=OuterRef("pk")).values("user")
    return Subquery(owned.annotate(keys=_Joined(column)).values("keys"))


def _with_state(people: QuerySet[User]) -> QuerySet[User]:
    factors = Authenticator.objects.exclude(type=Authenticator.Type.RECOVERY_CODES)
    return people.annotate(
        group_keys=_keys_of(User.groups.through.objects.all(), "group"),
        factor_keys=_keys_of(factors, "pk"),
        sessions_ended=Subquery(Standing.objects.filter(person=OuterRef("pk")).values("ended")),
    )


def _state(person: Any) -> State:
    depends_on = [
        person.pk,
        person.password,
        person.is_active,
        person.is_staff,
        person.is_superuser,
        sorted((person.group_keys or "").split(",")),
        sorted((person.factor_keys or "").split(",")),
        person.sessions_ended or 0,
    ]
    digest = salted_hmac("zehrava.standing", json.dumps(depends_on), algorithm="sha256").hexdigest()
    return State(digest, has_factor=bool(person.factor_keys))
