"""Every setting, read from the environment here and nowhere else; `docs/operators.md` has a line for each."""

import hashlib
import secrets
from pathlib import Path
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.core.exceptions import ImproperlyConfigured

from zehrava import canonical, durations, targets

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()


def _duration(name: str, default: str) -> int:
    """Seconds of a setting written as an integer and s, m, h or d."""
    try:
        return durations.parse(env.str(name, default=default))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error


def _bound(name: str, default: int) -> int:
    """A setting that is a whole number, 0 for no bound."""
    try:
        bound = env.int(name, default=default)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is a whole number, or 0 for no bound.") from error
    if bound < 0:
        raise ImproperlyConfigured(f"{name} is a whole number, or 0 for no bound.")
    return bound


# --- where this portal keeps its own files -------------------------------------------------------------------------

ZEHRAVA_PRODUCTION = env.bool("ZEHRAVA_PRODUCTION", default=False)
DATA_DIR = Path(env.str("ZEHRAVA_DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)


def _kept_secret(name: str, filename: str) -> str:
    """The secret of that variable; without it one made once and kept in the data directory, mode 600.

    Two processes starting together agree, because only one of them can create the file.
    """
    if value := env.str(name, default=""):
        return value
    if ZEHRAVA_PRODUCTION:
        raise ImproperlyConfigured(f"{name} must be set in production: every web and worker host needs the same one.")
    path = DATA_DIR / filename
    if not path.exists():
        draft = DATA_DIR / f".{filename}.{secrets.token_hex(8)}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


SECRET_KEY = _kept_secret("ZEHRAVA_SECRET_KEY", "secret_key")
# What the `http` executor signs with; targets verify by the Standard Webhooks scheme.
ZEHRAVA_SIGNING_SECRET = _kept_secret("ZEHRAVA_SIGNING_SECRET", "signing_secret")

# What the portal signs its records with, newest last; see audit.signing. Without it a file for each key is kept.
ZEHRAVA_SIGNING_KEYS = env.str("ZEHRAVA_SIGNING_KEYS", default="").split()
ZEHRAVA_SIGNING_KEYS_FOLDER = DATA_DIR / "signing_keys"
if ZEHRAVA_PRODUCTION and not ZEHRAVA_SIGNING_KEYS:
    raise ImproperlyConfigured(
        "ZEHRAVA_SIGNING_KEYS must be set in production: every web and worker host needs the same keys."
    )
if any(len(secret) < 32 for secret in ZEHRAVA_SIGNING_KEYS):
    raise ImproperlyConfigured("ZEHRAVA_SIGNING_KEYS: each secret has at least 32 random characters.")

DEBUG = env.bool("ZEHRAVA_DEBUG", default=False)
BASE_URL = env.str("ZEHRAVA_BASE_URL", default="http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = env.list(
    "ZEHRAVA_ALLOWED_HOSTS", default=[] if ZEHRAVA_PRODUCTION else ["127.0.0.1", "localhost", "[::1]"]
)
CSRF_TRUSTED_ORIGINS = [BASE_URL] if BASE_URL.startswith("https://") else []

# --- what Zehrava itself is told -----------------------------------------------------------------------------------

ZEHRAVA_EXPIRES_IN = _duration("ZEHRAVA_EXPIRES_IN", "24h")  # where neither the agent nor a policy says
ZEHRAVA_EXPIRES_IN_MAX = _duration("ZEHRAVA_EXPIRES_IN_MAX", "30d")
ZEHRAVA_PORTAL_LEASE = _duration("ZEHRAVA_PORTAL_LEASE", "30s")
ZEHRAVA_AGENT_LEASE = _duration("ZEHRAVA_AGENT_LEASE", "5m")
ZEHRAVA_SWEEP_EVERY = _duration("ZEHRAVA_SWEEP_EVERY", "5s")
ZEHRAVA_RESEND_AFTER = _duration("ZEHRAVA_RESEND_AFTER", "15s")
ZEHRAVA_IDEMPOTENCY_KEPT = _duration("ZEHRAVA_IDEMPOTENCY_KEPT", "7d")
ZEHRAVA_PROVING_KEPT = _duration("ZEHRAVA_PROVING_KEPT", "90d")
# How much one agent may ask of people.
ZEHRAVA_PENDING_PER_AGENT = _bound("ZEHRAVA_PENDING_PER_AGENT", 100)
ZEHRAVA_ASKS_PER_HOUR = _bound("ZEHRAVA_ASKS_PER_HOUR", 1_000)
# Where no policy matches the intent.
ZEHRAVA_DEFAULT_EFFECT = env.str("ZEHRAVA_DEFAULT_EFFECT", default="require_approval")
if ZEHRAVA_DEFAULT_EFFECT not in ("require_approval", "block"):
    raise ImproperlyConfigured("ZEHRAVA_DEFAULT_EFFECT is require_approval or block: nothing is allowed by default.")
# Whether it takes two people to bring a version of a policy into force or to take a policy out of it.
ZEHRAVA_POLICY_SECOND_PERSON = env.bool("ZEHRAVA_POLICY_SECOND_PERSON", default=False)
# Whether everybody must add a second factor before anything else opens; a password alone signs in otherwise.
ZEHRAVA_REQUIRE_SECOND_FACTOR = env.bool("ZEHRAVA_REQUIRE_SECOND_FACTOR", default=False)
ZEHRAVA_MAX_BODY = env.int("ZEHRAVA_MAX_BODY", default=1_048_576)
ZEHRAVA_WEB_THREADS = env.int("ZEHRAVA_WEB_THREADS", default=4)
DATA_UPLOAD_MAX_MEMORY_SIZE = 8_388_608

# --- applications --------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    # Without its own site: ours is an unfold site already.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.simple_history",
    "zehrava_site.apps.ZehravaAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "simple_history",
    # The pipeline of signing in, and the table of second factors; the pages are ours, see zehrava_site.identity.
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "audit",
    "intents",
    "reviews",
    "zehrava_site.apps.SiteConfig",
]

MIDDLEWARE = [
    "audit.context.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "zehrava_site.api.headers.ContentPolicyMiddleware",
    # Before the session, which looks a cookie up in the database.
    "zehrava_site.legible.LegibleMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "zehrava_site.identity.standing.PersonMiddleware",
    "zehrava_site.identity.requirement.SecondFactorMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "zehrava_site.urls"
WSGI_APPLICATION = "zehrava_site.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- database ------------------------------------------------------------------------------------------------------

DATABASES = {"default": env.db_url("ZEHRAVA_DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'zehrava.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    if ZEHRAVA_PRODUCTION:
        raise ImproperlyConfigured("ZEHRAVA_DATABASE_URL must name a PostgreSQL database in production.")
    DATABASES["default"]["ENGINE"] = "zehrava_site.sqlite"
    DATABASES["default"]["OPTIONS"] = {
        # A transaction takes the write lock when it begins: it waits for its turn instead of failing half-way.
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY",
    }
    DATABASES["default"]["CONN_MAX_AGE"] = None
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 300
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

# --- people --------------------------------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# The only one: whoever signs in, by whatever means, is looked up the same way.
AUTHENTICATION_BACKENDS = ["zehrava_site.identity.standing.PersonBackend"]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BASE_URL.startswith("https://")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
_BEHIND_TLS_PROXY = env.bool("ZEHRAVA_BEHIND_TLS_PROXY", default=False)
if _BEHIND_TLS_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

ACCOUNT_ADAPTER = "zehrava_site.identity.signing_in.Adapter"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
# These count in a cache, which each process has for itself; zehrava_site.identity.attempts counts in the database.
ACCOUNT_RATE_LIMITS = False
MFA_ADAPTER = "zehrava_site.identity.factors.Adapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "Zehrava"
MFA_TOTP_TOLERANCE = 1  # steps of 30 s to either side, for telephones whose clock is off
MFA_RECOVERY_CODE_DIGITS = 10
# Whose address a request came from: the last this many of X-Forwarded-For were written by proxies of one's own.
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("ZEHRAVA_PROXIES", default=1 if _BEHIND_TLS_PROXY else 0)

# --- people of an OpenID Connect provider --------------------------------------------------------------------------

ZEHRAVA_OIDC_ISSUER = env.str("ZEHRAVA_OIDC_ISSUER", default="")
ZEHRAVA_OIDC_GROUPS_CLAIM = env.str("ZEHRAVA_OIDC_GROUPS_CLAIM", default="groups")
# A subject is one only together with who calls it so: another issuer has other people.
ZEHRAVA_OIDC_ID = "oidc-" + hashlib.sha256(ZEHRAVA_OIDC_ISSUER.encode()).hexdigest()[:16]


def _oidc_groups() -> dict[str, list[str]]:
    """Which values of the claim give which groups."""
    name = "ZEHRAVA_OIDC_GROUPS"
    wanted = f'{name} must be a JSON object such as {{"approvers": "reviewers", "sre": ["operators", "security"]}}.'
    try:
        found = canonical.loads(env.str("ZEHRAVA_OIDC_GROUPS", default="{}"))
    except ValueError as error:
        raise ImproperlyConfigured(wanted) from error
    if not isinstance(found, dict):
        raise ImproperlyConfigured(wanted)
    groups = {value: [told] if isinstance(told, str) else told for value, told in found.items()}
    if not all(isinstance(told, list) and all(isinstance(each, str) for each in told) for told in groups.values()):
        raise ImproperlyConfigured(wanted)
    return groups


ZEHRAVA_OIDC_GROUPS = _oidc_groups()
_OIDC_APP = {
    "provider_id": ZEHRAVA_OIDC_ID,
    "name": "OpenID Connect",
    "client_id": env.str("ZEHRAVA_OIDC_CLIENT_ID", default=""),
    "secret": env.str("ZEHRAVA_OIDC_CLIENT_SECRET", default=""),
    "settings": {"server_url": ZEHRAVA_OIDC_ISSUER.rstrip("/"), "oauth_pkce_enabled": True},
}
if ZEHRAVA_OIDC_ISSUER:
    if not ZEHRAVA_OIDC_ISSUER.startswith("https://") and (
        ZEHRAVA_PRODUCTION or urlsplit(ZEHRAVA_OIDC_ISSUER).hostname not in ("127.0.0.1", "localhost")
    ):
        raise ImproperlyConfigured("ZEHRAVA_OIDC_ISSUER must be https: who listens in could be anybody.")
    if not (_OIDC_APP["client_id"] and _OIDC_APP["secret"] and ZEHRAVA_OIDC_GROUPS):
        raise ImproperlyConfigured(
            "ZEHRAVA_OIDC_ISSUER needs ZEHRAVA_OIDC_CLIENT_ID, ZEHRAVA_OIDC_CLIENT_SECRET and ZEHRAVA_OIDC_GROUPS."
        )
SOCIALACCOUNT_ADAPTER = "zehrava_site.identity.oidc.Adapter"
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [_OIDC_APP] if ZEHRAVA_OIDC_ISSUER else []}}
# The two that would match people by an address.
SOCIALACCOUNT_EMAIL_AUTHENTICATION = SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = False
SOCIALACCOUNT_LOGIN_ON_GET = False
SOCIALACCOUNT_STORE_TOKENS = False

# Unfold's Alpine evaluates expressions and sets inline styles; the API's views narrow this to nothing at all.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, UNSAFE_EVAL, UNSAFE_INLINE],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

SIMPLE_HISTORY_REVERT_DISABLED = True
SIMPLE_HISTORY_ENFORCE_HISTORY_MODEL_PERMISSIONS = False

# --- language, time, files -----------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = "zehrava_site.formats"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "zehrava_site" / "static"]
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
# Served straight from the packages: nothing to collect before the first start.
WHITENOISE_USE_FINDERS = True

# --- agents' and people's API --------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "intents.api.authentication.AgentKeyAuthentication",
        "reviews.authentication.PersonalTokenAuthentication",
        "reviews.authentication.PersonSessionAuthentication",
    ],
    # A view that forgets to say who may call it answers nobody.
    "DEFAULT_PERMISSION_CLASSES": ["zehrava_site.api.permissions.Nobody"],
    "DEFAULT_PARSER_CLASSES": ["zehrava_site.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["zehrava_site.api.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "zehrava_site.api.pagination.IdCursorPagination",
    "DEFAULT_SCHEMA_CLASS": "zehrava_site.api.schema.ProblemAutoSchema",
    "EXCEPTION_HANDLER": "zehrava_site.api.problems.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
    "PAGE_SIZE": 50,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Zehrava",
    "DESCRIPTION": "The gate in front of what AI agents do: propose an intent, await the decision, carry it out once.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
}

# --- jobs ----------------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = env.str("ZEHRAVA_BROKER_URL", default="filesystem://")
if CELERY_BROKER_URL == "filesystem://":
    if ZEHRAVA_PRODUCTION:
        raise ImproperlyConfigured("ZEHRAVA_BROKER_URL must name a Redis or RabbitMQ server in production.")
    for _folder in ("messages", "control"):
        (DATA_DIR / "broker" / _folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    # Said in full, for Celery else warns in every process that it assumes this host.
    CELERY_BROKER_URL = "filesystem://localhost//"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(DATA_DIR / "broker" / "messages"),
        "data_folder_out": str(DATA_DIR / "broker" / "messages"),
        "control_folder": str(DATA_DIR / "broker" / "control"),
        "polling_interval": 0.1,
    }
else:
    # A dead broker must not hold a reviewer's click: the sweeper sends again what could not be sent.
    CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 1, "socket_timeout": 5}
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Mail to the console is to be read as it is, not line by line as warnings.
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = env.int("ZEHRAVA_WORKERS", default=2)
CELERY_TASK_DEFAULT_QUEUE = "zehrava"
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "schedule")
CELERY_BEAT_SCHEDULE = {
    "sweep": {
        "task": "intents.tasks.sweep",
        "schedule": ZEHRAVA_SWEEP_EVERY,
        # A sweep that waited longer than the next one is due has nothing left to say.
        "options": {"expires": ZEHRAVA_SWEEP_EVERY * 3},
    },
    "notify": {
        "task": "reviews.tasks.notify",
        "schedule": ZEHRAVA_SWEEP_EVERY,
        "options": {"expires": ZEHRAVA_SWEEP_EVERY * 3},
    },
    # What nobody can meet any more is to be seen within a minute.
    "look_for_unmeetable": {
        "task": "reviews.tasks.look_for_unmeetable",
        "schedule": 20,
        "options": {"expires": 40},
    },
}

