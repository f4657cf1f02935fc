"""The clients that are billed: alive in Invoice Ninja, with an address, in the currency of their rates. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from sync.doctor import ninja_rules
from sync.doctor.findings import CONSOLE, NINJA, Finding, Place, error, ok, warning

SHOWN_NAMES = 5


@dataclass(frozen=True)
class OtherRate:
    """A rate that applies to somebody's work for a client, in another currency than the client's."""

    who: str
    project: str
    currency: str


@dataclass(frozen=True)
class ClientFacts:
    """One client of a project that is billed, as Invoice Ninja has it; `is_known` False: it has none of that id.

    `settings` are the client's own. `emails` are the addresses of the contacts that get mail.
    """

    ninja_id: str
    name: str
    projects: tuple[str, ...]
    is_known: bool = True
    is_deleted: bool = False
    is_archived: bool = False
    emails: tuple[str, ...] = ()
    currency: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    other_rates: tuple[OtherRate, ...] = ()
    first_mapping: int = 0


def judge(clients: Sequence[ClientFacts], company: Mapping[str, Any]) -> list[Finding]:
    """Every client; `company` are the settings of the company, so that only what differs is said."""
    found: list[Finding] = []
    well = 0
    for client in clients:
        mine = judge_one(client, company)
        found += mine
        well += not mine
    if well:
        sentence = ngettext(
            "%(count)d client is alive, has an address, and is invoiced in the currency of its rates.",
            "%(count)d clients are alive, have an address, and are invoiced in the currency of their rates.",
            well,
        )
        found.append(ok("clients", sentence % {"count": well}))
    return found


def judge_one(client: ClientFacts, company: Mapping[str, Any]) -> list[Finding]:
    """What is wrong with one client; nothing for one that is well."""
    words = {"client": client.name, "projects": ", ".join(client.projects)}
    place = Place(NINJA, f"#/clients/{client.ninja_id}/edit")
    mapping = Place(CONSOLE, "admin:mappings_projectmapping_change", (client.first_mapping,))
    subject = client.ninja_id
    if not client.is_known:
        sentence = _(
            "Invoice Ninja has no client %(client)s, so the hours of %(projects)s are held. Correct the project, or "
            "our token sees only some of the clients."
        )
        return [error("client_unknown", sentence % words, mapping, subject=subject)]
    if client.is_deleted:
        sentence = _(
            "%(client)s is deleted in Invoice Ninja, so the hours of %(projects)s are held. Restore the client, or map "
            "the project to another one."
        )
        return [error("client_deleted", sentence % words, place, subject=subject)]
    found: list[Finding] = []
    if client.is_archived:
        sentence = _(
            "%(client)s is archived in Invoice Ninja and is billed all the same. Restore it, or set %(projects)s "
            "inactive here."
        )
        found.append(warning("client_archived", sentence % words, place, subject=subject))
    if not client.emails:
        sentence = _(
            "No contact of %(client)s has an address and gets mail, so its invoices cannot be mailed. Add an address "
            "in Invoice Ninja."
        )
        found.append(warning("client_email", sentence % words, place, subject=subject))
    found += _judge_rates(client, words)
    own = {key: value for key, value in client.settings.items() if value != company.get(key)}
    found += ninja_rules.judge_settings(own, client=client.name, subject=subject)
    if own.get("send_reminders") is False:
        sentence = _(
            "%(client)s is never reminded of an overdue invoice: its own settings say so. Leave it if you want it."
        )
        found.append(warning("client_reminders", sentence % words, place, subject=subject))
    return found


def _judge_rates(client: ClientFacts, words: dict[str, str]) -> list[Finding]:
    if not client.other_rates:
        return []
    whose = sorted({f"{rate.who} ({rate.project})" for rate in client.other_rates})
    shown = ", ".join(whose[:SHOWN_NAMES])
    if len(whose) > SHOWN_NAMES:
        more = ngettext("and %(count)d more", "and %(count)d more", len(whose) - SHOWN_NAMES)
        shown += " " + more % {"count": len(whose) - SHOWN_NAMES}
    sentence = _(
        "%(client)s is invoiced in %(currency)s, but these have a rate in %(other)s, so their hours are held: "
        "%(whose)s. Add rates in %(currency)s."
    ) % {
        **words,
        "currency": client.currency,
        "other": ", ".join(sorted({rate.currency for rate in client.other_rates})),
        "whose": shown,
    }
    return [
        error("client_currency", sentence, Place(CONSOLE, "admin:mappings_rate_changelist"), subject=client.ninja_id)
    ]
