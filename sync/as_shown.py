"""What is on the screen of a row where a person may act on it, as label → words: compared again before the act.

What changes without meaning anything to the person (times of a check, counts of tries) is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from billing_console import formats
from sync import rests
from sync.models import RemoteRecord, TimeEntry, UpstreamGate, UpstreamPin, WebhookDelivery, WorkItem

Words = Mapping[str, Any]


def entry(row: TimeEntry) -> Words:
    """An entry: where it is and why, who pays, hours as typed and as billed, rate and amount before tax."""
    return {
        _("Item"): row.item,
        _("State"): row.get_state_display(),
        _("Why it waits"): row.reason_sentence,
        _("Client"): row.client or "",
        _("Worked"): formats.day(row.work_date),
        _("Hours as typed"): formats.hours(row.raw_hours),
        _("Hours billed"): formats.hours(row.billed_hours),
        _("Rate"): formats.rate(row.rate, row.currency),
        _("Before tax"): formats.money(row.amount, row.currency),
        "_note": row.reason_note,
        "_asked": row.facts.get("asked", ""),
        "_held": row.held_by_person,
        "_confirmed": row.confirmed_value,
    }


def waiting(row: TimeEntry) -> Words:
    """An entry in a list of what waits, where it is only read again: its reason and its money."""
    return {
        _("State"): row.get_state_display(),
        _("Why it waits"): row.reason_sentence,
        _("Before tax"): formats.money(row.amount, row.currency),
    }


def record(row: RemoteRecord) -> Words:
    """A remote write: what is wanted, how far it is, and what happened."""
    return {
        _("What"): row,
        _("State"): row.get_state_display(),
        _("What happened"): row.sentence,
        _("Id there"): row.remote_id or "",
        _("Version"): row.revision,
        "_seen": hashlib.sha256(str(row.seen).encode()).hexdigest()[:16],
    }


def delivery(row: WebhookDelivery) -> Words:
    """A delivery: what it said, and what became of it."""
    return {
        _("Delivery"): f"{row.event_type} {row.action} #{row.item_ref or ''}",
        _("State"): row.get_state_display(),
        _("Error"): row.error,
    }


def item(row: WorkItem) -> Words:
    """An item that could not be read: why not."""
    return {_("Item"): row, _("Why"): row.error}


def pin(row: UpstreamPin) -> Words:
    """A server: where it was and which one it was, and what is seen there now."""
    return {
        _("Address"): row.base_url,
        _("Identity"): row.identity,
        _("Address seen"): row.seen_base_url,
        _("Identity seen"): row.seen_identity,
        _("Writing paused"): _("yes") if row.is_paused else _("no"),
        _("Why"): row.pause_reason,
    }


def gate(row: UpstreamGate) -> Words:
    """Whether a server is written to, and called."""
    return {
        _("Left alone"): _("yes") if rests.is_left_alone(row) else _("no"),
        _("Server"): row.server,
        _("Writing paused"): _("yes") if row.is_paused else _("no"),
        _("Why"): row.pause_reason,
    }
