"""Personal tokens in the admin: make one of one's own, shown once; revoke one's own, or anybody's as administrator."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import display

from audit.admin_readonly import ReadOnlyAdmin
from intents.governed_admin import GovernedAdmin, Question, person
from reviews.models import PersonalToken
from reviews.tokens import create_token, revoke_token


@admin.register(PersonalToken)
class PersonalTokenAdmin(ReadOnlyAdmin, GovernedAdmin):
    list_display = ("shown_prefix", "user", "shown_state", "created_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "prefix")
    search_help_text = "Person or beginning of the token"
    fields = ("shown_prefix", "user", "shown_state", "created_at", "revoked_at")
    change_form_template = "admin/reviews/personaltoken/change_form.html"
    object_pages = (("revoke", "revoke"),)

    # --- who sees what: one's own, or everybody's ---

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return request.user.has_perm("reviews.add_personaltoken")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if request.user.has_perm("reviews.view_personaltoken"):
            return True
        return self.has_add_permission(request) and (obj is None or obj.user_id == request.user.pk)  # type: ignore[attr-defined]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        tokens = super().get_queryset(request)
        if request.user.has_perm("reviews.view_personaltoken"):
            return tokens
        return tokens.filter(user=request.user.pk)

    def may_revoke(self, request: HttpRequest, token: PersonalToken) -> bool:
        if token.revoked_at is not None:
            return False
        return token.user_id == request.user.pk or request.user.has_perm("reviews.change_personaltoken")

    # --- the list and the page ---

    @display(description="begins with", ordering="prefix")
    def shown_prefix(self, token: PersonalToken) -> str:
        return str(token)

    @display(description="state", label={"Accepted": "success", "Revoked": "danger"}, ordering="revoked_at")
    def shown_state(self, token: PersonalToken) -> str:
        return "Revoked" if token.revoked_at else "Accepted"

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        token = kwargs.get("obj")
        context["may_revoke"] = token is not None and self.may_revoke(request, token)
        return super().render_change_form(request, context, **kwargs)

    # --- making and revoking: GET asks, POST acts ---

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        opts = self.model._meta
        context = {
            **self.admin_site.each_context(request),
            "opts": opts,
            "media": self.media,
            "back": reverse(f"{self.admin_site.name}:{opts.app_label}_{opts.model_name}_changelist"),
        }
        if request.method != "POST":
            question = Question(
                "Make a personal token",
                (
                    f"Programs call the API with it as {request.user.get_username()} and may do what you may.",
                    "It is shown once, on the next page: have a safe place ready.",
                ),
                "Make token",
            )
            return TemplateResponse(
                request, self.confirm_template, {**context, "title": question.title, "question": question}
            )
        token, text = create_token(cast(User, request.user), by=person(request))
        # Straight into this answer: a message would keep it in a cookie or the session.
        answer = TemplateResponse(
            request,
            "admin/intents/agent/key_made.html",
            {**context, "title": "Your new token", "key": token, "text": text, "for_person": True},
        )
        answer["Cache-Control"] = "no-store"
        return answer

    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        token = self.find(request, object_id)
        if token.revoked_at is None and not self.may_revoke(request, token):
            raise PermissionDenied
        if request.method != "POST":
            consequences = (f"Requests with {token} are refused from the next one on, for ever.",)
            question = Question(f"Revoke {token} of {token.user}", consequences, "Revoke token", danger=True)
            return self.confirm(request, token, question)
        revoke_token(token, by=person(request))
        self.message_user(request, f"{token} of {token.user} is revoked.")
        return HttpResponseRedirect(self.page(str(token.pk)))
