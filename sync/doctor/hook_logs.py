"""Taiga's own log of a webhook: did the delivery arrive, and if not, why? Pure."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from django.utils.translation import gettext as _

from billing_console.formats import moment
from sync.doctor.findings import ERROR, WARNING

ACCEPTED: Final = 202
QUOTED_LINES: Final = 3
_QUOTE: Final = 160


@dataclass(frozen=True)
class HookLog:
    """One attempt as Taiga logged it: `status` is 0 where nothing was sent or nothing answered."""

    status: int
    text: str
    at: dt.datetime


def judge_log(log: HookLog, url: str, project: str) -> tuple[str, str, str] | None:
    """Severity, code and sentence of a delivery that did not arrive; None for one that did."""
    if log.status == ACCEPTED:
        return None
    words = {"project": project, "host": host_of(url), "url": url, "status": log.status}
    severity = ERROR
    if log.status == 0:
        code, sentence = _unsent(log.text)
    elif 300 <= log.status < 400:
        code, sentence = (
            "hook_redirect",
            _(
                "%(url)s sends Taiga on to another address, which Taiga does not follow, so nothing of %(project)s "
                "arrives. Give the webhook the final address (https, no slash at the end)."
            ),
        )
    elif log.status == 403:
        severity, code, sentence = (
            WARNING,
            "hook_untested",
            _(
                "The last delivery of %(project)s was refused (403), but the key is right now. Click “Test webhook” in "
                "Taiga."
            ),
        )
    elif log.status in (400, 413):
        severity, code, sentence = (
            WARNING,
            "hook_refused",
            _(
                "The console could not read the last delivery of %(project)s (%(status)d). The sweep finds what it was "
                "about. Click “Test webhook” in Taiga."
            ),
        )
    elif log.status >= 500:
        severity, code, sentence = (
            WARNING,
            "hook_fault",
            _(
                "The console, or the proxy before it, answered %(status)d to the last delivery of %(project)s. Taiga "
                "sends only once; the sweep finds what was lost. Click “Test webhook” in Taiga."
            ),
        )
    else:
        code, sentence = (
            "hook_elsewhere",
            _(
                "Not the console answers under %(url)s (%(status)d instead of 202), so nothing of %(project)s arrives. "
                "Correct the address of the webhook, or the proxy."
            ),
        )
    return severity, code, sentence % words


def _unsent(text: str) -> tuple[str, str]:
    """Why Taiga sent nothing, by the words of its log."""
    if "Private IP Address not allowed" in text:
        return "hook_private", _(
            "Taiga sends nothing of %(project)s to %(host)s, because that is a private address. Set "
            "WEBHOOKS_ALLOW_PRIVATE_ADDRESS in Taiga, or give the webhook a public address."
        )
    if "Host access error" in text or "NameResolution" in text or "Name or service not known" in text:
        return "hook_unknown_host", _(
            "Taiga does not know the name %(host)s, so nothing of %(project)s arrives. Correct the address of the "
            "webhook, or the names that Taiga's machine knows."
        )
    if "SSL" in text or "certificate" in text.lower():
        return "hook_certificate", _(
            "Taiga does not accept the certificate of %(host)s, so nothing of %(project)s arrives. Use a certificate "
            "that its machine trusts."
        )
    return "hook_unreachable", _(
        "Taiga cannot reach %(host)s, so nothing of %(project)s arrives. Let its machine reach that address, or "
        "correct the webhook."
    )


def quote(logs: Sequence[HookLog], zone: str) -> tuple[str, ...]:
    """The last lines of Taiga's webhook log, newest first."""
    return tuple(f"{moment(log.at, zone)}  {log.status}  {_said(log.text)}" for log in logs[:QUOTED_LINES])


def _said(text: str) -> str:
    """What the receiver answered, out of the wrapping in which Taiga keeps it; on one line."""
    try:
        kept = json.loads(text)
    except ValueError:
        kept = text
    words = kept.get("content", text) if isinstance(kept, dict) else text
    return " ".join(str(words).split())[:_QUOTE]


def split_address(url: str) -> SplitResult:
    """The parts of an address as somebody typed it; all empty where it is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def host_of(url: str) -> str:
    """The host of an address, with its port."""
    return split_address(url).netloc
