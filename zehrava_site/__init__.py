"""The site: settings, urls, the Celery application, the admin site, health."""

from zehrava_site.celery import app as celery_app

__all__ = ["celery_app"]
