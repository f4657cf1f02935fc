"""The way to the two servers: address, login and its end, clock, version, Invoice Ninja's own health. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from billing_console.errors import UPSTREAM_NAMES
from billing_console.formats import moment
from sync import tokens
from sync.doctor.findings import CONSOLE, NINJA, Finding, Place, error, ok, warning
from sync.doctor.hook_rules import is_private

TESTED_NINJA: Final = (5, 10)
MISCOUNTS_SINCE: Final = (5, 10, 42)
TESTED_TAIGA: Final = "6.10"
SKEW_WARNING, SKEW_ERROR = dt.timedelta(seconds=60), dt.timedelta(minutes=10)
# Laravel's mailers that mail nobody.
SILENT_MAILERS: Final = frozenset({"log", "array", "null"})
_CALLS: Final = Place(CONSOLE, "admin:sync_upstreamcall_changelist")
_GATES: Final = Place(CONSOLE, "admin:sync_upstreamgate_changelist")
_HEALTH: Final = Place(NINJA, "#/settings/account_management")
_TOKENS: Final = Place(NINJA, "#/settings/integrations/api_tokens")


@dataclass(frozen=True)
class ServerFacts:
    """One server. `failure` is the sentence of the error that our login or first call ended with, "" for none.

    `skew` is its clock minus ours, None where it named no time. `who` is our user there. Pauses and the breaker are
    alarms and gates of their own and not said here again.
    """

    server: str
    address: str
    is_production: bool
    failure: str = ""
    who: str = ""
    skew: dt.timedelta | None = None


@dataclass(frozen=True)
class NinjaHealth:
    """What Invoice Ninja says of itself; `health_check` is hidden on hosted ones (`is_told` False)."""

    version: str
    is_admin: bool = True
    is_told: bool = True
    is_well: bool = True
    mailer: str = ""
    has_pending_migrations: bool = False
    queue_error: str = ""


def judge_server(facts: ServerFacts) -> list[Finding]:
    """What holds for both: reached, addressed safely, the same time of day."""
    words: dict[str, object] = {"server": UPSTREAM_NAMES[facts.server], "address": facts.address, "who": facts.who}
    found: list[Finding] = []
    if facts.failure:
        found.append(error("login", facts.failure, _CALLS))
    elif facts.server == NINJA:
        found.append(ok("login", _("Invoice Ninja answers at %(address)s; our token belongs to %(who)s.") % words))
    else:
        words["tested"] = TESTED_TAIGA
        sentence = _(
            "Taiga answers at %(address)s; our user there is %(who)s. It does not tell its version; the console was "
            "tested with %(tested)s."
        )
        found.append(ok("login", sentence % words))
    if facts.is_production and urlsplit(facts.address).scheme == "http" and not is_private(facts.address):
        sentence = _(
            "%(server)s is called over plain http (%(address)s): our login can be read on the way. Use its https "
            "address."
        )
        found.append(warning("http", sentence % words))
    if facts.skew is not None:
        found.append(_judge_skew(facts.skew, words))
    return found


def _judge_skew(skew: dt.timedelta, words: dict[str, object]) -> Finding:
    size = abs(skew)
    words = {**words, "seconds": round(size.total_seconds())}
    if size < SKEW_WARNING:
        return ok("clock", _("The clock of %(server)s agrees with ours.") % words)
    sentence = (
        _(
            "The clock of %(server)s is %(seconds)d seconds ahead of ours, so work may fall on another day than it was "
            "done. Let both machines take their time from the network."
        )
        if skew > dt.timedelta()
        else _(
            "The clock of %(server)s is %(seconds)d seconds behind ours, so work may fall on another day than it was "
            "done. Let both machines take their time from the network."
        )
    )
    return (warning if size < SKEW_ERROR else error)("clock", sentence % words)


def judge_token(token: str, username: str, now: dt.datetime, zone: str) -> Finding:
    """What kind of login we have at Taiga, and when it ends."""
    if not token:
        words = {"user": username}
        return ok("token", _("The console logs in at Taiga as %(user)s and renews that by itself.") % words)
    if tokens.is_application(token):
        return ok("token", _("TAIGA_TOKEN is an application token: it never ends."))
    if sentence := tokens.warning_of(token, now):
        end = tokens.end_of(token)
        return (error if end is not None and end <= now else warning)("token", sentence, _GATES)
    end = tokens.end_of(token)
    if end is None:
        sentence = _(
            "TAIGA_TOKEN is a login token whose end cannot be read, and nothing renews it. Use an application token, "
            "or set TAIGA_USERNAME and TAIGA_PASSWORD."
        )
        return warning("token", sentence)
    words = {"end": moment(end, zone)}
    return ok("token", _("TAIGA_TOKEN is a login token that ends on %(end)s; nothing renews it.") % words)


def judge_health(health: NinjaHealth, *, is_production: bool) -> list[Finding]:
    """Invoice Ninja's version, whose token we have, and what its own health check says."""
    found = [_judge_version(health.version)]
    if not health.is_admin:
        sentence = _(
            "INVOICE_NINJA_TOKEN belongs to a user who is no administrator there: the company's settings cannot be "
            "read, and only that user's own clients and tasks are seen. Make a token for an administrator."
        )
        found.append(error("admin", sentence, _TOKENS))
    return found + (_judge_own_check(health, is_production=is_production) if health.is_told else [])


