"""Trying an intent on a policy before it counts: what would be said of it, and why, with nothing stored.

The page asks what `POST /policies/evaluate` asks, and shows all of the answer. A version that is not in force is tried
in place of the one that is; the other policies in force judge beside it, as they would.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from audit.text import visible
from intents import approval_tables, evaluating, in_force, masking, parsing, reading
from intents.document_versions import read_number
from intents.models import Agent, Intent, Policy, PolicyVersion
from zehrava import canonical, durations
from zehrava.policy import Requirement
from zehrava.policy.errors import DocumentError
from zehrava.problems import Problem

MAY_TRY = ("intents.change_policy", "intents.add_policy", "intents.activate_policy")
AGENTS_OFFERED = 200
LONGEST = 1_048_576
# Shown of an intent that is taken from the list; the rest of a proposal says nothing to policy.
_MEMBERS = ("action", "payload", "context", "target", "tags", "records", "value", "on_behalf_of", "summary")
_EFFECTS = {"allow": ("allowed", "green"), "block": ("blocked", "red"), "require_approval": ("asks people", "amber")}


class TryForm(forms.Form):
    """An intent as an agent would propose it, and what is taken to be so."""

    intent = forms.CharField(
        label="Intent, as JSON",
        max_length=LONGEST,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 14, "class": "zhr-code", "spellcheck": "false"}),
    )
    agent = forms.ChoiceField(label="Proposed by", required=False, widget=UnfoldAdminSelectWidget)
    now = forms.CharField(
        label="At",
        required=False,
        max_length=40,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "now, or 2026-01-31T12:00:00Z"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = list(Agent.objects.order_by("name").values_list("name", flat=True)[:AGENTS_OFFERED])
        chosen = self.data.get("agent") or self.initial.get("agent")
        if chosen and chosen not in names and Agent.objects.filter(name=chosen).exists():
            names = [chosen, *names]
        field: Any = self.fields["agent"]
        field.choices = [("", "nobody in particular"), *((name, name) for name in names)]

    def clean_intent(self) -> Any:
        try:
            body = canonical.loads(self.cleaned_data["intent"])
        except canonical.StrictError as error:
            where = f"{error.path}: " if error.path else ""
            raise forms.ValidationError(f"{where}{error.reason}") from error
        if not isinstance(body, dict):
            raise forms.ValidationError('Write a JSON object with at least "action" and "payload".')
        if taken := [name for name in evaluating.AUTHORS_MEMBERS if name in body and name != "usage"]:
            raise forms.ValidationError(f"Leave {' and '.join(taken)} out: this page says it.")
        return body


@dataclass(frozen=True, slots=True)
class RuleTried:
    """One rule that was considered, and what its condition's parts gave."""

    where: SafeString
    effect: SafeString
    held: str
    decided: bool
    when: SafeString | None
    error: SafeString | None
    operands: list[tuple[SafeString, SafeString]]
    limits: list[SafeString]
    # Of a rule that asks by a table: each row that was looked at, and why it asks or does not.
    rows: list[SafeString]


@dataclass(frozen=True, slots=True)
class Tried:
    """What would be said."""

    effect: str
    colour: str
    by: SafeString
    reason: SafeString
    needs: SafeString
    expires_in: str
    facts: list[tuple[str, SafeString]]
    rules: list[RuleTried]


