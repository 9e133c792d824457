"""The Celery application: a doorbell, never the record. Messages carry ids only."""

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

# `filesystem://` means ours, see there for why.
TRANSPORT_ALIASES["filesystem"] = "zehrava_site.broker:Transport"

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zehrava_site.settings")

app = Celery("zehrava")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