def _judge_own_check(health: NinjaHealth, *, is_production: bool) -> list[Finding]:
    found: list[Finding] = []
    if not health.is_well:
        sentence = _("Invoice Ninja's own health check finds something wrong. Look at it there (Settings, About).")
        found.append(warning("health", sentence, _HEALTH))
    if health.has_pending_migrations and not _miscounts_migrations(health.version):
        sentence = _("Invoice Ninja was updated, but its database was not. Finish the update there (Settings, About).")
        found.append(error("migrations", sentence, _HEALTH))
    if health.queue_error:
        words = {"error": " ".join(health.queue_error.split())[:120]}
        sentence = _("Invoice Ninja's queue failed the last time (“%(error)s”): mails may wait there. Look at its log.")
        found.append(warning("queue", sentence % words, _HEALTH))
    if is_production and health.mailer in SILENT_MAILERS:
        sentence = _(
            "Invoice Ninja writes its mails into a log and mails nobody (MAIL_MAILER=%(mailer)s), though it says that "
            "they are sent. Set up its mail."
        ) % {"mailer": health.mailer}
        found.append(error("mailer", sentence, _HEALTH))
    return found or [ok("health", _("Invoice Ninja's own health check is content."))]


def _miscounts_migrations(version: str) -> bool:
    """From 5.10.42 on its check counts files wrongly and says so of every healthy fresh install: it means nothing."""
    numbers = [int(part) for part in version.strip().lstrip("v").split(".") if part.isascii() and part.isdigit()]
    return tuple(numbers) >= MISCOUNTS_SINCE


def _judge_version(version: str) -> Finding:
    words = {"version": version, "tested": ".".join(map(str, TESTED_NINJA))}
    if not version:
        sentence = _("Invoice Ninja does not tell its version; the console was tested with %(tested)s.")
        return warning("version", sentence % words)
    if version_of(version) != TESTED_NINJA:
        sentence = _(
            "Invoice Ninja is version %(version)s; the console was tested with %(tested)s. Every write is read back "
            "and compared, but look at the first invoice with care."
        )
        return warning("version", sentence % words, _HEALTH)
    return ok("version", _("Invoice Ninja is version %(version)s, which was tested.") % words)


def version_of(text: str) -> tuple[int, int] | None:
    """The first two numbers of a version; None for anything else."""
    parts = text.strip().lstrip("v").split(".")
    if len(parts) < 2 or not all(part.isascii() and part.isdigit() for part in parts[:2]):
        return None
    return int(parts[0]), int(parts[1])
