"""What the web server serves: Django in a few threads, with those who upload or wait kept out of them."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zehrava_site.settings")

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from zehrava_site.bodies import Bodies
from zehrava_site.threads import Threads
from zehrava_site.waiting import Waiting, stored_statuses

_django = Threads(get_wsgi_application(), threads=settings.ZEHRAVA_WEB_THREADS)

application = Bodies(
    Waiting(_django, stored_statuses),
    api_limit=settings.ZEHRAVA_MAX_BODY,
)
