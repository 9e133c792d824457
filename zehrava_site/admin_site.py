"""The one admin site: unfold's, with the approval desk as its first page."""

from unfold.sites import UnfoldAdminSite


class ZehravaAdminSite(UnfoldAdminSite):
    site_title = "Zehrava"
    site_header = "Zehrava"
    index_title = "Approval desk"