class TryPage:
    """The page; a subclass adds `trying_pages` to its `object_pages`."""

    trying_pages: tuple[tuple[str, str], ...] = (("try", "try_intent"),)

    def try_intent(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        """A form; what is sent is judged and shown, and nothing is stored."""
        policy: Policy = self.find(request, object_id)
        if not any(request.user.has_perm(permission) for permission in MAY_TRY):
            raise PermissionDenied
        readable = Intent.objects.filter(reading.visible_to(request.user))
        version = self._tried_version(request, policy)
        taken = request.GET.get("intent")
        form = TryForm(request.POST) if request.method == "POST" else TryForm(initial=_sample(policy, taken, readable))
        tried = None
        if request.method == "POST" and form.is_valid():
            try:
                tried = _try(form.cleaned_data, policy, version)
            except Problem as problem:
                form.add_error("now" if problem.path == "/now" else "intent", problem.detail)
        response = self.show(
            request,
            "admin/intents/policy/try.html",
            policy,
            title=f"Try an intent on {policy.name}",
            form=form,
            tried=tried,
            version=version,
            versions=list(policy.versions.values_list("number", flat=True)[:100]),
        )
        response.status_code = 422 if form.errors else 200
        return response

    def _tried_version(self: Any, request: HttpRequest, policy: Policy) -> PolicyVersion | None:
        """The one that is asked for, else the newest."""
        number = read_number(request.GET.get("version", ""))
        if number is not None:
            return self.find_version(request, policy.pk, number)[1]
        return policy.versions.first()


def _try(asked: Mapping[str, Any], policy: Policy, version: PolicyVersion | None) -> Tried:
    body = dict(asked["intent"])
    if asked["agent"]:
        body["agent"] = asked["agent"]
    if asked["now"]:
        body["now"] = asked["now"]
    if version is not None and version.pk != policy.active_id:
        body["document"] = version.text
    return _told(evaluating.evaluate_for_author(body, snapshot=in_force.current()))


def _told(said: Mapping[str, Any]) -> Tried:
    verdict = said["verdict"]
    effect, colour = _EFFECTS[verdict["effect"]]
    by = f"{verdict['policy']} v{verdict['version']} › {verdict['rule']}" if verdict["policy"] else "no policy matches"
    facts = [(name, said[name]) for name in ("target", "records", "value", "execution_mode") if said[name] is not None]
    return Tried(
        effect=effect,
        colour=colour,
        by=visible(by),
        reason=visible(verdict["reason"] or ""),
        needs=visible(needed) if (needed := _needs(said["requirement"])) else SafeString(""),
        expires_in=_lasting(said["expires_in"]),
        facts=[(name.replace("_", " "), visible(_plain(value))) for name, value in facts],
        rules=[_rule(entry, verdict) for entry in said["trace"]],
    )


def _rule(entry: Mapping[str, Any], verdict: Mapping[str, Any]) -> RuleTried:
    when = (entry.get("when") or "").strip()
    held = {True: "held", False: "did not hold"}.get(entry["held"], "could not be told")
    return RuleTried(
        where=visible(f"{entry['policy']} v{entry['version']} › {entry['rule']}"),
        effect=visible(entry["effect"]),
        held=held,
        decided=(entry["policy"], entry["rule"]) == (verdict["policy"], verdict["rule"]),
        when=visible(when) if when else None,
        error=visible(entry["error"]) if entry.get("error") else None,
        operands=[
            (visible(part["expression"]), visible(_gave(part)))
            for part in entry["operands"]
            if part["expression"] != when
        ],
        limits=[
            visible(f"{use['limit']}: {use['used']} used, this adds {use['adds']}, at most {use['most']}")
            for use in entry["limits"]
            if "adds" in use
        ],
        rows=[visible(told) for told in approval_tables.told_rows(entry)],
    )


def _gave(part: Mapping[str, Any]) -> str:
    if part.get("skipped"):
        return "not looked at"
    return _plain(part["value"]) if "value" in part else part.get("error") or "no value"


def _plain(value: Any) -> str:
    if isinstance(value, dict) and set(value) == {"amount", "currency"}:
        return f"{value['amount']} {value['currency']}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _needs(requirement: Mapping[str, Any] | None) -> str:
    if requirement is None:
        return ""
    told = approval_tables.asks(Requirement.read(requirement))
    return f"{told}, with a second factor" if requirement.get("step_up") else told


def _lasting(duration: str) -> str:
    """A duration as policies write it; what business time leaves over whole minutes in hours and minutes."""
    minutes, seconds = divmod(durations.parse(duration), 60)
    return f"about {minutes // 60} h {minutes % 60} min" if seconds and minutes >= 60 else duration


def _sample(policy: Policy, taken: str | None, readable: QuerySet[Intent]) -> dict[str, str]:
    """What the form begins with: of what is readable the intent that was chosen, the newest that this policy judged, or
    an outline."""
    rows = readable.order_by("-id")
    intent = rows.filter(pk=taken).first() if taken else rows.filter(policy_version__policy=policy).first()
    if intent is None:
        return {"intent": json.dumps({"action": _one_action(policy), "payload": {}}, indent=2)}
    read = masking.document(intent)
    document = {name: read[name] for name in _MEMBERS if read[name] not in (None, [], {})}
    for name in intent.derived:  # worked out again
        document.pop(name, None)
    return {"intent": _written(document), "agent": intent.agent_name}


def _one_action(policy: Policy) -> str:
    """The action that the policy is about, where it is one."""
    version = policy.active or policy.versions.first()
    try:
        actions = parsing.parse_policy(version.text).match.actions if version else None
    except DocumentError:
        actions = None
    return actions[0] if actions and len(actions) == 1 and "*" not in actions[0] else ""


def _written(document: Any) -> str:
    """As JSON, in which whatever an eye would not see is written out."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return "".join(
        c if c == "\n" or (c.isprintable() and c.isascii()) or c.isalnum() else json.dumps(c)[1:-1] for c in text
    )
