"""Settings of the billing console; every choice of an installation is an environment variable (.env.example)."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from billing_console.env import digest_of, kept_secret, load_secret_files, make_once, networks_of

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
# ENV_FILE names another file, or, empty, none: the demo must not see an installation's tokens.
env_file = os.environ.get("ENV_FILE", str(BASE_DIR / ".env"))
ENV_FILE = env_file if env_file and Path(env_file).is_file() else ""
# A part of `manage.py console` has what that one read when it started: it does not read the file anew.
ENV_FILE_DIGEST = os.environ.get("ENV_FILE_DIGEST", "")
if ENV_FILE and not ENV_FILE_DIGEST:
    ENV_FILE_DIGEST = digest_of(Path(ENV_FILE))
    environ.Env.read_env(ENV_FILE)
load_secret_files()
VAR_DIR = Path(env("VAR_DIR", default=str(BASE_DIR / "var")))

# --- where we run -----------------------------------------------------------------------------------------------
ENVIRONMENT = env("ENVIRONMENT", default="production")  # production | sandbox
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env("SECRET_KEY", default="") or make_once(VAR_DIR / "secret_key")
FIELD_KEY = env("FIELD_KEY", default="") or kept_secret(VAR_DIR / "field_key")  # `prepare` makes it
PORT = env.int("PORT", default=5000)
PUBLIC_URL = env("PUBLIC_URL", default=f"http://127.0.0.1:{PORT}")
# Taiga and people reach us under PUBLIC_URL, and the machine's own probes under the loopback names.
_public_host = urlsplit(PUBLIC_URL).hostname
ALLOWED_HOSTS = [
    *env.list("ALLOWED_HOSTS", default=[]),
    *([_public_host] if _public_host else []),
    *("localhost", "127.0.0.1", "[::1]"),
]
CSRF_TRUSTED_ORIGINS = [
    *env.list("CSRF_TRUSTED_ORIGINS", default=[]),
    *([PUBLIC_URL.rstrip("/")] if PUBLIC_URL.startswith("https://") else []),
]
# Proxies whose X-Forwarded-For is believed: addresses and networks. In containers that is where the port comes from.
TRUSTED_PROXIES = networks_of(env.list("TRUSTED_PROXIES", default=["127.0.0.0/8", "::1"]))
LOG_DIR = env("LOG_DIR", default="")
ALERT_EMAILS = env.list("ALERT_EMAILS", default=[])
vars().update(env.email_url("EMAIL_URL", default="consolemail://"))

# --- the two upstreams ------------------------------------------------------------------------------------------
TAIGA_API = env("TAIGA_API", default="")
TAIGA_TOKEN = env("TAIGA_TOKEN", default="")
TAIGA_USERNAME = env("TAIGA_USERNAME", default="")
TAIGA_PASSWORD = env("TAIGA_PASSWORD", default="")
INVOICE_NINJA_API = env("INVOICE_NINJA_API", default="")
INVOICE_NINJA_TOKEN = env("INVOICE_NINJA_TOKEN", default="")
WEBHOOK_SECRET = env("WEBHOOK_SECRET", default="")
ALLOW_HTTP_UPSTREAMS = env.bool("ALLOW_HTTP_UPSTREAMS", default=False)
BILLING_TIMEZONE = env("BILLING_TIMEZONE", default="Europe/Brussels")
SANDBOX_CLOCK_FILE = env("SANDBOX_CLOCK_FILE", default="")

# --- the fence around remote writes (design: A claim is fenced); seconds ----------------------------------------
_quick = ENVIRONMENT == "sandbox"
CALL_DEADLINE_SECONDS = env.float("CALL_DEADLINE_SECONDS", default=2.0 if _quick else 60.0)
LEASE_SECONDS = env.float("LEASE_SECONDS", default=7.0 if _quick else 300.0)
LOOK_UP_AFTER_SECONDS = env.float("LOOK_UP_AFTER_SECONDS", default=8.0 if _quick else 600.0)
RETRY_BASE_SECONDS = env.float("RETRY_BASE_SECONDS", default=1.0 if _quick else 30.0)
SEND_PROOF_SECONDS = env.float("SEND_PROOF_SECONDS", default=30.0 if _quick else 1800.0)
UPSTREAM_CALLS_AT_A_TIME = env.int("UPSTREAM_CALLS_AT_A_TIME", default=8)
BREAKER_FAILURES = env.int("BREAKER_FAILURES", default=5)
BREAKER_PROBE_SECONDS = env.float("BREAKER_PROBE_SECONDS", default=2.0 if _quick else 30.0)
THROTTLE_SECONDS = env.float("THROTTLE_SECONDS", default=1.0 if _quick else 60.0)
ALARM_AFTER_SECONDS = env.float("ALARM_AFTER_SECONDS", default=5.0 if _quick else 300.0)
REMINDER_GAP_DAYS = env.int("REMINDER_GAP_DAYS", default=7)
LATE_MAIL_DAYS = env.int("LATE_MAIL_DAYS", default=1)
KEEP_BODIES_DAYS = env.int("KEEP_BODIES_DAYS", default=365)
KEEP_CALLS_DAYS = env.int("KEEP_CALLS_DAYS", default=90)
KEEP_PDFS_DAYS = env.int("KEEP_PDFS_DAYS", default=0)
SILENT_PROJECT_DAYS = env.int("SILENT_PROJECT_DAYS", default=14)
EMAIL_TIMEOUT = 20  # seconds
TASK_NUMBER_PREFIX = env("TASK_NUMBER_PREFIX", default="TAIGA-")
SWEEP_SECONDS = env.float("SWEEP_SECONDS", default=3.0 if _quick else 300.0)
CENSUS_SECONDS = env.float("CENSUS_SECONDS", default=120.0 if _quick else 86400.0)
DOCTOR_SECONDS = env.float("DOCTOR_SECONDS", default=120.0 if _quick else 3600.0)
OUTAGE_SECONDS = env.float("OUTAGE_SECONDS", default=60.0 if _quick else 3600.0)
POLL_SECONDS = env.float("POLL_SECONDS", default=3.0 if _quick else 600.0)
RUN_WAIT_SECONDS = env.float("RUN_WAIT_SECONDS", default=60.0 if _quick else 900.0)
WAITING_COUNT_SECONDS = 30  # how old the numbers in the sidebar may be
TICK_SECONDS = env.float("TICK_SECONDS", default=2.0 if _quick else 60.0)
WEBHOOK_MAX_BYTES = 1024 * 1024

# --- Django -----------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.import_export",
    "unfold.contrib.simple_history",
    "billing_console.apps.ConsoleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "rest_framework",
    "import_export",
    "simple_history",
    "django_celery_beat",
    "billing_console",
    "accounts",
    "mappings",
    "sync",
    "invoicing",
]
MIDDLEWARE = [
    "billing_console.border.Border",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "billing_console.fit_only.FitOnly",
]
ROOT_URLCONF = "billing_console.urls"
WSGI_APPLICATION = "billing_console.wsgi.application"
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
            ]
        },
    }
]
APPEND_SLASH = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
# Wherever a password is typed: the forms, an administrator's reset and `createsuperuser`.
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

DATABASE_URL = env("DATABASE_URL", default="")
DATABASES = {"default": env.db_url_config(DATABASE_URL or "postgres:///billing_console")}
DATABASES["default"]["ENGINE"] = "django.db.backends.postgresql"
DATABASES["default"].setdefault("OPTIONS", {})
# Timeouts in milliseconds. READ COMMITTED, Django's and PostgreSQL's default: every rule is written for it.
DATABASES["default"]["OPTIONS"]["options"] = (
    "-c lock_timeout=10000 -c statement_timeout=60000 -c idle_in_transaction_session_timeout=60000"
)
# Who holds a connection: `restore` knows by it that the console still runs, and a person reads it in pg_stat_activity.
DATABASES["default"]["OPTIONS"]["application_name"] = f"billing-console {socket.gethostname()[:30]}:{os.getpid()}"
# A connection that broke is replaced before it is used: PostgreSQL may have been restarted.
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASE_POOL_SIZE = 10  # connections of one process: its threads, and some to spare
# Set for processes whose threads share it, never where a process forks. Without it Celery closes a thread's connection
# before and after each task, and every task pays for a new one.
if env.bool("DATABASE_POOL", default=False):
    import psycopg_pool as psycopg_pool  # now: when it is needed first there may be no descriptor to read it

    DATABASES["default"]["CONN_MAX_AGE"] = 0
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 1,
        "max_size": DATABASE_POOL_SIZE,
        "timeout": 10,
        # Its pauses between attempts double for so long; then the next request begins anew, without one. By itself it
        # would pause twice as long as PostgreSQL was away.
        "reconnect_timeout": 10,
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)
if test_name := env("TEST_DB_NAME", default=""):
    DATABASES["default"]["TEST"] = {"NAME": test_name}

REDIS_URL = env("REDIS_URL", default="")
CACHES = {
    "default": {
        "BACKEND": "billing_console.json_cache.JsonRedisCache",
        "LOCATION": REDIS_URL or "redis://127.0.0.1:6379/0",
        "OPTIONS": {"socket_timeout": 0.5, "socket_connect_timeout": 0.5},
    }
    if not DEBUG and ENVIRONMENT != "test" and REDIS_URL
    else {"BACKEND": "billing_console.json_cache.JsonLocMemCache"}
}

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1) if REDIS_URL else "memory://"
DOORBELL_ENABLED = bool(REDIS_URL)
# Whoever writes to the broker must not be able to send code: a bell is JSON, a name without anything else.
CELERY_ACCEPT_CONTENT = CELERY_RESULT_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = CELERY_EVENT_SERIALIZER = "json"
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULER = "sync.beat:SteadyScheduler"
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# A bell waits in the queue, not in a worker: one that stops has to finish only what it has begun.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "console"

LANGUAGE_CODE = "en-gb"
LOCALE_PATHS = [BASE_DIR / "locale"]
# Offered are English and what has a catalogue: a language without one is English with a few foreign words.
LANGUAGES = [
    (code, name)
    for code, name in [("en-gb", _("English")), ("fr", _("French")), ("nl", _("Dutch")), ("de", _("German"))]
    if code == LANGUAGE_CODE or (LOCALE_PATHS[0] / code / "LC_MESSAGES" / "django.mo").exists()
]
TIME_ZONE = BILLING_TIMEZONE
USE_TZ = True
USE_I18N = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "static_collected"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
}
SIMPLE_HISTORY_REVERT_DISABLED = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "class": "billing_console.log_lines.LineFormatter",
            "format": "{asctime} {levelname} {name} {message}",
            "style": "{",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"webhook": {"handlers": [], "level": "INFO"}, "django.request": {"level": "ERROR"}},
}
if LOG_DIR:
    LOGGING["handlers"]["webhook"] = {  # type: ignore[index]
        "class": "billing_console.log_lines.PrivateFileHandler",
        "delay": True,  # opened with the first line: a folder that cannot be made keeps nobody from starting
        "filename": str(Path(LOG_DIR) / "webhook.log"),
        "formatter": "line",
    }
    LOGGING["loggers"]["webhook"]["handlers"] = ["webhook"]  # type: ignore[index]

# --- the admin kit ----------------------------------------------------------------------------------------------
UNFOLD = {
    "SITE_TITLE": _("Billing console"),
    "SITE_HEADER": _("Billing console"),
    "SITE_SUBHEADER": _("Taiga → Invoice Ninja"),
    "SITE_SYMBOL": "receipt_long",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("console/favicon.svg")},
    ],
    "SHOW_LANGUAGES": len(LANGUAGES) > 1,
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": "billing_console.admin_base.environment_label",
    "ENVIRONMENT_TITLE_PREFIX": "billing_console.admin_base.environment_title_prefix",
    "DASHBOARD_CALLBACK": "invoicing.work_list.dashboard",
    "STYLES": [lambda request: static("console/console.css")],
    "SCRIPTS": [lambda request: static("console/console.js")],
    "COLORS": {
        "primary": {
            "50": "#effafa",
            "100": "#d5f1f1",
            "200": "#b0e2e3",
            "300": "#7ccdd0",
            "400": "#45b3b8",
            "500": "#1a979d",
            "600": "#0b7278",
            "700": "#0d5c61",
            "800": "#114b4f",
            "900": "#123f43",
            "950": "#04272a",
        }
    },
    "COMMAND": {"search_callback": "invoicing.search.find"},
    "SIDEBAR": {"show_search": False, "command_search": True, "navigation": "invoicing.navigation.sidebar"},
}
