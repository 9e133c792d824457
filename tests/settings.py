"""The portal's settings for tests in one process: data in a folder that goes away, weak and fast password hashes."""

import atexit
import os
import shutil
import tempfile

_made = None
if "ZEHRAVA_DATA_DIR" not in os.environ:
    _made = os.environ["ZEHRAVA_DATA_DIR"] = tempfile.mkdtemp(prefix="zehrava-test-")
    _owner = os.getpid()
    # Workers of pytest-xdist are started with this environment, and must not take the folder with them.
    atexit.register(lambda: os.getpid() == _owner and shutil.rmtree(_made, ignore_errors=True))

from zehrava_site.settings import *
from zehrava_site.settings import DATA_DIR, DATABASES

STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# A message goes nowhere: tests call tasks by name, or start a real worker on a broker of its own.
CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = {}

if DATABASES["default"]["ENGINE"] == "zehrava_site.sqlite":
    # A file and not memory: threads then meet the locks that they meet in the field. It need not survive a power cut.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
    DATABASES["default"]["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF"
DATABASES["default"]["CONN_MAX_AGE"] = 0
