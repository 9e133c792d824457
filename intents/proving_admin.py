"""Seeing a change's effect before it counts: pages of a policy for shadow mode and for backtests.

Mixed into the policy's admin. Who may write policies or bring them into force may start and stop; what came out is for
everybody who may see policies and intents.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget

from audit import clock
from intents import activation, backtesting, proving_page, reading, shadowing
from intents.document_versions import read_number
from intents.governed_admin import GovernedAdmin, Question, person, require
from intents.models import Backtest, BacktestState, Policy, PolicyVersion
from zehrava.policy.errors import DocumentError
from zehrava.problems import Problem

MAY_START = ("intents.change_policy", "intents.activate_policy")
BACKTESTS_PER_PAGE = 25
VERSIONS_OFFERED = 100
DAYS = 30


def may_prove(user: Any) -> bool:
    """Whether this person may put versions in shadow and run backtests."""
    return any(user.has_perm(permission) for permission in MAY_START)


class VersionForm(forms.Form):
    """Which version to look at; the newest that is not in force is proposed."""

    version = forms.TypedChoiceField(label="Version", coerce=int, widget=UnfoldAdminSelectWidget)

    def __init__(self, policy: Policy, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        versions = list(self.offered(policy).select_related("created_by").defer("text")[:VERSIONS_OFFERED])
        self.versions = {version.number: version for version in versions}
        field = self.fields["version"]
        field.choices = [(version.number, _described(policy, version)) for version in versions]  # type: ignore[attr-defined]
        field.initial = next((each.number for each in versions if each.pk != policy.active_id), None)

    def offered(self, policy: Policy) -> QuerySet[PolicyVersion]:
        """Every version; newest first."""
        return policy.versions.all()


class ShadowForm(VersionForm):
    """What can be put in shadow to any use: neither what is in force nor what is there already."""

    def offered(self, policy: Policy) -> QuerySet[PolicyVersion]:
        there = [key for key in (policy.active_id, policy.shadow_id) if key is not None]
        return super().offered(policy).exclude(pk__in=there)


class BacktestForm(VersionForm):
    days = forms.IntegerField(
        label="Days to look back",
        min_value=1,
        max_value=backtesting.DAYS_MOST,
        initial=DAYS,
        widget=UnfoldAdminIntegerFieldWidget,
    )


def _described(policy: Policy, version: PolicyVersion) -> str:
    by = version.created_by.get_username() if version.created_by else "the command line"
    state = ", in force" if version.pk == policy.active_id else ", in shadow" if version.pk == policy.shadow_id else ""
    return f"v{version.number}{state}: {version.created_at:%-d %b %Y}, {by}"


class ProvingPages(GovernedAdmin):
    """The pages; a subclass adds `proving_pages` to its `object_pages`."""

    class Media:
        css = {"all": ("zehrava/proving.css",)}

    proving_pages = (
        ("shadow", "shadow"),
        ("shadow/start", "start_shadow"),
        ("shadow/stop", "stop_shadow"),
        ("backtests", "backtests"),
        ("backtests/<int:backtest_id>", "backtest"),
        ("backtests/<int:backtest_id>/progress", "backtest_progress"),
        ("backtests/<int:backtest_id>/cancel", "cancel_backtest"),
    )

    # --- shadow ---

    def shadow(self, request: HttpRequest, object_id: str) -> HttpResponse:
        policy = self._seen(request, object_id)
        kept = shadowing.judged_before(policy)
        version, since = self._in_shadow(request, policy, kept)
        context: dict[str, Any] = {"version": version, "since": since, "in_shadow": since is not None}
        if version is not None:
            among = reading.visible_to(request.user, "intent__")
            found = shadowing.figures(version, since=since, among=among)
            context["judged"] = found["judged"]
            context["results"] = proving_page.results(
                shadowing.verdicts(version, since=since, among=among),
                request.GET,
                counts=found["counts"],
                rules=found["rules"],
                lists_same=True,
            )
        return self._page(
            request,
            "shadow",
            policy,
            title=f"Shadow mode of {policy.name}",
            form=ShadowForm(policy),
            was_in_shadow=any(each.pk == policy.active_id for each in kept),
            earlier=[each for each in kept if version is None or each.pk != version.pk],
            start_url=self.page(policy.pk, "start_shadow"),
            stop_url=self.page(policy.pk, "stop_shadow"),
            activate_url=version and self.page(policy.pk, "activate", version.number),
            may_activate=request.user.has_perm("intents.activate_policy"),
            backtests_url=self.page(policy.pk, "backtests"),
            **context,
        )

    def _in_shadow(
        self, request: HttpRequest, policy: Policy, kept: list[PolicyVersion]
    ) -> tuple[PolicyVersion | None, datetime | None]:
        """The version to show, and since when, where it is in shadow now."""
        wanted = request.GET.get("version", "")
        if wanted and (policy.shadow is None or wanted != str(policy.shadow.number)):
            found = next((version for version in kept if str(version.number) == wanted), None)
            if found is None:
                raise Http404(f"Nothing is kept of version {wanted} in shadow.")
            return found, None
        return policy.shadow, policy.shadow_since

    def start_shadow(self, request: HttpRequest, object_id: str) -> HttpResponse:
        policy = self._decided(request, object_id)
        wanted = request.POST.get("version") or request.GET.get("version") or ""
        number = read_number(wanted)
        version = None if number is None else policy.versions.filter(number=number).first()
        if version is None:
            raise Http404(f"{policy.name} has no version {wanted}.")
        if request.method != "POST":
            consequences = (
                f"From the next proposal on, v{version.number} is judged beside what is in force. It decides nothing.",
                "Its verdicts are kept, and the differences counted on a page of this policy.",
                *([f"It takes the place of v{policy.shadow.number}."] if policy.shadow else []),
            )
            return self.confirm(
                request, policy, Question(f"Put {version} in shadow", consequences, "Put in shadow", cancel="Cancel")
            )
        try:
            shadowing.start(version, by=person(request))
        except (Problem, DocumentError) as error:
            self.message_user(request, _why_not(version.number, error), messages.ERROR)
        else:
            self.message_user(request, f"{version} is in shadow from now on.", messages.SUCCESS)
        return HttpResponseRedirect(self.page(policy.pk, "shadow"))

    def stop_shadow(self, request: HttpRequest, object_id: str) -> HttpResponse:
        policy = self._decided(request, object_id)
        if policy.shadow is None:
            self.message_user(request, f"No version of {policy.name} is in shadow.")
            return HttpResponseRedirect(self.page(policy.pk, "shadow"))
        if request.method != "POST":
            consequences = (
                f"v{policy.shadow.number} is no longer judged. What is in force stays as it is.",
                "What it said so far stays to be read for a while.",
            )
            return self.confirm(
                request, policy, Question(f"Take {policy.shadow} out of shadow", consequences, "Stop shadow mode")
            )
        number = policy.shadow.number
        shadowing.stop(policy, by=person(request))
        self.message_user(request, f"v{number} is no longer in shadow.")
        return HttpResponseRedirect(self.page(policy.pk, "shadow"))

    # --- backtests ---

    def backtests(self, request: HttpRequest, object_id: str) -> HttpResponse:
        policy = self._seen_whole(request, object_id)
        form = BacktestForm(policy, request.POST if request.method == "POST" else None)
        if request.method == "POST":
            if not may_prove(request.user):
                raise PermissionDenied
            if form.is_valid() and (asked := self._ask(request, form)):
                return HttpResponseRedirect(self.page(policy.pk, "backtest", asked.pk))
        if not form.is_bound and read_number(wanted := request.GET.get("version", "")) is not None:
            form.initial["version"] = wanted
        rows = Backtest.objects.filter(policy=policy).select_related("version", "requested_by")
        rows = rows.defer("beside", "version__text")
        return self._page(
            request,
            "backtests",
            policy,
            title=f"Backtests of {policy.name}",
            form=form,
            running=Backtest.objects.filter(policy=policy, state__in=backtesting.LIVE).first(),
            backtests=Paginator(rows, BACKTESTS_PER_PAGE).get_page(request.GET.get("page")),
            shadow_url=self.page(policy.pk, "shadow"),
        )

    def _ask(self, request: HttpRequest, form: BacktestForm) -> Backtest | None:
        number, days = form.cleaned_data["version"], form.cleaned_data["days"]
        version = form.versions[number]
        try:
            return backtesting.request(version, days=days, by=person(request), user=request.user)  # type: ignore[arg-type]
        except (Problem, DocumentError) as error:
            form.add_error(None, _why_not(number, error))
            return None

    def backtest(self, request: HttpRequest, object_id: str, backtest_id: int) -> HttpResponse:
        policy, backtest = self._backtest(request, object_id, backtest_id)
        summary = backtest.summary
        shown = None
        if summary and backtest.differences_dropped_at is None:
            shown = proving_page.results(
                backtest.differences.order_by("-intent_id"),
                request.GET,
                counts=summary["counts"],
                rules=summary["rules"],
                rejected=summary["rejected_before"],
            )
        elif summary:
            shown = proving_page.results(
                backtest.differences.none(), request.GET.__class__(""), counts=summary["counts"], rules={}
            )
        return self._page(
            request,
            "backtest",
            policy,
            title=f"Backtest of {backtest.version}",
            backtest=backtest,
            results=shown,
            **self._progress(policy, backtest),
            again_url=f"{self.page(policy.pk, 'backtests')}?version={backtest.version.number}",
            shadow_url=f"{self.page(policy.pk, 'start_shadow')}?version={backtest.version.number}",
            activate_url=self.page(policy.pk, "activate", backtest.version.number),
            may_activate=request.user.has_perm("intents.activate_policy"),
            in_force=policy.active_id == backtest.version_id,
        )

    def backtest_progress(self, request: HttpRequest, object_id: str, backtest_id: int) -> HttpResponse:
        """The bar and the badge, as the page fetches them again and again; at the end it reloads the whole page."""
        policy, backtest = self._backtest(request, object_id, backtest_id)
        context = {"backtest": backtest, "may_prove": may_prove(request.user), **self._progress(policy, backtest)}
        answer = render(request, "admin/intents/proving/progress_alone.html", context)
        answer["Cache-Control"] = "no-store"
        if not backtest.is_live:
            answer["HX-Refresh"] = "true"
        return answer

    def cancel_backtest(self, request: HttpRequest, object_id: str, backtest_id: int) -> HttpResponse:
        policy, backtest = self._backtest(request, object_id, backtest_id)
        if not may_prove(request.user):
            raise PermissionDenied
        if request.method != "POST":
            consequences = ("It stops where it is. What it found so far stays to be read.",)
            question = Question(f"Cancel the {backtest}", consequences, "Cancel backtest", cancel="Let it go on")
            return self.confirm(request, policy, question)
        if backtesting.cancel(backtest, by=person(request)):
            self.message_user(request, "The backtest is cancelled.")
        else:
            self.message_user(request, "The backtest had ended before.")
        return HttpResponseRedirect(self.page(policy.pk, "backtest", backtest.pk))

    def _backtest(self, request: HttpRequest, object_id: str, backtest_id: int) -> tuple[Policy, Backtest]:
        policy = self._seen_whole(request, object_id)
        found = Backtest.objects.filter(pk=backtest_id, policy=policy)
        backtest = found.select_related("version__policy", "requested_by").defer("version__text").first()
        if backtest is None:
            raise Http404(f"{policy.name} has no backtest {backtest_id}.")
        return policy, backtest

    def _progress(self, policy: Policy, backtest: Backtest) -> dict[str, Any]:
        now = clock.now()
        total = backtest.total or 0
        silent = backtest.lease_until is not None and backtest.lease_until <= now
        waits = backtest.state == BacktestState.WAITING
        return {
            "percent": min(100, backtest.judged * 100 // total) if total else 0,
            "left": _left(backtest, now),
            "took": _span(backtest.finished_at - backtest.started_at)
            if backtest.finished_at and backtest.started_at
            else "",
            "silent": silent,
            "behind_another": waits and Backtest.objects.filter(state=BacktestState.RUNNING).exists(),
            "progress_url": self.page(policy.pk, "backtest_progress", backtest.pk),
            "cancel_url": self.page(policy.pk, "cancel_backtest", backtest.pk),
        }

    # --- both ---

    def _seen(self, request: HttpRequest, object_id: str) -> Policy:
        policy = self.find(request, object_id)
        # Reasons quote what agents wrote, and the lists name their intents.
        require(request, reading.VIEW)
        return policy

    def _seen_whole(self, request: HttpRequest, object_id: str) -> Policy:
        policy = self._seen(request, object_id)
        if not reading.sees_all(request.user):
            # It counts over every intent of its days, and is kept with these counts.
            raise PermissionDenied("A backtest is about every intent: it is for who may read all of them.")
        return policy

    def _decided(self, request: HttpRequest, object_id: str) -> Policy:
        policy = self._seen(request, object_id)
        if not may_prove(request.user):
            raise PermissionDenied
        return policy

    def _page(self, request: HttpRequest, name: str, policy: Policy, **context: Any) -> HttpResponse:
        template = f"admin/intents/proving/{name}.html"
        # Asked of the database, and only where a button needs to know.
        context |= {"may_prove": may_prove(request.user), "takes_two": activation.takes_two}
        return self.show(request, template, policy, **context)


def _why_not(number: int, error: Problem | DocumentError) -> str:
    return error.detail if isinstance(error, Problem) else f"v{number} cannot be read any more: {error}"


def _left(backtest: Backtest, now: datetime) -> str:
    """How long it will still take, by how long it took so far; empty where that cannot be told yet."""
    if backtest.state != BacktestState.RUNNING or not (backtest.judged and backtest.total and backtest.started_at):
        return ""
    per_intent = (now - backtest.started_at) / backtest.judged
    return _span(per_intent * max(0, backtest.total - backtest.judged))


def _span(span: timedelta) -> str:
    seconds = max(1, round(span.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
