"""The sidebar: the same order for everyone, each line only for those who may open it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from audit.navigation import evidence
from intents import activation, reading
from reviews import break_glass, desk

Item = dict[str, Any]


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's navigation for this person: groups of links, with counts where something waits."""
    counts = desk.counts(request)
    sees_intents = request.user.has_perm(reading.VIEW)
    every_intent = reverse("admin:intents_intent_changelist")
    on_index = request.path == reverse("admin:index")
    on_person = on_index and request.GET.get("tab") == desk.PERSON
    # One intent is opened to be decided or followed, wherever it was found.
    on_desk = on_index or (request.path.startswith(every_intent) and request.path != every_intent)
    groups = [
        {
            "items": [
                _item("Approval desk", "inbox", "admin:index", badge=counts.mine, active=on_desk and not on_person),
                _item(
                    "Needs a person",
                    "front_hand",
                    "admin:index",
                    query=f"?tab={desk.PERSON}",
                    badge=counts.person,
                    active=on_person,
                    shown=sees_intents,
                ),
                _item(
                    "All intents",
                    "list",
                    "admin:intents_intent_changelist",
                    active=request.path == every_intent,
                    shown=sees_intents,
                ),
                _item(
                    "Figures",
                    "monitoring",
                    "admin:figures",
                    active=request.path == reverse("admin:figures"),
                    shown=sees_intents,
                ),
                _item(
                    "Executions",
                    "play_circle",
                    "admin:intents_execution_changelist",
                    shown=request.user.has_perm("intents.view_execution"),
                ),
                _item(
                    "Deliveries",
                    "outgoing_mail",
                    "admin:reviews_delivery_changelist",
                    shown=request.user.has_perm("reviews.view_delivery"),
                ),
            ]
        },
        _glass_reviews(request),
        _models(
            request,
            "Rules",
            ("Policies", "gavel", "intents.policy"),
            ("Action types", "schema", "intents.actiontype"),
            badges={"intents.policy": _requests_waiting(request)},
        ),
        _models(
            request,
            "Agents",
            ("Agents", "smart_toy", "intents.agent"),
            ("Standing approvals", "event_available", "reviews.standingapproval"),
        ),
        *_evidence(request),
        _models(
            request,
            "People",
            ("Users", "person", "auth.user"),
            ("Groups", "group", "auth.group"),
            ("Reading rules", "visibility", "intents.readingrule"),
            ("Personal tokens", "key", "reviews.personaltoken"),
        ),
        {
            "items": [
                _item("My notifications", "notifications", "admin:notifications"),
                _item("Delegations", "swap_horiz", "admin:reviews_delegation_changelist"),
            ]
        },
    ]
    for group in groups:
        group["items"] = [item for item in group["items"] if item]
    groups = [group for group in groups if group["items"]]
    _mark_current(request.path, [item for group in groups for item in group["items"] if "active" not in item])
    return groups


def account(request: HttpRequest) -> list[dict[str, str]]:
    """Unfold's menu of one's own account."""
    links = [
        {"title": "My notifications", "link": reverse("admin:notifications")},
        {"title": "Delegations and out of office", "link": reverse("admin:reviews_delegation_changelist")},
        {"title": "Second factors", "link": reverse("admin:second_factors")},
    ]
    if isinstance(request.user, User) and request.user.has_usable_password():
        links.append({"title": "Change password", "link": reverse("admin:password_change")})
    return links


def _mark_current(path: str, items: list[Item]) -> None:
    """Mark the one page that this address belongs to: Export lies below Events, and is not Events."""
    above = [item["link"] for item in items if path.startswith(item["link"])]
    for item in items:
        item["active"] = bool(above) and item["link"] == max(above, key=len)


def _evidence(request: HttpRequest) -> list[dict[str, Any]]:
    """Events and exports in sight, the history of each model folded away behind one line."""
    items = evidence(request)
    histories = [item for item in items if item["title"].startswith("History of ")]
    for item in histories:
        item["title"] = item["title"].removeprefix("History of ").capitalize()
    return [
        {"title": "Evidence", "items": [item for item in items if item not in histories]},
        {"title": "History", "items": histories, "collapsible": True},
    ]


def _glass_reviews(request: HttpRequest) -> dict[str, Any]:
    """What was approved beyond a requirement and nobody has reviewed yet; one query, for who sees reviews only."""
    shown = any(request.user.has_perm(each) for each in ("reviews.view_breakglassreview", break_glass.REVIEW))
    badge = break_glass.count_open(request.user) if shown else 0
    view = "admin:reviews_breakglassreview_changelist"
    return {"items": [_item("Broken glass", "emergency_home", view, badge=badge, shown=shown)]}


def _requests_waiting(request: HttpRequest) -> int:
    """Changes of policies that wait for this person; one query, and none for who may not answer them."""
    user = request.user
    return activation.count_waiting(user) if isinstance(user, User) and user.has_perm(activation.PERMISSION) else 0


def _models(
    request: HttpRequest, title: str, *models: tuple[str, str, str], badges: Mapping[str, int] | None = None
) -> dict[str, Any]:
    items = []
    for label, icon, model in models:
        app, name = model.split(".")
        shown = any(request.user.has_perm(f"{app}.{verb}_{name}") for verb in ("view", "change", "add"))
        badge = (badges or {}).get(model, 0)
        items.append(_item(label, icon, f"admin:{app}_{name}_changelist", badge=badge, shown=shown))
    return {"title": title, "items": items}


def _item(
    title: str,
    icon: str,
    view: str,
    *,
    args: list[str] | None = None,
    query: str = "",
    badge: int = 0,
    active: bool | None = None,
    shown: bool = True,
) -> Item | None:
    if not shown:
        return None
    try:
        link = reverse(view, args=args)
    except NoReverseMatch:
        # A page that this installation does not have.
        return None
    item: Item = {"title": title, "icon": icon, "link": link + query}
    if badge:
        item |= {"badge": badge, "badge_variant": "primary"}
    if active is not None:
        item["active"] = active
    return item
