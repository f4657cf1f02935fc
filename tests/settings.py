"""Settings for the tests: the real ones, quick fences, a loud environment."""

from __future__ import annotations

import os

os.environ.setdefault("ENVIRONMENT", "sandbox")
os.environ.setdefault("SECRET_KEY", "tests-only")
os.environ.setdefault("FIELD_KEY", "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=")
os.environ.setdefault("WEBHOOK_SECRET", "tests-webhook-secret")
os.environ.setdefault("ALLOW_HTTP_UPSTREAMS", "true")

from billing_console.settings import *  # noqa: E402, F403

CACHES = {"default": {"BACKEND": "billing_console.json_cache.JsonLocMemCache"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
CELERY_TASK_ALWAYS_EAGER = False
CELERY_BROKER_URL = "memory://"
SANDBOX_CLOCK_FILE = ""
DOORBELL_ENABLED = False
# A session may take longer than a sandbox's pauses: rows that were made at its beginning are not to be old at its end.
CENSUS_SECONDS, OUTAGE_SECONDS = 86400.0, 3600.0
WAITING_COUNT_SECONDS = 0  # every page counts anew, so that its queries are the same each time
# WhiteNoise would walk every collected file again for every client that a test makes.
STATIC_ROOT = None  # type: ignore[assignment]
