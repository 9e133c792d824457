"""Every page that people use, looked at by a machine: axe-core, the width of a phone, and what a thumb can hit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page

from tests.lifelike import Sight, fill, show, sign_in
from tests.portal import Portal, Template

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.timeout(900)]

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# In dark nothing differs but colours: only what looks at them is asked once more.
ABOUT_COLOURS = ["color-contrast", "link-in-text-block"]
# No rule is left out, and none of what axe leaves out by itself stays out that says how large a target is. Left out
# are rows that repeat what the rows above them showed, since axe takes seconds over hundreds of them; and the sidebar,
# which is the same on every page, everywhere but on the desk.
REPEATED = [
    "#result_list tbody:nth-of-type(n + 5)",
    ".zhr-l:nth-child(n + 12)",
    ".zhr-line:nth-child(n + 40)",
    "option:nth-child(n + 4)",
]
# On a phone a thumb decides by these.
DECIDING = ".zhv-act button:visible, .zhv-act a.zhv-btn:visible, .zhv-act select:visible, .zhv-act textarea:visible"
THUMB, FINGER = 44, 40  # pixels: what decides, and fields beside it


class Filled(NamedTuple):
    address: str
    sights: list[Sight]


@pytest.fixture(scope="module")
def filled(portal_template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """One portal with something of everything in it, for all tests of this file."""
    folder = tmp_path_factory.mktemp("portal")
    with portal_template.copy(folder) as database_url:
        portal = Portal(folder, database_url)
        try:
            sights = fill(portal)
            portal.start_web()
            yield Filled(portal.base_url, sights)
        finally:
            portal.stop()


def colour(tab: Page, scheme: str) -> None:
    """Light or dark, as the switch in the sidebar and the system of the reader have it."""
    tab.emulate_media(color_scheme=scheme)
    tab.evaluate("scheme => window.Alpine?.$data(document.documentElement).switchTheme(scheme)", scheme)


def violations(tab: Page, sight: Sight, rules: list[str] | None) -> list[str]:
    """What axe finds on the page as it stands, a line each."""
    left_out = REPEATED if sight.name == "desk" else [*REPEATED, "#nav-sidebar"]
    found = tab.evaluate(
        """([leftOut, rules]) => axe.run(
            {include: [['html']], exclude: leftOut.map(each => [each])},
            {resultTypes: ['violations'], rules: {'target-size': {enabled: true}}, ...(rules && {runOnly: rules})},
        )""",
        [left_out, rules],
    )
    return [_said(violation, node) for violation in found["violations"] for node in violation["nodes"]]


def _said(violation: dict[str, Any], node: dict[str, Any]) -> str:
    return f"{violation['impact']} {violation['id']}: {node['html'][:200]}\n    {node['failureSummary']}"


@pytest.mark.parametrize("person", ["rita", "ada", "nora", ""], ids=["reviewer", "administrator", "nobody", "unknown"])
def test_every_page_is_accessible_fits_a_phone_and_is_decided_by_a_thumb(filled: Filled, browser: Browser, person: str):
    seen, faults = 0, []
    # Nothing moves, so that no colour is looked at half-way.
    tab = browser.new_context(reduced_motion="reduce").new_page()
    if person:
        sign_in(tab, filled.address, person)
    for sight in filled.sights:
        if sight.person != person:
            continue
        tab.set_viewport_size(WIDE)
        colour(tab, "light")
        show(tab, filled.address, sight)
        tab.add_style_tag(content="*, ::before, ::after { transition: none !important; animation: none !important }")
        tab.evaluate(AXE)
        for size, scheme in itertools.product((WIDE, PHONE), ("light", "dark")):
            tab.set_viewport_size(size)
            colour(tab, scheme)
            where = f"{sight.name}, {size['width']} px, {scheme}: "
            found = violations(tab, sight, None if scheme == "light" else ABOUT_COLOURS)
            over = tab.evaluate("document.scrollingElement.scrollWidth - innerWidth")
            if over > 0:
                found.append(f"{over} px stick out to the right")
            faults += [where + each for each in found]
        for target in tab.locator(DECIDING).all():
            height = target.bounding_box()["height"]
            if height < (THUMB if target.evaluate("one => one.matches('.zhv-btn:not(.is-plain)')") else FINGER):
                faults.append(f"{sight.name}: a thumb needs more than {height} px: {target.inner_text()}")
        seen += 1
    tab.context.close()

    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:40])
    assert seen == sum(sight.person == person for sight in filled.sights) > 0
