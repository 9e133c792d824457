"""People at work on a real portal: made on the server, signed in at the admin's door, deciding by the page's form."""

from __future__ import annotations

import html.parser
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from tests.portal import Portal

PASSWORD = "a-long-password-for-tests"


def add_person(portal: Portal, username: str, *groups: str) -> None:
    """Make somebody who may sign in, as an administrator would, in these groups."""
    portal.shell(
        "from django.contrib.auth.models import Group, User\n"
        "from django.db import transaction\n"
        "from audit.actors import Actor\n"
        "from zehrava_site.people import record_person\n"
        "with transaction.atomic():\n"
        f"    person = User.objects.create_user({username!r}, password={PASSWORD!r}, is_staff=True)\n"
        f"    person.groups.set([Group.objects.get_or_create(name=name)[0] for name in {groups!r}])\n"
        "    record_person(person, 'added', by=Actor.system('arranger'))"
    )


@dataclass
class Form:
    """A form of a page: where it goes, the fields that it would send, and its buttons as (name, value)."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Forms(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(values.get("action", "")))
        elif self.found and tag == "button":
            self.found[-1].buttons.append((values.get("name", ""), values.get("value", "")))
        elif self.found and tag in ("input", "textarea", "select") and values.get("name"):
            self.found[-1].fields[values["name"]] = values.get("value", "")


def forms(page: str) -> list[Form]:
    """Every form of a page."""
    parser = _Forms()
    parser.feed(page)
    return parser.found


class Browser:
    """A person in the admin, without the drawing: pages are fetched, forms are sent as they stand."""

    def __init__(self, base_url: str, username: str, password: str = PASSWORD) -> None:
        self.http = httpx.Client(base_url=base_url, timeout=30, follow_redirects=True)
        [form] = [form for form in forms(self.page("/admin/login/")) if "password" in form.fields]
        signed_in = self.submit(form, "/admin/login/", username=username, password=password)
        assert signed_in.url.path == "/admin/", signed_in.text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.http.close()

    def page(self, path: str) -> str:
        answer = self.http.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code}\n{answer.text}"
        return answer.text

    def submit(self, form: Form, path: str, **values: str) -> httpx.Response:
        """Send a form of the page at `path` with these values in it."""
        address = httpx.URL(str(self.http.base_url)).join(form.action or path)
        return self.http.post(address, data={**form.fields, **values}, headers={"Referer": str(address)})

    def decision_form(self, intent_id: str) -> tuple[str, Form]:
        """The intent's page, and the form with its buttons. Raises AssertionError where this person sees none."""
        page = self.page(f"/admin/intents/intent/{intent_id}/change/")
        found = [form for form in forms(page) if ("vote", "approve") in form.buttons]
        assert len(found) == 1, page
        return page, found[0]

    def finds(self, intent_id: str) -> bool:
        """Whether the intent waits on this person's desk: alike ones share a line, a search shows one by itself."""
        return f'data-intent="{intent_id}"' in self.page(f"/admin/?q={intent_id}")

    def decide(self, intent_id: str, vote: str, rationale: str = "") -> dict[str, Any]:
        """Open the intent, press a button, and return what the form sent; who rejects says why in a word too."""
        path = f"/admin/intents/intent/{intent_id}/change/"
        _, form = self.decision_form(intent_id)
        ground = "other" if vote == "reject" else ""
        answer = self.submit(form, path, vote=vote, rationale=rationale, ground=ground)
        assert answer.status_code == 200 and answer.url.path == "/admin/", answer.text
        return form.fields
