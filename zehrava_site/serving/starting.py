"""What a web process writes down when it starts: settings that bind commands on the server too."""

import logging
import threading

from django.db import connections

from audit.actors import Actor
from intents import second_person

logger = logging.getLogger(__name__)


def record_settings() -> None:
    """Record whether this portal asks for a second person. A database that is away keeps nothing from serving.

    The sweep, and the next start, record it then; this process obeys its own settings meanwhile.
    """
    # A thread of its own: the server may import this inside its event loop, where Django refuses to query.
    thread = threading.Thread(target=_record, name="record-settings")
    thread.start()
    thread.join()


def _record() -> None:
    try:
        second_person.record(by=Actor.system("portal"))
    except Exception:
        logger.warning("Whether policies take a second person could not be recorded yet", exc_info=True)
    finally:
        connections.close_all()
