"""System checks: production does not start with a missing secret, DEBUG, or money over plain http.

Each finding is one sentence with an id and a hint that says what to set. In the sandbox only the shape of
what is set is checked.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError, connections
from django.utils.translation import gettext as _

from billing_console.database_errors import reason_of
from billing_console.errors import ConfigError
from billing_console.fields import field_key
from billing_console.health import is_redis_open, state_of_redis
from billing_console.processes import WEB_WORKERS, WORKER_PROCESSES
from billing_console.tables import is_empty, missing_migrations
from sync import field_key as stored_texts
from sync.clients.http import check_base_url

ENVIRONMENTS = ("production", "sandbox")
# The values that the guide and .env.example print: known to everybody, so no secret.
EXAMPLE_VALUES = frozenset(
    {
        "your-taiga-auth-token",
        "your-invoiceninja-token",
        "your-secret-webhook-key",
        "your-secret-key",
        "sandbox-ninja-token",
        "sandbox-taiga-password",
        "sandbox-webhook-secret",
        "change-me",
        "changeme",
        "tests-only",
    }
)
MIN_SECRET_LENGTH = 16
MIN_FREE_BYTES: Final = 20 * 1024 * 1024
TAG = "console"
REDIS_CHECK: Final = "console.W003"
# Sessions beside web and worker: the worker's main thread, beat, and commands that a person runs.
OTHER_CONNECTIONS = 6


def register_checks() -> None:
    """Register all checks; called once, when the apps are ready. `check --tag console` runs ours alone."""
    of_settings = (check_environment, check_secrets, check_upstreams, check_services, check_addresses, check_env_file)
    for check in (*of_settings, check_log_folder):
        register(check, TAG)
    for check_server in (check_connections, check_tables, check_redis, check_field_key):
        register(check_server, TAG, Tags.database)


def _is_production() -> bool:
    return bool(settings.ENVIRONMENT != "sandbox")


def check_environment(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """ENVIRONMENT is one we know (console.E001), and production is not in debug mode (console.E002)."""
    found: list[CheckMessage] = []
    if settings.ENVIRONMENT not in ENVIRONMENTS:
        found.append(
            Error(
                _("ENVIRONMENT is “%(value)s”, which is neither production nor sandbox.")
                % {"value": settings.ENVIRONMENT},
                hint=_("Set ENVIRONMENT=production, or leave it out."),
                id="console.E001",
            )
        )
    if _is_production() and settings.DEBUG:
        found.append(
            Error(
                _("DEBUG is on in production: error pages would show settings and amounts to anybody."),
                hint=_("Remove DEBUG, or set DEBUG=false."),
                id="console.E002",
            )
        )
    return found


def check_secrets(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Every secret is there and is not an example's: console.E003 (missing), E004 (example), E005 (short),
    E006 (FIELD_KEY is no key)."""
    found: list[CheckMessage] = []
    if _is_production():
        if not settings.TAIGA_TOKEN and not (settings.TAIGA_USERNAME and settings.TAIGA_PASSWORD):
            found.append(_missing("TAIGA_TOKEN", _("or TAIGA_USERNAME and TAIGA_PASSWORD, ")))
        found += [_missing(name) for name in ("INVOICE_NINJA_TOKEN", "WEBHOOK_SECRET") if not getattr(settings, name)]
        for name in ("SECRET_KEY", "TAIGA_TOKEN", "TAIGA_PASSWORD", "INVOICE_NINJA_TOKEN", "WEBHOOK_SECRET"):
            if getattr(settings, name).strip().lower() in EXAMPLE_VALUES:
                found.append(
                    Error(
                        _("%(name)s still has the value of an example, which everybody knows.") % {"name": name},
                        hint=_("Set %(name)s, or %(name)s_FILE, to a value of your own.") % {"name": name},
                        id="console.E004",
                    )
                )
        for name in ("SECRET_KEY", "WEBHOOK_SECRET"):
            if 0 < len(getattr(settings, name)) < MIN_SECRET_LENGTH:
                found.append(
                    Error(
                        _("%(name)s is shorter than %(length)d characters and could be guessed.")
                        % {"name": name, "length": MIN_SECRET_LENGTH},
                        hint=_("Make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"),
                        id="console.E005",
                    )
                )
    try:
        Fernet(field_key() or Fernet.generate_key())  # a missing one is made by `prepare`, or missed by check_field_key
    except ValueError:
        found.append(
            Error(
                _("FIELD_KEY is not a key: 32 bytes in URL-safe base64 are needed."),
                hint=_("Leave it out, so that one is made in var/field_key; keep the old one if texts use it."),
                id="console.E006",
            )
        )
    return found


