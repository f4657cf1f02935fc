"""`/healthz`: this process lives. `/readyz`: it can do its work. Neither needs a login or tells a secret."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing_console import fitness
from billing_console.database_errors import ailment_of

REDIS_SECONDS = 0.5
_WRITE = """
    INSERT INTO sync_heartbeat (name, at, detail) VALUES ('ready', now(), '')
    ON CONFLICT (name) DO UPDATE SET at = now()
    WHERE sync_heartbeat.at NOT BETWEEN now() - interval '1 second' AND now()
"""


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 as long as this process answers at all; touches nothing else."""
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 if the database has this version's tables and stores a row, else 503; Redis and the clock decide nothing.

    Without Redis deliveries are still stored and beat finds them later, and with a wrong clock others work on them; so
    a balancer must not turn Taiga away: Taiga sends each delivery once.
    """
    parts = {"database": "ok", "migrations": "ok", "clock": "ok", "redis": state_of_redis()}
    try:
        look = fitness.look()
        parts["migrations"] = look.tables or "ok"
        parts["clock"] = "differs from PostgreSQL's: take the time of both from the network" if look.clock else "ok"
        if not look.tables:
            _write()
    except (DatabaseError, OSError) as error:  # OSError: no descriptor for a connection
        parts["database"] = getattr(error, "strerror", None) or ailment_of(error)
        parts["migrations"] = "unknown"
    is_ready = parts["database"] == parts["migrations"] == "ok"
    status = "ready" if is_ready and parts["clock"] == parts["redis"] == "ok" else "slow" if is_ready else "not ready"
    return JsonResponse({"status": status, **parts}, status=200 if is_ready else 503)


def _write() -> None:
    """Store one row, at most once a second: a database with a full disk still reads. Raises DatabaseError."""
    with connection.cursor() as cursor:
        cursor.execute(_WRITE)


def is_redis_open() -> bool:
    """Whether Redis lets in whoever reaches it: without a password, or on a socket that every user may open.

    False where it does not answer, and without a REDIS_URL.
    """
    parts = urlsplit(settings.REDIS_URL)
    if parts.scheme == "unix":
        socket = Path(unquote(parts.path))
        try:
            may_enter = all(folder.stat().st_mode & stat.S_IXOTH for folder in socket.parents)
            if not (may_enter and socket.stat().st_mode & stat.S_IWOTH):
                return False
        except OSError:
            return False
    open_url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    try:
        with redis.Redis.from_url(
            open_url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
        ) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError, ValueError):
        return False


def state_of_redis() -> str:
    """The word ok, or why Redis does not answer and what to check."""
    if not settings.REDIS_URL:
        return "not set: set REDIS_URL"
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
        ) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError):
        return "unreachable: check REDIS_URL and that Redis runs"
    return "ok"
