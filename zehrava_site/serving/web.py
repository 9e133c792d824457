"""What each web process of `make run` serves: the portal, ending with the server that started it."""

from zehrava_site.asgi import application
from zehrava_site.serving.lifeline import end_with_parent
from zehrava_site.serving.starting import record_settings

end_with_parent()
record_settings()

__all__ = ["application"]
