"""How the admin looks: title, sidebar, colours (unfold's dictionary, kept apart from what the portal does)."""

UNFOLD: dict = {
    "SITE_TITLE": "Zehrava",
    "SITE_HEADER": "Zehrava",
    "SITE_SUBHEADER": "",
    "SITE_URL": None,
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
}
