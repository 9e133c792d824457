"""People and groups in the admin. A person is deactivated, never deleted: what they decided keeps its author."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

admin.site.unregister(User)
admin.site.unregister(Group)


class NeverDeleted:
    """Mixin: decisions, ownership and requirements refer to people and groups for ever."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(NeverDeleted, DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_per_page = 25
    show_full_result_count = False
    list_display = ["username", "first_name", "last_name", "email", "is_active", "is_staff", "last_login"]


@admin.register(Group)
class GroupAdmin(NeverDeleted, DjangoGroupAdmin, ModelAdmin):
    list_per_page = 25
    show_full_result_count = False
