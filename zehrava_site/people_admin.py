"""People and groups in the admin. A person is deactivated, never deleted: what they decided keeps its author.

Who is in which group decides who may approve what, so every change is told to the ledger as it is made. Nobody
changes their own groups and rights, nobody gives out seats and sits on one, and a group keeps a name that means
something.
"""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from audit.actors import Actor
from audit.text import visible
from intents import in_force, one_person
from intents.steps import later_groups
from reviews.managers import NOBODYS_OWN, manager_of, set_manager, why_not
from reviews.quorum import groups_of
from zehrava.policy.requirements import DEFAULT_GROUP
from zehrava_site.identity import standing
from zehrava_site.people import Verb, record_group, record_person
from zehrava_site.roles import ROLES

# Only somebody who has all rights already may give them, or single permissions past the roles.
FOR_SUPERUSERS = ("is_superuser", "user_permissions")
# Only somebody else may give these to one, or take them away.
FOR_OTHERS = ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")
ASK_ANOTHER = "Your own groups and rights are changed by another administrator."
ADMINISTRATORS = "administrators"
ADDED = ("username", "usable_password", "password1", "password2")
PASSWORD_PAGE = "auth_user_password_change"

# allauth's own pages show the secrets of factors, and change them past the ledger.
for model in (User, Group, Authenticator, EmailAddress, SocialAccount, SocialApp, SocialToken):
    admin.site.unregister(model)


def naming_policies() -> dict[str, list[str]]:
    """The names of groups whose approval policies in force ask for, each with the names of those policies."""
    found: dict[str, set[str]] = {}
    for policy in in_force.current().rules.policies.policies:
        for rule in policy.rules:
            asked = rule.requirement.document() if rule.requirement else None
            # Also those who are asked as one of several, and those who are asked when time passes.
            for group in (*groups_of(asked), *later_groups(asked)):
                found.setdefault(group, set()).add(policy.name)
    return {group: sorted(policies) for group, policies in found.items()}


def refuse_seats_of_administrators(names: set[str]) -> None:
    """Raises ValidationError where whoever is in all of these groups gives out seats and sits on one."""
    if ADMINISTRATORS not in names:
        return
    # Who decides where no policy says it: `reviewers`, always.
    seats = names & {DEFAULT_GROUP, *naming_policies()} - {ADMINISTRATORS}
    if seats:
        raise forms.ValidationError(
            f"Nobody is in {ADMINISTRATORS} and in {', '.join(sorted(seats))} at once: who gives out the seats "
            "that approve would sit on one. Choose one of them."
        )


class PersonForm(UserChangeForm):
    """An account; who gives out seats does not sit on one as well."""

    manager = forms.CharField(
        required=False,
        max_length=150,
        widget=UnfoldAdminTextInputWidget(attrs={"spellcheck": "false", "autocapitalize": "none"}),
        help_text="The username of who manages this person; empty where it is not on record. Policies may want "
        "approvals of people with different managers: whose manager is not on record fills no seat beside another one.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "manager" in self.fields:
            manager = manager_of(self.instance)
            self.initial["manager"] = "" if manager is None else manager.get_username()

    def clean_manager(self) -> User | None:
        name = self.cleaned_data["manager"].strip()
        if not name:
            return None
        manager = User.objects.filter(username=name).first()
        # Who has left since stays on record until somebody says who follows.
        if manager is None or not (manager.is_active or name == self.initial["manager"]):
            raise forms.ValidationError("There is no active person of this username.")
        if why := why_not(self.instance, manager, one_person.accounts()):
            raise forms.ValidationError(why)
        return manager

    def clean_groups(self) -> Any:
        groups = self.cleaned_data["groups"]
        refuse_seats_of_administrators({group.name for group in groups})
        return groups


class GroupForm(forms.ModelForm):
    """A group; its name is what requirements refer to."""

    def clean_name(self) -> str:
        before, after = self.initial.get("name"), self.cleaned_data["name"]
        # A new group has nobody in it yet, whatever its name.
        if before is not None and before != after:
            _refuse_renaming(before, after)
        return after


def _refuse_renaming(before: str, after: str) -> None:
    policies = naming_policies()
    for name in (before, after):
        if name in ROLES:
            raise forms.ValidationError(
                f"{name} is a role and keeps its name: put people into another group, or take them out of this one."
            )
        if name in policies:
            raise forms.ValidationError(
                f"{name} is named by the policy in force {', '.join(policies[name])}: renaming would change who may "
                "approve. Change the policy first."
            )


class Governed:
    """Mixin: never deletes, and records what it adds and changes: decisions and requirements refer to these rows."""

    list_per_page = 25
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    # Django calls these two at the end of every way in which its admin adds or changes a row.

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, obj, "added")
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, obj, "changed")
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def _record(self, request: HttpRequest, row: User | Group, verb: Verb) -> None:
        assert isinstance(request.user, User)
        by = Actor.person(request.user)
        with transaction.atomic():
            if isinstance(row, User):
                password = request.resolver_match is not None and request.resolver_match.url_name == PASSWORD_PAGE
                record_person(row, verb, by=by, password=password)
            else:
                record_group(row, verb, by=by)


