"""GET /api/docs in a real browser: the page works under its own policy, with nothing from elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from tests.portal import Portal


@pytest.mark.browser
@pytest.mark.process
def test_the_documentation_opens_and_shows_every_operation(live_server_process: Portal, page: Any) -> None:
    base = live_server_process.base_url
    complaints: list[str] = []
    elsewhere: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: elsewhere.append(request.url) if not request.url.startswith((base, "data:", "blob:")) else None,
    )
    page.goto(f"{base}/api/docs")
    page.get_by_text("/api/v1/intents/{intent_id}/decisions").first.wait_for()
    page.locator(".opblock-summary-description", has_text="Propose an intent").click()
    page.get_by_text("Idempotency-Key").first.wait_for()
    assert (complaints, elsewhere) == ([], [])