# --- mail ----------------------------------------------------------------------------------------------------------

vars().update(env.email_url("ZEHRAVA_EMAIL_URL", default="consolemail://"))
DEFAULT_FROM_EMAIL = env.str("ZEHRAVA_FROM_EMAIL", default="zehrava@localhost")
EMAIL_TIMEOUT = 10

# --- notifications -------------------------------------------------------------------------------------------------

ZEHRAVA_NOTIFICATIONS_KEPT = _duration("ZEHRAVA_NOTIFICATIONS_KEPT", "30d")
# Permits http, any port and private addresses: for a chat server of one's own, never for one outside.
ZEHRAVA_NOTIFY_ALLOW_PRIVATE = env.bool("ZEHRAVA_NOTIFY_ALLOW_PRIVATE", default=False)


def _webhooks() -> dict[str, str]:
    """The addresses of channels by group; whoever knows one can write there, so no message quotes them."""
    name = "ZEHRAVA_NOTIFY_WEBHOOKS"
    try:
        found = canonical.loads(env.str("ZEHRAVA_NOTIFY_WEBHOOKS", default="{}"))
    except ValueError as error:
        raise ImproperlyConfigured(f'{name} must be a JSON object such as {{"finance": "https://…"}}.') from error
    if not isinstance(found, dict):
        raise ImproperlyConfigured(f'{name} must be a JSON object such as {{"finance": "https://…"}}.')
    for group, url in found.items():
        try:
            targets.destination(url, allow_private=ZEHRAVA_NOTIFY_ALLOW_PRIVATE)
        except targets.TargetError as error:
            reason = str(error).replace("allow_private: true", "ZEHRAVA_NOTIFY_ALLOW_PRIVATE=true")
            raise ImproperlyConfigured(f"{name}: the URL of {group!r} {reason}.") from error
    return found


ZEHRAVA_NOTIFY_WEBHOOKS = _webhooks()

# --- logs ----------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("ZEHRAVA_LOG_LEVEL", default="INFO")},
    "loggers": {
        # At DEBUG these write headers, and by that credentials.
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
        # Each sweep would be two lines; what was carried out `intents.tasks` says, and failures are errors.
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        # Says that a client left while it waited, which is its right.
        "_granian.asgi.io": {"level": "ERROR"},
    },
}

if ZEHRAVA_PRODUCTION:
    if not ALLOWED_HOSTS:
        raise ImproperlyConfigured("ZEHRAVA_ALLOWED_HOSTS must list the names this portal answers to in production.")
    if DEBUG:
        raise ImproperlyConfigured("ZEHRAVA_DEBUG shows secrets to whoever causes an error: unset it in production.")
    if not BASE_URL.startswith("https://"):
        raise ImproperlyConfigured("ZEHRAVA_BASE_URL must be the https address people open in production.")

from zehrava_site.unfold_settings import UNFOLD  # noqa: E402, F401
