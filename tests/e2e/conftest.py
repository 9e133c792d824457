"""A portal of its own, with people in it, and a browser that notices every error."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.portal import Portal, Template

PASSWORD = "correct horse battery"
PATIENCE = 15_000  # milliseconds for what a worker does


@pytest.fixture(autouse=True)
def _patience() -> None:
    expect.set_options(timeout=PATIENCE)


def picture(page: Page, name: str) -> None:
    """Kept where somebody asks for pictures of what the tests saw."""
    if folder := os.environ.get("ZEHRAVA_TEST_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@dataclass
class World:
    """The portal and what is arranged in it by its own functions."""

    portal: Portal
    agent_key: str = ""

    def arrange(self, code: str) -> Any:
        """Run Python inside the portal; what it leaves in `made` comes back."""
        printed = self.portal.shell(
            f"import json\nmade = None\nfrom tests.factories import *\n{code}\nprint(json.dumps(made))"
        )
        return json.loads(printed.strip().splitlines()[-1])

    def propose(self, action: str, payload: Any, **members: Any) -> str:
        """Propose as the agent does, over the API; returns the intent's id."""
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        return str(self._call("POST", "", {"action": action, "payload": payload, **members}, headers)["id"])

    def status(self, intent_id: str) -> str:
        return str(self.read(intent_id)["status"])

    def read(self, intent_id: str) -> Any:
        """The intent as its agent reads it."""
        return self._call("GET", f"/{intent_id}")

    def _call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        answer = httpx.request(
            method,
            f"{self.portal.base_url}/api/v1/intents{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.agent_key}", **(headers or {})},
            timeout=60,
            trust_env=False,
        )
        assert answer.is_success, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def world(portal_template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A serving portal with a worker, a reviewer `rita`, an auditor `audrey` and an agent; one for all tests of a file.

    Each test looks at the intents that it proposed itself.
    """
    folder = tmp_path_factory.mktemp("portal")
    with portal_template.copy(folder) as database_url:
        portal = Portal(folder, database_url)
        try:
            portal.start_web()
            portal.start_worker()
            yield _people_and_an_agent(World(portal))
        finally:
            portal.stop()


def _people_and_an_agent(made: World) -> World:
    made.agent_key = made.arrange(
        "make_user('rita', 'reviewers')\n"
        "make_user('audrey', 'auditors')\n"
        "run_by_noop('report.publish')\n"
        "made = make_agent('press-agent', owner=make_user('olivia'))[1]\n"
    )
    return made


@pytest.fixture
def sign_in(world: World, page: Page) -> Callable[..., Page]:
    def enter(name: str = "rita", password: str = PASSWORD) -> Page:
        page.goto(f"{world.portal.base_url}/admin/")
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Approval desk")).to_be_visible()
        return page

    return enter


@pytest.fixture(autouse=True)
def _no_error_in_the_console(page: Page) -> Iterator[None]:
    """Whatever a test does, no page may fail, log an error, or run a script that an agent wrote."""
    errors: list[str] = []
    page.on(
        "console", lambda message: errors.append(f"{page.url}: {message.text}") if message.type == "error" else None
    )
    page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))
    page.on("dialog", lambda dialog: (errors.append(f"{page.url}: dialog {dialog.message}"), dialog.dismiss()))
    yield
    # A refused form is answered with its status, which Chromium reports as a failed resource.
    assert [error for error in errors if "the server responded with a status of 4" not in error] == []
