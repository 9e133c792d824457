"""Pictures of the pages, from a portal of their own with lifelike data: `make screenshots`.

Wide and narrow, light and dark, into `build/screenshots/`; the two that README and docs show also go to
`docs/images/`.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import CHROMIUM_ARGUMENTS
from tests.lifelike import Sight, fill, show, sign_in
from tests.portal import ROOT, Portal

if TYPE_CHECKING:
    from playwright.sync_api import Page

EVERYTHING = ROOT / "build" / "screenshots"
SHOWN = ROOT / "docs" / "images"
SIZES = {"wide": (1440, 900), "phone": (390, 844)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", default="", help="take only pages whose name contains this")
    only = arguments.parse_args().only
    with tempfile.TemporaryDirectory(prefix="zehrava-pictures-") as folder:
        portal = Portal(Path(folder), f"sqlite:///{folder}/zehrava.sqlite3", ZEHRAVA_LOG_LEVEL="WARNING")
        try:
            portal.manage("migrate", "--verbosity", "0")
            sights = [sight for sight in fill(portal) if only in sight.name]
            portal.start_web()
            photograph(portal.base_url, sights)
        finally:
            portal.stop()
    for name in ("desk", "intent"):
        picture = EVERYTHING / f"{name}-wide-light.png"
        if picture.exists():
            shutil.copy(picture, SHOWN / f"{name}.png")


def photograph(address: str, sights: list[Sight]) -> None:
    from playwright.sync_api import sync_playwright

    EVERYTHING.mkdir(parents=True, exist_ok=True)
    SHOWN.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_ARGUMENTS)
        for (size, (width, height)), scheme in itertools.product(SIZES.items(), ("light", "dark")):
            for person in sorted({sight.person for sight in sights}):
                view = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                tab = view.new_page()
                if person:
                    sign_in(tab, address, person)
                for sight in sights:
                    if sight.person == person:
                        show(tab, address, sight)
                        _take(tab, sight.name, size, scheme)
                view.close()
        browser.close()


def _take(tab: Page, name: str, size: str, scheme: str) -> None:
    tab.wait_for_timeout(300)
    tab.screenshot(path=EVERYTHING / f"{name}-{size}-{scheme}.png")
    if size == "phone" and name in ("desk", "intent"):
        tab.evaluate("document.querySelector('.zhv-act')?.style.setProperty('position', 'static')")
        tab.screenshot(path=EVERYTHING / f"{name}-whole-{scheme}.png", full_page=True)


if __name__ == "__main__":
    main()
