"""Every page that a person can reach by clicking, in a real browser."""

from urllib.parse import urldefrag, urlsplit

import pytest
from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.timeout(400)]

# Lists offer the same pages in every order and with every filter; one of each is enough.
MOST = 150


def walk(page: Page, base_url: str) -> list[str]:
    """Open everything that is linked below /admin/; returns the paths. Asserts that each answers with a page."""
    seen: list[str] = []
    waiting = [f"{base_url}/admin/"]
    known = {shape(waiting[0])}
    while waiting and len(seen) < MOST:
        address = waiting.pop(0)
        answer = page.goto(address)
        assert answer is not None and answer.status == 200, f"{address} answered {answer and answer.status}"
        assert page.locator("text=Server Error").count() == 0
        seen.append(urlsplit(address).path)
        for link in page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)"):
            link = urldefrag(link).url
            if link.startswith(f"{base_url}/admin/") and shape(link) not in known:
                known.add(shape(link))
                waiting.append(link)
    return seen


def shape(address: str) -> tuple[str, str]:
    """The page an address belongs to: its path without keys of rows, and the names of its parameters."""
    parts = urlsplit(address)
    names = "&".join(sorted(pair.split("=")[0] for pair in parts.query.split("&") if pair))
    path = "/".join("*" if "_5F" in part or "_0" in part or part.isdigit() else part for part in parts.path.split("/"))
    return path, names if "tab=" in parts.query else ""


@pytest.mark.parametrize("name", ["admin", "audrey"])
def test_every_page_opens_without_an_error(world, sign_in, page, name):
    decided = world.propose("report.publish", {"title": "Figures"})
    world.propose("press.call", ["\u202e", None])
    world.arrange(
        "from intents.models import Intent\nfrom reviews.decisions import decide\n"
        f"one = Intent.objects.get(pk={decided!r})\n"
        "decide(one.pk, by=User.objects.get(username='rita'), vote='approve', digest=one.digest)\n"
        "load_policy('name: calls\\nmatch: {actions: [press.call]}\\nrules: [{id: all, effect: require_approval}]\\n')"
    )
    sign_in(name, world.portal.password if name == "admin" else "correct horse battery")

    seen = walk(page, world.portal.base_url)

    for wanted in ("/admin/intents/intent/", "/admin/audit/event/", "/admin/intents/policy/", "/admin/intents/agent/"):
        assert wanted in seen
    assert any(path.endswith("/change/") and "/intents/intent/" in path for path in seen)
    assert len(seen) > 20
