"""What lint says of a version, on the pages that show one: at once, or for a long policy by a request of its own.

Reading a thousand rules closely takes seconds. Nobody who saves such a policy waits for that: the version is saved, its
page is shown, and what lint says comes into it when it is there.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html

from intents import policy_warnings
from intents.models import PolicyVersion


class LintPage:
    """The part of the policies' admin that asks lint."""

    lint_pages: tuple[tuple[str, str], ...] = (("versions/<int:number>/lint", "lint"),)

    def about_lint(self: Any, version: PolicyVersion | None) -> dict[str, Any]:
        """What `warnings.html` shows of a version: what there is to know, or where that is asked for."""
        if version is None:
            return {"warnings": []}
        if policy_warnings.takes_long(version):
            return {"lint_url": self.page(version.policy_id, "lint", version.number)}
        return {"warnings": policy_warnings.warnings_of(version)}

    def tell_warnings(self: Any, request: HttpRequest, version: PolicyVersion) -> None:
        """Say after saving how many warnings there are, where that is known by then."""
        if policy_warnings.takes_long(version):
            return
        found = sum(warned.level == "warning" for warned in policy_warnings.warnings_of(version))
        if found:
            told = "There is a warning" if found == 1 else f"There are {found} warnings"
            link = '{} about v{}: see <a class="zhr-link" href="#zhr-lint">what lint says</a>.'
            self.message_user(request, format_html(link, told, version.number), messages.WARNING)

    def lint(self: Any, request: HttpRequest, object_id: str, number: int) -> HttpResponse:
        """What lint says of one version: to be put into a page, or a page by itself without scripts."""
        policy, version = self.find_version(request, object_id, number)
        context = {"version": version, "warnings": policy_warnings.warnings_of(version)}
        if request.headers.get("HX-Request"):
            return render(request, "admin/intents/policy/warnings.html", context)
        back = self.page(policy.pk, "version", version.number)
        return self.show(
            request,
            "admin/intents/policy/lint.html",
            policy,
            title=f"What lint says of {version}",
            **context,
            back=back,
        )
