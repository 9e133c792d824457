"""People and groups in the admin. A person is deactivated, never deleted: what they decided keeps its author.

Who is in which group decides who may approve what, so every change is told to the ledger as it is made.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from audit.actors import Actor
from zehrava_site.people import Verb, record_group, record_person

# Only somebody who has all rights already may give them, or single permissions past the roles.
FOR_SUPERUSERS = ("is_superuser", "user_permissions")

admin.site.unregister(User)
admin.site.unregister(Group)


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
                record_person(row, verb, by=by)
            else:
                record_group(row, verb, by=by)


@admin.register(User)
class UserAdmin(Governed, DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "first_name", "last_name", "email", "is_active", "is_staff", "last_login"]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str] | tuple[str, ...]:
        known = super().get_readonly_fields(request, obj)
        return known if request.user.is_superuser else (*known, *FOR_SUPERUSERS)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            # Whoever can set a superuser's password is one.
            return False
        return super().has_change_permission(request, obj)


@admin.register(Group)
class GroupAdmin(Governed, DjangoGroupAdmin, ModelAdmin):
    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        # Permissions of a group reach everyone in it; the roles' own are set by `manage.py bootstrap`.
        return request.user.is_superuser and super().has_change_permission(request, obj)

    def get_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        return ["name", "permissions"] if request.user.is_superuser or obj is not None else ["name"]
