"""How the admin looks: title, sidebar, colours (unfold's dictionary, kept apart from what the portal does)."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static


def _mark(request: HttpRequest) -> str:
    return static("zehrava/mark.svg")


def _style(request: HttpRequest) -> str:
    return static("zehrava/desk.css")


def _script(request: HttpRequest) -> str:
    return static("zehrava/desk.js")


def _reachable(request: HttpRequest) -> str:
    return static("zehrava/reachable.js")


def _following(request: HttpRequest) -> str:
    return static("zehrava/following.js")


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Zehrava",
    "SITE_HEADER": "Zehrava",
    "SITE_SUBHEADER": None,
    "SITE_URL": None,
    "SITE_ICON": _mark,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _mark}],
    "STYLES": [_style],
    "SCRIPTS": [_script, _following, _reachable],
    "BORDER_RADIUS": "8px",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "ACCOUNT": {"navigation": "zehrava_site.navigation.account"},
    "SIDEBAR": {
        "show_search": False,
        "command_search": False,
        "show_all_applications": False,
        # Called with the request: what is listed depends on who asks.
        "navigation": "zehrava_site.navigation.sidebar",
    },
}
