"""The synchronous application; `zehrava_site.asgi` wraps it so that waiting agents hold no thread."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zehrava_site.settings")

application = get_wsgi_application()
