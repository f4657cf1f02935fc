"""What may stand in an address or a header that we are given: refused before the first call, never quoted back."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from billing_console.errors import ConfigError

_PRIVATE_SUFFIXES: Final = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


def check_base_url(base_url: str, *, allow_http: bool) -> str:
    """Return the address without its trailing slash.

    Raises ConfigError unless it is https, or http with `allow_http` to a loopback or private host.
    """
    parts = urlsplit(base_url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(_("The address of a server must begin with https:// and name a host. Correct it."))
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(_("The address of a server must hold no password, ? or #. Remove that part."))
    if parts.scheme == "http" and not (allow_http and _is_private(parts.hostname)):
        raise ConfigError(
            _("%(host)s has plain http. Use https, or set ALLOW_HTTP_UPSTREAMS if its address is private.")
            % {"host": parts.hostname}
        )
    return base_url.strip().rstrip("/")


def _is_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # A name without a dot is a neighbour in a container network.
        return "." not in host or host.endswith(_PRIVATE_SUFFIXES)
    return address.is_loopback or address.is_private


def check_header(name: str, value: str) -> None:
    """Raise ConfigError for a header value that cannot be sent; the sentence does not quote it."""
    if not value.isascii() or not value.isprintable() or not value.strip():
        raise ConfigError(
            _("The value for %(name)s is empty or holds a character that cannot be sent. Enter it again.")
            % {"name": name}
        )