def _missing(name: str, alternative: str = "") -> Error:
    return Error(
        _("%(name)s is not set, and the console cannot work without it.") % {"name": name},
        hint=_("Set %(name)s, %(alternative)sor %(name)s_FILE with the path of a file that holds it.")
        % {"name": name, "alternative": alternative},
        id="console.E003",
    )


def check_upstreams(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Both servers have an address (console.E007), and a public one has https (console.E008)."""
    found: list[CheckMessage] = []
    for name in ("TAIGA_API", "INVOICE_NINJA_API"):
        address = getattr(settings, name)
        if not address:
            if _is_production():
                found.append(
                    Error(
                        _("%(name)s is not set, so the console knows no server to talk to.") % {"name": name},
                        hint=_("Set %(name)s to its address, for example https://example.org/api/v1.") % {"name": name},
                        id="console.E007",
                    )
                )
            continue
        try:
            check_base_url(address, allow_http=settings.ALLOW_HTTP_UPSTREAMS)
        except ConfigError as error:
            found.append(
                Error(
                    f"{name}: {error.sentence}",
                    hint=_("ALLOW_HTTP_UPSTREAMS=true permits http to this machine and private networks only."),
                    id="console.E008",
                )
            )
    return found


def check_services(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Production names its PostgreSQL and its Redis (console.E009)."""
    if not _is_production():
        return []
    return [
        Error(
            _("%(name)s is not set; production needs a %(server)s of its own.") % {"name": name, "server": server},
            hint=_("Set %(name)s, or ENVIRONMENT=sandbox for a trial that brings its own.") % {"name": name},
            id="console.E009",
        )
        for name, server in (("DATABASE_URL", "PostgreSQL"), ("REDIS_URL", "Redis"))
        if not getattr(settings, name)
    ]


def check_addresses(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """PUBLIC_URL is an address (console.E010) and has https where it is public (console.W001)."""
    parts = urlsplit(settings.PUBLIC_URL)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return [
            Error(
                _("PUBLIC_URL is not an address that begins with http:// or https://."),
                hint=_("Set it to where people and Taiga reach the console: https://billing.example.org."),
                id="console.E010",
            )
        ]
    if _is_production() and parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        return [
            Warning(
                _("PUBLIC_URL has plain http: passwords and sessions can be read on the way."),
                hint=_("Put the console behind a proxy with https and set PUBLIC_URL to that address."),
                id="console.W001",
            )
        ]
    return []


def check_log_folder(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """LOG_DIR can be written to, and its disk has space (console.W007).

    A warning: what cannot be written there goes to stderr, and decides nothing.
    """
    if not settings.LOG_DIR:
        return []
    try:
        folder = Path(settings.LOG_DIR)
        folder.mkdir(parents=True, exist_ok=True)
        why = "" if os.access(folder, os.W_OK | os.X_OK) else _("no right to write")
        if shutil.disk_usage(folder).free < MIN_FREE_BYTES:
            why = _("its disk is full")
    except OSError as error:
        why = error.strerror or str(error)
    if not why:
        return []
    return [
        Warning(
            _("LOG_DIR (%(folder)s) cannot be written to: %(why)s. Its lines go to stderr meanwhile.")
            % {"folder": settings.LOG_DIR, "why": why},
            hint=_("Make space there, give the console's user the right to write, or set another LOG_DIR."),
            id="console.W007",
        )
    ]


def check_connections(
    app_configs: Sequence[AppConfig] | None = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """All our processes' sessions together fit into PostgreSQL's max_connections (console.E011)."""
    if not databases:
        return []
    needed = (WEB_WORKERS + WORKER_PROCESSES) * settings.DATABASE_POOL_SIZE + OTHER_CONNECTIONS
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('max_connections')::int"
                " - current_setting('superuser_reserved_connections')::int"
            )
            allowed = int(cursor.fetchone()[0])
    except DatabaseError as error:
        return [
            Error(
                _("The database cannot be reached: %(error)s") % {"error": reason_of(error)},
                hint=_("Check DATABASE_URL and that PostgreSQL runs."),
                id="console.E012",
            )
        ]
    if needed <= allowed:
        return []
    return [
        Error(
            _("PostgreSQL allows %(allowed)d connections, and the console needs up to %(needed)d.")
            % {"allowed": allowed, "needed": needed},
            hint=_("Raise max_connections in postgresql.conf and restart PostgreSQL."),
            id="console.E011",
        )
    ]


def check_tables(
    app_configs: Sequence[AppConfig] | None = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """The database has its tables, in the form of this version (console.W002).

    A warning: an error would keep `migrate` from making them. A database that cannot be reached is console.E012.
    """
    if not databases:
        return []
    try:
        missing, has_nothing = missing_migrations(), is_empty()
    except DatabaseError:
        return []
    if not missing:
        return []
    return [
        Warning(
            _("The database is empty: it has no tables yet.")
            if has_nothing
            else _("The database lacks %(count)d migrations of this version, the first is %(first)s.")
            % {"count": len(missing), "first": missing[0]},
            hint=_("Run `manage.py prepare`; starting the console does it too."),
            id="console.W002",
        )
    ]


def check_redis(
    app_configs: Sequence[AppConfig] | None = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Redis answers (console.W003). Asked, as the database is, only by `check --database default`.

    A warning: without Redis deliveries are stored all the same, and tables can be made.
    """
    if not databases or not settings.REDIS_URL:
        return []
    if (state := state_of_redis()) == "ok":
        return _check_password_of_redis()
    return [
        Warning(
            _("Redis is %(state)s. Until then the worker is not called, and everything waits.") % {"state": state},
            hint=_("Set REDIS_URL to a Redis that runs, for example redis://127.0.0.1:6379/0."),
            id=REDIS_CHECK,
        )
    ]


def _check_password_of_redis() -> list[CheckMessage]:
    """Nobody else writes to the Redis (console.W004)."""
    if not is_redis_open():
        return []
    return [
        Warning(
            _("Redis lets in everybody who reaches it: others can empty the queue."),
            hint=_(
                "Set a password (requirepass) in redis.conf and write it into REDIS_URL: redis://:PASSWORD@host:6379/0."
            ),
            id="console.W004",
        )
    ]


def check_field_key(
    app_configs: Sequence[AppConfig] | None = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Every encrypted text can be read (console.W005).

    A warning: an error would keep the console from starting, and only who needs such a text is to fail.
    """
    if not databases:
        return []
    try:
        problem = stored_texts.problem()
    except DatabaseError:
        return []  # no tables yet: console.W002
    return [Warning(problem, id="console.W005")] if problem else []


def check_env_file(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """The file with the tokens is readable for nobody else (console.W006)."""
    path = Path(settings.ENV_FILE) if settings.ENV_FILE else None
    if not _is_production() or path is None or not path.is_file() or not path.stat().st_mode & 0o077:
        return []
    return [
        Warning(
            _("%(path)s can be read by other users of this machine, and it holds the tokens.") % {"path": path},
            hint=_("Run: chmod 600 %(path)s") % {"path": path},
            id="console.W006",
        )
    ]
