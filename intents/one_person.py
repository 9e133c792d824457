"""Which accounts are of one person: those with the same verified address or the same subject of the sign-in provider.

An address counts as verified where allauth says so and, of an account of which it says nothing, as administrators wrote
it down; capitals make no difference. A subject counts under whatever name the provider had in the settings: it was
renamed, and is still the same. What binds A to B and B to C binds A to C.

One person is one person in whatever counts people: what bars one of their accounts bars all, deactivated ones too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from django.db.models import CharField, Count, F, FilteredRelation, Q, QuerySet, Value
from django.db.models.functions import Cast, Coalesce, Concat, Lower, Trim


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of people who have more than one; of everybody else nothing has to be known."""

    _of_same: Mapping[int, frozenset[int]] = field(default_factory=dict)
    _users: Mapping[int, User] = field(default_factory=dict)

    def of(self, *keys: int) -> frozenset[int]:
        """These accounts with all others of the same people."""
        return frozenset(keys).union(*(self._of_same[key] for key in keys if key in self._of_same))

    def others_of(self, user: User) -> list[User]:
        """The other accounts of this person, with username and address."""
        return [self._users[key] for key in self.of(user.pk) if key != user.pk]


def accounts() -> Accounts:
    """The accounts of everybody who has several, as things stand now; one query, of few rows or none."""
    users: dict[int, User] = {}
    marked: dict[str, set[int]] = defaultdict(set)
    rows = _addresses().union(_subjects(), all=True)
    for mark, key, username, email in rows:
        users[key] = User(pk=key, username=username, email=email)
        marked[mark].add(key)
    return Accounts(_joined(marked.values()), users)


def _addresses() -> QuerySet:
    verified = FilteredRelation("emailaddress", condition=Q(emailaddress__verified=True))
    address = Lower(Trim(Coalesce("verified__email", "email")))
    marked = User.objects.order_by().annotate(verified=verified, mark=Cast(address, CharField())).exclude(mark="")
    shared = marked.values("mark").annotate(n=Count("pk", distinct=True)).filter(n__gt=1).values("mark")
    return marked.filter(mark__in=shared).values_list("mark", "pk", "username", "email")


def _subjects() -> QuerySet:
    by_subject = SocialAccount.objects.order_by().values("uid")
    shared = by_subject.annotate(n=Count("user", distinct=True)).filter(n__gt=1).values("uid")
    # No address holds a line feed: the two kinds of marks never meet.
    marked = SocialAccount.objects.order_by().filter(uid__in=shared)
    marked = marked.annotate(mark=Concat(Value("subject\n"), F("uid"), output_field=CharField()))
    return marked.values_list("mark", "user", "user__username", "user__email")


def _joined(sets: Iterable[set[int]]) -> dict[int, frozenset[int]]:
    """For each key of these sets all that it hangs together with."""
    whole: dict[int, frozenset[int]] = {}
    for keys in sets:
        together = frozenset(keys).union(*(whole[key] for key in keys if key in whole))
        whole.update(dict.fromkeys(together, together))
    return whole
