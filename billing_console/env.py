"""Reading the environment: every variable also as NAME_FILE, and secrets that make themselves once."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Final

# Every variable that an installation may set; .env.example explains each.
VARIABLES: Final = (
    "ALARM_AFTER_SECONDS",
    "ALERT_EMAILS",
    "ALLOWED_HOSTS",
    "ALLOW_HTTP_UPSTREAMS",
    "BILLING_TIMEZONE",
    "BREAKER_FAILURES",
    "BREAKER_PROBE_SECONDS",
    "CALL_DEADLINE_SECONDS",
    "CENSUS_SECONDS",
    "DOCTOR_SECONDS",
    "CONN_MAX_AGE",
    "CSRF_TRUSTED_ORIGINS",
    "DATABASE_POOL",
    "DATABASE_URL",
    "DEBUG",
    "EMAIL_URL",
    "ENVIRONMENT",
    "FIELD_KEY",
    "INVOICE_NINJA_API",
    "INVOICE_NINJA_TOKEN",
    "KEEP_BODIES_DAYS",
    "KEEP_CALLS_DAYS",
    "KEEP_PDFS_DAYS",
    "LATE_MAIL_DAYS",
    "LEASE_SECONDS",
    "LOG_DIR",
    "LOOK_UP_AFTER_SECONDS",
    "OUTAGE_SECONDS",
    "POLL_SECONDS",
    "PORT",
    "PUBLIC_URL",
    "REDIS_URL",
    "RETRY_BASE_SECONDS",
    "RUN_WAIT_SECONDS",
    "SANDBOX_CLOCK_FILE",
    "SECRET_KEY",
    "SEND_PROOF_SECONDS",
    "SILENT_PROJECT_DAYS",
    "REMINDER_GAP_DAYS",
    "SWEEP_SECONDS",
    "TAIGA_API",
    "TAIGA_PASSWORD",
    "TAIGA_TOKEN",
    "TAIGA_USERNAME",
    "TASK_NUMBER_PREFIX",
    "THROTTLE_SECONDS",
    "TICK_SECONDS",
    "TRUSTED_PROXIES",
    "UPSTREAM_CALLS_AT_A_TIME",
    "VAR_DIR",
    "WEBHOOK_SECRET",
)


class UnreadableSetting(Exception):
    """A variable that cannot be read; the text is one plain sentence."""


class UnreadableSecretFile(UnreadableSetting):
    """A NAME_FILE names a file that cannot be read; the text is one plain sentence."""


def load_secret_files(environ: MutableMapping[str, str] = os.environ) -> None:
    """For each of our variables with a NAME_FILE, set NAME to that file's content, unless NAME is set itself.

    Only our own names: others, such as SSL_CERT_FILE, mean something else. Raises UnreadableSecretFile.
    """
    for name in VARIABLES:
        path = environ.get(f"{name}_FILE", "")
        if path and not environ.get(name):
            try:
                environ[name] = Path(path).read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise UnreadableSecretFile(
                    f"{name}_FILE names {path}, which cannot be read ({error}). Correct it, or set {name} itself."
                ) from error


def digest_of(path: Path) -> str:
    """The sha256 of a file; "" where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def kept_secret(path: Path) -> str:
    """The secret in `path`; "" while there is none. Raises OSError where it may not be read."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


class UnreadableNetwork(UnreadableSetting):
    """TRUSTED_PROXIES names what is no address and no network; the text is one plain sentence."""


def networks_of(names: Iterable[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The networks of a list of addresses and networks. Raises UnreadableNetwork."""
    found = []
    for name in names:
        try:
            found.append(ipaddress.ip_network(name.strip(), strict=False))
        except ValueError:
            sentence = (
                "TRUSTED_PROXIES names {}, which is neither an address nor a network such as 10.0.0.0/8. Correct it."
            )
            raise UnreadableNetwork(sentence.format(name)) from None
    return found


def make_once(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(48)) -> str:
    """The secret in `path`; made and kept there with mode 0600 when it is not there yet.

    Several processes may call it at once for the first time: all get the same secret, never half of one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(make())
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(unfinished, path)  # fails, unlike a rename, if another process was first
        finally:
            os.unlink(unfinished)
    return path.read_text().strip()
