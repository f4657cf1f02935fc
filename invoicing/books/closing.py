"""Closing a month: its certificate is kept as it was, and nothing is dated into it any more.

Months are closed in a row. A month whose checks differ, or are not proven by both servers, needs a reason. Reopening
keeps the row and its files; a second closing is a second row.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console import clock, formats
from billing_console.errors import NotAllowed
from billing_console.reason import reason_of
from billing_console.states import InvoiceState
from invoicing import certificate
from invoicing.books import closed, figures, keeping
from invoicing.models import Closing, ClosingFile, Invoice
from invoicing.reports import REPORTS, files
from invoicing.reports.filters import Wanted
from invoicing.verdict import Proof, Verdict, prove
from mappings.rules import Period, month, previous_month

PROVEN = (Verdict.BALANCES, Verdict.NOTHING)
CERTIFICATE = "certificate.csv"


@dataclass(frozen=True)
class Certificate:
    """What a closing of `period` would keep: the proof, the figures, the hashes of the lists, and its own hash."""

    period: Period
    proof: Proof
    figures: dict[str, Any]
    marks: dict[str, str]

    @property
    def needs_reason(self) -> bool:
        """Whether something differs, or is not proven by both servers."""
        return self.proof.verdict not in PROVEN

    @cached_property
    def hash(self) -> str:
        """sha256 over everything that it says."""
        return certificate.hash_of(self._about, self.proof.identities, self._cells)

    def as_csv(self) -> bytes:
        """The file that is kept."""
        return certificate.as_csv(self._about, self.proof.identities, self._cells, self.proof.words)

    @property
    def _about(self) -> str:
        reading = self.proof.reading
        which = f"reading {reading.uuid}" if reading else "no reading"
        return f"month {self.period.start:%Y-%m} {which} {self.proof.verdict.value}"

    @property
    def _cells(self) -> list[list[str]]:
        return [*figures.as_cells(self.figures), *(["sha256 of", name, mark] for name, mark in self.marks.items())]


def certify(period: Period) -> Certificate:
    """The certificate of a month by what is booked now; changes nothing."""
    return Certificate(period, prove(period), figures.of_month(period), figures.marks(period))


def next_month() -> Period:
    """The month to close next: the one after the last closed month, else the last one that is over."""
    after = closed.open_from()
    today = clock.today(settings.BILLING_TIMEZONE)
    return month(after.year, after.month) if after else previous_month(today)


def why_not(period: Period) -> str:
    """Why the month cannot be closed now, "" where it can."""
    words = {"month": _name(period)}
    if period != month(period.start.year, period.start.month):
        return _("%(month)s is no whole month.") % words
    if clock.today(settings.BILLING_TIMEZONE) < period.end:
        return _("%(month)s is not over yet.") % words
    after = closed.open_from()
    if after is not None and period.start < after:
        return _("%(month)s is closed already.") % words
    if after is not None and period.start > after:
        return _("Months are closed in a row: %(first)s comes first.") % {
            "first": _name(month(after.year, after.month))
        }
    coming = Invoice.objects.filter(state=InvoiceState.APPROVED, invoice_date__lt=period.end).count()
    if coming:
        return _(
            "%(count)d approved invoices dated up to that month are not in Invoice Ninja yet. Wait until they are "
            "there, or take their approval back."
        ) % {"count": coming}
    return ""


def close(period: Period, *, user: User | None, reason: str = "", seen: str | None = None) -> Closing:
    """Close a month and keep its certificate and lists; `seen` is the hash that the person saw (None: nobody looked).

    Keeps the books first, and holds their lock until the caller's transaction ends. Raises NotAllowed: it cannot be
    closed, the figures are others by now, or something differs and no reason is given.
    """
    with transaction.atomic():
        closed.lock()
        if why := why_not(period):
            raise NotAllowed(why)
        keeping.keep()
        found = certify(period)
        if seen is not None and seen != found.hash:
            raise NotAllowed(
                _("The figures of %(month)s changed since you looked at them. Look again: nothing was closed.")
                % {"month": _name(period)}
            )
        if found.needs_reason:
            reason = _needed(reason, found)
        closing = Closing.objects.create(
            period_start=period.start,
            period_end=period.end,
            closed_on=clock.today(settings.BILLING_TIMEZONE),
            closed_by=user,
            verdict=found.proof.verdict.value,
            verdict_words=found.proof.words,
            reason=reason.strip(),
            figures=found.figures,
            marks=found.marks,
            hash=found.hash,
        )
        ClosingFile.objects.bulk_create(
            ClosingFile(closing=closing, name=name, content=content, sha256=hashlib.sha256(content).hexdigest())
            for name, content in _files(found)
        )
    return closing


def why_not_reopened(closing: Closing) -> str:
    """Why a closing stays as it is, "" where it can be reopened: only the last one can."""
    if closing.reopened_at is not None:
        return _("%(month)s was reopened already.") % {"month": _name(period_of(closing))}
    if closing.period_end != closed.open_from():
        return _("A later month is closed. Reopen that one first.")
    return ""


def reopen(closing: Closing, *, user: User, reason: str) -> Closing:
    """Let things be dated into the month again; its certificate stays. Raises NotAllowed, also without a reason."""
    note = reason_of(reason)
    with transaction.atomic():
        closed.lock()
        row = Closing.objects.select_for_update(of=("self",)).get(pk=closing.pk)
        if why := why_not_reopened(row):
            raise NotAllowed(why)
        keeping.keep()  # what came while it was closed stays where it was dated
        row.reopened_at, row.reopened_by, row.reopen_reason = timezone.now(), user, note
        row.save(update_fields=["reopened_at", "reopened_by", "reopen_reason"])
    return row


def changed_lists(closing: Closing) -> list[str]:
    """Names of the lists that the books no longer say as they did when the month was closed; none as long as it is."""
    now = figures.marks(period_of(closing))
    return [name for name, mark in closing.marks.items() if now.get(name) != mark]


def period_of(closing: Closing) -> Period:
    """The month of a closing."""
    return Period(closing.period_start, closing.period_end)


def _needed(reason: str, found: Certificate) -> str:
    if not reason.strip():
        words = {"month": _name(found.period), "verdict": found.proof.words}
        raise NotAllowed(
            _("%(month)s is not proven: %(verdict)s. Put that right first, or say why it is closed all the same.")
            % words
        )
    return reason_of(reason)


def _files(found: Certificate) -> list[tuple[str, bytes]]:
    day = found.period.last_day
    wanted = Wanted(clock.today(settings.BILLING_TIMEZONE), start=found.period.start, end=day, as_at=day)
    lists = [(f"{name}.csv", _list(name, wanted)) for name in figures.LISTS]
    return [(CERTIFICATE, found.as_csv()), *lists]


def _list(name: str, wanted: Wanted) -> bytes:
    report = REPORTS[name]
    rows = report.rows(wanted).iterator(chunk_size=2000)
    return b"".join(files.csv_lines(report.columns, rows))


def _name(period: Period) -> str:
    return formats.period_name(period.start, period.end)
