from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class SiteConfig(AppConfig):
    name = "zehrava_site"
    verbose_name = "Zehrava"


class ZehravaAdminConfig(AdminConfig):
    default_site = "zehrava_site.admin_site.ZehravaAdminSite"