@admin.register(User)
class UserAdmin(Governed, DjangoUserAdmin, ModelAdmin):
    form = PersonForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    # The portal is the admin: who may not enter it signs in nowhere. So it is asked there, and on unless taken away.
    add_fieldsets = ((None, {"classes": ("wide",), "fields": (*ADDED, "is_staff")}),)
    list_display = ["username", "first_name", "last_name", "email", "is_active", "is_staff", "last_login"]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str] | tuple[str, ...]:
        known = super().get_readonly_fields(request, obj)
        if _is_oneself(request, obj):
            return (*known, *FOR_OTHERS, "manager")
        if obj is not None and request.user.pk in one_person.accounts().of(obj.pk):
            known = (*known, "manager")
        return known if request.user.is_superuser else (*known, *FOR_SUPERUSERS)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"is_staff": True, **super().get_changeform_initial_data(request)}

    @display(description="manager")
    def manager(self, person: User) -> SafeString:
        """As it is shown to who may not change it."""
        manager = manager_of(person)
        return visible("not on record" if manager is None else manager.get_username())

    def save_related(self, request: HttpRequest, form: forms.ModelForm, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if "manager" in form.changed_data:
            assert isinstance(request.user, User)
            set_manager(form.instance, manager=form.cleaned_data["manager"], by=request.user)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        fieldsets = list(super().get_fieldsets(request, obj))
        if obj is not None:
            said = NOBODYS_OWN if _is_oneself(request, obj) else ""
            fieldsets.insert(2, ("Manager", {"fields": ["manager"], "description": said}))
        if not _is_oneself(request, obj):
            return fieldsets
        return [
            (title, {**options, "description": ASK_ANOTHER} if "groups" in options["fields"] else options)
            for title, options in fieldsets
        ]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            # Whoever can set a superuser's password is one.
            return False
        return super().has_change_permission(request, obj)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        # Django saves the password and logs it in two transactions: without the record there is to be no password.
        with transaction.atomic():
            response = super().user_change_password(request, id, form_url)
            if request.method == "POST" and str(request.user.pk) == id:
                # One's own: this session goes on, the others end.
                standing.keep_session(request)
            return response


def _is_oneself(request: HttpRequest, person: User | None) -> bool:
    return person is not None and person.pk == request.user.pk


@admin.register(Group)
class GroupAdmin(Governed, DjangoGroupAdmin, ModelAdmin):
    form = GroupForm

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        # Permissions of a group reach everyone in it; the roles' own are set by `manage.py bootstrap`.
        return request.user.is_superuser and super().has_change_permission(request, obj)

    def get_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        return ["name", "permissions"] if request.user.is_superuser or obj is not None else ["name"]
