"""The doors that both servers knock at. Nothing a sender can post gives a 500; nothing is called from here."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import uuid
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.utils.translation import gettext as _
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from billing_console import fitness
from billing_console.database_errors import ailment_of
from billing_console.fields import UnreadableSecret
from mappings.models import ProjectMapping
from sync import doorbell, ingest, signature
from sync.payloads import MalformedPayload, read_delivery
from sync.texts import clean_line

webhook_log = logging.getLogger("webhook")
logger = logging.getLogger(__name__)

_KEPT_HEADERS: Final = ("User-Agent", "Content-Type", "Content-Length")
_LINE_LENGTH: Final = 120
_LOOK_SECONDS: Final = 1.0  # many deliveries come at once; whether somebody changes the tables is asked once for them
MOST_FORWARDED: Final = 500  # characters of X-Forwarded-For from its end: a dozen proxies


class AnyAccept(BaseContentNegotiation):
    """The answer is JSON whatever the sender says it accepts: a 406 would lose the delivery."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        """No parser: the raw bytes are what was signed."""
        return None

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        """The first renderer, always."""
        return renderers[0], renderers[0].media_type


class TaigaWebhookView(APIView):
    """Takes a delivery of Taiga: method, size, signature, JSON, in this order; stores it and answers 202.

    `hook` is the uuid of a project mapping, whose own key (or the previous one, while it is changed) signs; without
    it WEBHOOK_SECRET does. Taiga waits in its user's save and never retries, so nothing here waits for anybody.
    """

    http_method_names = ("post",)
    content_negotiation_class = AnyAccept
    schema = None

    def post(self, request: Request, hook: uuid.UUID | None = None) -> HttpResponse:
        """Store the delivery; 413, 403 or 400 with one sentence otherwise, 503 while nothing can be stored."""
        plain = request._request
        address = sender_address(plain)
        try:
            raw = _read_body(plain)
            if raw is None:
                return _refuse(address, 413, "too_large", _("The delivery is larger than 1 MiB."))
            if why := fitness.look(at_most_old=_LOOK_SECONDS).tables:
                return _refuse(address, 503, "tables", why, is_counted=False)
            mapping = _mapping_of(hook)
            keys = _keys(hook, mapping)
            readable = [key for key in keys if isinstance(key, str)]
            if not signature.verify(raw, plain.headers, readable):
                if len(readable) < len(keys):
                    return _refuse(address, 503, "field_key", _("The key of this webhook cannot be read here for now."))
                return _refuse(address, 403, "signature", _("The signature is missing or wrong. Check the key."))
            try:
                delivery = read_delivery(raw)
            except MalformedPayload as malformed:
                return _refuse(address, 400, "malformed", malformed.sentence)
            kept = {name: clean_line(plain.headers[name], 255) for name in _KEPT_HEADERS if name in plain.headers}
            received = ingest.receive(raw, delivery, headers=kept, address=address, mapping=mapping)
        except UnreadablePostError:
            return _refuse(address, 400, "broken_off", _("The delivery broke off."), is_counted=False)
        except DatabaseError as error:
            logger.exception("a delivery could not be stored")
            sentence = _("The delivery could not be stored. The database: %(why)s.") % {"why": ailment_of(error)}
            return _refuse(address, 503, "database", sentence, is_counted=False)
        except (OSError, MemoryError) as error:
            logger.exception("a delivery could not be stored")
            sentence = _("The delivery could not be stored: this machine has nothing left for it (%(why)s).")
            why = getattr(error, "strerror", None) or _("out of memory")
            return _refuse(address, 503, "exhausted", sentence % {"why": why}, is_counted=False)
        webhook_log.info(
            "202 %s%s %s %s #%s %s project %s by %s from %s %s bytes %s",
            received.verdict,
            " duplicate" if received.is_duplicate else "",
            clean_line(delivery.type, 40) or "-",
            clean_line(delivery.action, 20) or "-",
            delivery.item_ref or "-",
            clean_line(delivery.subject, _LINE_LENGTH) or "-",
            delivery.project_id or "-",
            clean_line(delivery.by_username, _LINE_LENGTH) or "-",
            address or "-",
            len(raw),
            received.uuid,
        )
        return JsonResponse({"status": "accepted"}, status=202)


class InvoiceNinjaWebhookView(APIView):
    """Takes a notice of Invoice Ninja and only rings: what is true is polled.

    Every method and every secret is answered 204: on 404, 405 or 410 Invoice Ninja would delete its hook for ever.
    """

    schema = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Ring for payments where the secret is right."""
        given = str(kwargs.get("secret", ""))
        if hmac.compare_digest(given.encode("utf-8", "surrogatepass"), ninja_hook_secret().encode()):
            doorbell.ring("payments")
            webhook_log.info("204 invoice_ninja from %s", sender_address(request) or "-")
        return HttpResponse(status=204)


def ninja_hook_secret() -> str:
    """The last part of the address that Invoice Ninja is given; made from WEBHOOK_SECRET, which it does not tell."""
    key = settings.WEBHOOK_SECRET.encode("utf-8", "surrogatepass")
    return hmac.new(key, b"invoice-ninja-hook", hashlib.sha256).hexdigest()[:32]


def sender_address(request: HttpRequest) -> str | None:
    """The address that sent the request; behind proxies of ours (TRUSTED_PROXIES), the one that the first of them saw.

    Each proxy writes whom it saw at the end of X-Forwarded-For; what stands before the first one that is not ours is
    the sender's to invent.
    """
    peer = _as_address(request.META.get("REMOTE_ADDR", ""))
    entries = request.headers.get("X-Forwarded-For", "")[-MOST_FORWARDED:].split(",")
    while entries and (peer is None or _is_trusted(peer)):
        seen = _as_address(entries.pop())
        if seen is None:
            break
        peer = seen
    return str(peer) if peer is not None else None


def _is_trusted(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return any(address in network for network in settings.TRUSTED_PROXIES if network.version == address.version)


def _as_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _read_body(request: HttpRequest) -> bytes | None:
    """The raw body, None when it is too large: then not more than the limit was read."""
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if not (declared.isascii() and declared.isdigit()) or len(declared) > 12:
        return b""
    if int(declared) > settings.WEBHOOK_MAX_BYTES:
        return None
    raw = request.read(settings.WEBHOOK_MAX_BYTES + 1)
    return raw if len(raw) <= settings.WEBHOOK_MAX_BYTES else None


def _mapping_of(hook: uuid.UUID | None) -> ProjectMapping | None:
    return ProjectMapping.objects.filter(uuid=hook).first() if hook is not None else None


def _keys(hook: uuid.UUID | None, mapping: ProjectMapping | None) -> list[str | UnreadableSecret]:
    if hook is None:
        return [settings.WEBHOOK_SECRET]
    return [mapping.webhook_key or "", mapping.previous_webhook_key or ""] if mapping is not None else []


def _refuse(address: str | None, status: int, reason: str, sentence: str, *, is_counted: bool = True) -> HttpResponse:
    webhook_log.info("%s %s from %s", status, reason, address or "-")
    if is_counted:
        try:
            ingest.count_rejected(address, reason)
        except DatabaseError:
            logger.exception("a refused delivery could not be counted")
    return JsonResponse({"error": sentence}, status=status)
