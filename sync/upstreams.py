"""The clients of both servers as this installation uses them: addresses, logins, journal, and which server it is.

Invoice Ninja's ids are the same strings on every install, so the server behind an address is pinned at first contact:
nothing is written when its identity changes until an administrator confirms the new one (design: The right server).
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import uuid
from typing import TYPE_CHECKING, Any, Final

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console import settings_prints
from billing_console.errors import ConfigError, NotAllowed
from billing_console.fields import cipher
from sync.clients.deadline import DeadlineAdapter
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.taiga import TaigaClient
from sync.clients.taiga_auth import Authorization, authorization_value, fixed_authorization
from sync.leases import Fence
from sync.models import Server, UpstreamPin
from sync.slots import Line

if TYPE_CHECKING:
    from accounts.models import User

logger = logging.getLogger(__name__)

CHECK_AGAIN_AFTER: Final = dt.timedelta(minutes=10)
_TOKEN_CACHE_SECONDS: Final = 20 * 3600  # Taiga's tokens end after 24 hours

_logins: dict[tuple[str, str], SharedLogin] = {}
_logins_lock = threading.Lock()


class _Kept(threading.local):
    """The connections of this thread: the next entry goes out on those of the last, without another handshake."""

    def __init__(self) -> None:
        self._adapters: dict[str, DeadlineAdapter] = {}

    def adapter_of(self, server: str) -> DeadlineAdapter:
        if server not in self._adapters:
            self._adapters[server] = DeadlineAdapter()
        return self._adapters[server]


_kept = _Kept()


def taiga_client(
    *,
    item_id: int | None = None,
    correlation_id: uuid.UUID | None = None,
    attempt: int = 1,
    fence: Fence | None = None,
) -> TaigaClient:
    """A client for Taiga, for one thread; its calls are journaled with `item_id`, `correlation_id` and `attempt`.

    With a `fence` they are made under that claim, and raise ClaimLost once its lease is over. Raises ConfigError when
    the address or the login is missing, or is not that of the server that our ids belong to (`check_pin`).
    """
    _insist_on_ours(Server.TAIGA)
    return _taiga(item_id=item_id, correlation_id=correlation_id, attempt=attempt, fence=fence)


def _taiga(**about: Any) -> TaigaClient:
    line = Line(Server.TAIGA, **about)
    return TaigaClient(
        _required("TAIGA_API"),
        authorization=_taiga_authorization(),
        deadline_seconds=settings.CALL_DEADLINE_SECONDS,
        journal=line.journal,
        limit=line.limit,
        before_write=line.before_write,
        allow_http=settings.ALLOW_HTTP_UPSTREAMS,
        adapter=_kept.adapter_of(Server.TAIGA),
    )


def ninja_client(
    *,
    item_id: int | None = None,
    correlation_id: uuid.UUID | None = None,
    attempt: int = 1,
    fence: Fence | None = None,
) -> InvoiceNinjaClient:
    """A client for Invoice Ninja, for one thread; its calls are journaled with `item_id`, `correlation_id`, `attempt`.

    With a `fence` they are made under that claim, and raise ClaimLost once its lease is over. Raises ConfigError when
    the address or the token is missing, or is not that of the server that our ids belong to (`check_pin`).
    """
    _insist_on_ours(Server.NINJA)
    return _ninja(item_id=item_id, correlation_id=correlation_id, attempt=attempt, fence=fence)


def _ninja(**about: Any) -> InvoiceNinjaClient:
    line = Line(Server.NINJA, **about)
    return InvoiceNinjaClient(
        _required("INVOICE_NINJA_API"),
        _required("INVOICE_NINJA_TOKEN"),
        deadline_seconds=settings.CALL_DEADLINE_SECONDS,
        journal=line.journal,
        limit=line.limit,
        before_write=line.before_write,
        allow_http=settings.ALLOW_HTTP_UPSTREAMS,
        adapter=_kept.adapter_of(Server.NINJA),
    )


def _required(name: str) -> str:
    value: str = getattr(settings, name)
    if not value:
        raise ConfigError(_("%(name)s is not set. Set it and start the console again.") % {"name": name})
    return value


# --- logging in at Taiga --------------------------------------------------------------------------------------------


def _taiga_authorization() -> Authorization:
    if settings.TAIGA_TOKEN:
        return fixed_authorization(settings.TAIGA_TOKEN)
    if not settings.TAIGA_USERNAME or not settings.TAIGA_PASSWORD:
        raise ConfigError(_("Set TAIGA_TOKEN, or TAIGA_USERNAME and TAIGA_PASSWORD, and start the console again."))
    key = (_required("TAIGA_API"), settings.TAIGA_USERNAME)
    with _logins_lock:
        if key not in _logins:
            _logins[key] = SharedLogin(*key)
        return _logins[key]


class SharedLogin:
    """Authorization by user and password, shared by all processes through the cache (encrypted there).

    Logs in when there is no token and after one was refused, once for all threads of a process. A cache that is down
    costs one login per process, nothing else.
    """

    def __init__(self, base_url: str, username: str) -> None:
        self._key = f"taiga-login:{base_url}:{username}"
        self._lock = threading.Lock()
        self._value = ""

    def __call__(self, refused: str | None) -> str:
        with self._lock:
            if not self._value or self._value == refused:
                shared = self._read()
                self._value = shared if shared and shared != refused else self._log_in()
            return self._value

    def _log_in(self) -> str:
        line = Line(Server.TAIGA)
        client = TaigaClient(
            settings.TAIGA_API,
            deadline_seconds=settings.CALL_DEADLINE_SECONDS,
            journal=line.journal,
            limit=line.limit,
            allow_http=settings.ALLOW_HTTP_UPSTREAMS,
            adapter=_kept.adapter_of(Server.TAIGA),
        )
        session = client.log_in(settings.TAIGA_USERNAME, settings.TAIGA_PASSWORD)
        value = authorization_value(session.auth_token)
        try:
            cache.set(self._key, cipher().encrypt(value.encode()).decode(), _TOKEN_CACHE_SECONDS)
        except Exception as error:  # noqa: BLE001 -- every cache backend raises its own: the token is used all the same
            logger.warning("the login at Taiga could not be shared: %s", error)
        return value

    def _read(self) -> str:
        try:
            stored = cache.get(self._key)
            return cipher().decrypt(stored).decode() if stored else ""
        except InvalidToken:
            return ""  # another FIELD_KEY encrypted it: a new login replaces it
        except Exception as error:  # noqa: BLE001 -- every cache backend raises its own: we log in for ourselves
            logger.warning("the shared login at Taiga could not be read: %s", error)
            return ""


# --- which server it is -----------------------------------------------------------------------------------------------


def check_pin(server: str) -> UpstreamPin:
    """Make sure that `server` is the one our ids belong to; pins it at first contact. Call before a write.

    Asks the server who it is at first, when its address or our login is another one than was checked last (by whatever
    process), and every ten minutes (real time). Raises ConfigError while writing is paused, or when another server
    answers; UpstreamError when nobody does.
    """
    pin = UpstreamPin.objects.filter(server=server).first()
    base_url = _base_url(server)
    is_due = (
        pin is None
        or pin.base_url != base_url
        or pin.checked_with != _login_print(server, base_url)
        or pin.checked_at is None
        or pin.checked_at < timezone.now() - CHECK_AGAIN_AFTER
    )
    if is_due:
        pin = _compare(server, base_url, _identity(server))
    if pin is None or pin.is_paused:
        raise ConfigError(pin.pause_reason if pin else None)
    return pin


def _insist_on_ours(server: str) -> None:
    """Read nothing from another server either: its items bear the same ids. One query where nothing is odd.

    Raises as `check_pin`, which asks the server only where this process was started with another address or login than
    was asked with last, or where another server answered.
    """
    pin = UpstreamPin.objects.filter(server=server).first()
    if pin is None or not pin.checked_with:
        return
    is_other = pin.checked_with != _login_print(server, _base_url(server))
    if is_other or (pin.is_paused and pin.seen_identity):
        check_pin(server)


def confirm_pin(pin: UpstreamPin, *, user: User, note: str) -> None:
    """An administrator says that the server that was seen last is the right one; writing goes on. Calls nobody.

    Raises NotAllowed when no other server was seen (any more).
    """
    with transaction.atomic():
        row = UpstreamPin.objects.select_for_update().get(pk=pin.pk)
        if not row.is_paused or not row.seen_identity:
            raise NotAllowed(_("No other server answers under this address any more; nothing is to be confirmed."))
        row.base_url, row.identity = row.seen_base_url or row.base_url, row.seen_identity
        row.seen_base_url = row.seen_identity = row.pause_reason = ""
        row.is_paused, row.checked_at = False, None  # asked again before the next write
        row.save()
    logger.warning("%s confirmed %s at %s as the right server: %s", user, row.server, row.base_url, note)


def service_user_id() -> int | None:
    """The Taiga id of the user we write as; None before the first contact, when nothing was written yet."""
    identity = UpstreamPin.objects.filter(server=Server.TAIGA).values_list("identity", flat=True).first()
    return int(identity) if identity else None


def _base_url(server: str) -> str:
    return _required("TAIGA_API" if server == Server.TAIGA else "INVOICE_NINJA_API").strip().rstrip("/")


def _login_print(server: str, base_url: str) -> str:
    """A keyed hash of where and as whom this process writes; another process may have been started otherwise."""
    logins = {
        Server.TAIGA: (settings.TAIGA_TOKEN, settings.TAIGA_USERNAME, settings.TAIGA_PASSWORD),
        Server.NINJA: (settings.INVOICE_NINJA_TOKEN,),
    }
    return settings_prints.keyed(server, base_url, *logins[Server(server)])


def _identity(server: str) -> str:
    if server == Server.TAIGA:
        return str(_taiga().me().id)
    return _ninja().company().company_key


def _compare(server: str, base_url: str, identity: str) -> UpstreamPin:
    with transaction.atomic():
        pin, is_new = UpstreamPin.objects.select_for_update().get_or_create(
            server=server, defaults={"base_url": base_url, "identity": identity}
        )
        if is_new or (pin.base_url == base_url and pin.identity == identity):
            if pin.seen_identity:  # it was paused because another server answered, and the right one is back
                pin.is_paused, pin.pause_reason = False, ""
            pin.seen_base_url = pin.seen_identity = ""
        else:
            pin.seen_base_url, pin.seen_identity, pin.is_paused = base_url, identity, True
            pin.pause_reason = _(
                "Another %(server)s answers at %(address)s than the one the console was set up with. Nothing is "
                "written until an administrator confirms the new server, or the address is corrected."
            ) % {"server": Server(server).label, "address": base_url}
        pin.checked_at, pin.checked_with = timezone.now(), _login_print(server, base_url)
        pin.save()
    return pin
