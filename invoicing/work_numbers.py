"""The numbers of the start page, one query each, none of them per row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import (
    Case,
    CharField,
    Count,
    DateTimeField,
    DecimalField,
    F,
    FilteredRelation,
    Max,
    Min,
    Q,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, TruncMonth

from billing_console import clock
from billing_console.states import DeliveryState, DifferenceState, EntryState, InvoiceState, RecordState
from invoicing.cursors import AHEAD
from invoicing.models import Invoice, InvoiceLine, PollCursor, UnappliedPayment
from invoicing.run import DEAD
from mappings.models import RuleSet
from mappings.rules import Period, next_run_after
from sync import presence
from sync.attention import NEEDS_SOMEBODY
from sync.doctor.findings import SEVERITIES
from sync.heartbeats import FAILED
from sync.models import (
    Alarm,
    Difference,
    DoctorFinding,
    Heartbeat,
    RemoteRecord,
    TimeEntry,
    UpstreamGate,
    UpstreamPin,
    WebhookDelivery,
    WorkItem,
)
from sync.models.doctor import Severity

_TIME = DateTimeField()
_MONEY = DecimalField()
TO_SEND = (InvoiceState.APPROVED, InvoiceState.CREATED, InvoiceState.SENDING, InvoiceState.ATTENTION)
OWED = (InvoiceState.SENT, InvoiceState.PARTLY_PAID)
BROKEN = (RecordState.IN_DOUBT, RecordState.ATTENTION)
PAID, OPEN, UNSENT = "paid", "open", "unsent"


@dataclass
class Pile:
    """Rows of one kind: how many, money per currency, hours, the oldest date or instant, one row to begin with."""

    count: int = 0
    money: dict[str, Decimal] = field(default_factory=dict)
    hours: Decimal = Decimal(0)
    oldest: dt.date | dt.datetime | None = None
    first_id: int | None = None

    def add(self, row: Mapping[str, Any], amount: Decimal | None, prefix: str = "") -> None:
        """Count a row of a grouped query in."""
        count = row[f"{prefix}count"]
        if not count:
            return
        self.count += count
        if row["currency"] and amount is not None:
            self.money[row["currency"]] = self.money.get(row["currency"], Decimal(0)) + amount
        self.hours += row.get(f"{prefix}hours") or Decimal(0)
        oldest = row[f"{prefix}oldest"]
        if oldest is not None and (self.oldest is None or oldest < self.oldest):
            self.oldest = oldest
        first_id = row.get(f"{prefix}first_id")
        if first_id is not None and (self.first_id is None or first_id < self.first_id):
            self.first_id = first_id


@dataclass(frozen=True)
class Coverage:
    """Closings of some days: how many the webhook told, how many only the sweep found."""

    by_webhook: int
    by_sweep: int

    @property
    def total(self) -> int:
        """All closings that were noticed."""
        return self.by_webhook + self.by_sweep


@dataclass(frozen=True)
class Machine:
    """When the parts last did their work (real time, by name), which servers are not written to, with why, and alarms.

    `failures` are the sentences of parts that tried again since and could not, by name;
    `alarms` are (sentence, name of the page where it is looked at); `findings` what the doctor found, as (severity,
    sentence, address where it is put right); `passed` how many of its checks found nothing, the last of them then;
    `ahead` the latest time that Invoice Ninja gives a change and that has not come yet (business time).
    """

    seen: dict[str, dt.datetime]
    paused: dict[str, str]
    failures: Mapping[str, str] = field(default_factory=dict)
    alarms: tuple[tuple[str, str], ...] = ()
    findings: tuple[tuple[str, str, str], ...] = ()
    ahead: dt.datetime | None = None
    passed: int = 0
    passed_at: dt.datetime | None = None


@dataclass(frozen=True)
class NextRun:
    """The next day on which a schedule bills, what it bills, and for how many rule sets that day."""

    run_on: dt.date
    periods: tuple[Period, ...]
    rule_sets: int


def entry_piles() -> dict[str, Pile]:
    """Entries held for a person, and ready ones: amounts before tax, hours billed.

    The oldest held one by since when it is, the oldest ready one by its work date.
    """
    piles = {EntryState.HELD.value: Pile(), EntryState.READY.value: Pile()}
    rows = (
        TimeEntry.objects.filter(NEEDS_SOMEBODY | Q(state=EntryState.READY), state__in=piles)
        .order_by()
        .values("state", "currency")
        .annotate(
            count=Count("pk"),
            amount_sum=Sum("amount"),
            hours=Sum("billed_hours"),
            since=Min(Coalesce("state_since", "evaluated_at")),
            worked=Min("work_date"),
        )
    )
    for row in rows:
        oldest = row["since"] if row["state"] == EntryState.HELD else row["worked"]
        piles[row["state"]].add({**row, "oldest": oldest}, row["amount_sum"])
    return piles


def invoice_piles(today: dt.date) -> dict[str, Pile]:
    """Drafts and invoices to send (before tax, by when they came there) and overdue on `today` (owed, by due date)."""
    draft, to_send = Q(state=InvoiceState.DRAFT), Q(state__in=TO_SEND)
    overdue = Q(state__in=OWED, due_date__lt=today, balance__gt=0)
    since = Coalesce("state_since", "created_at")
    rows = (
        Invoice.objects.filter(draft | to_send | overdue)
        .order_by()
        .values("currency")
        .annotate(
            draft_count=Count("pk", filter=draft),
            draft_sum=Sum("net", filter=draft),
            draft_oldest=Min(since, filter=draft),
            draft_first_id=Min("pk", filter=draft),
            send_count=Count("pk", filter=to_send),
            send_sum=Sum("net", filter=to_send),
            send_oldest=Min(since, filter=to_send),
            overdue_count=Count("pk", filter=overdue),
            overdue_sum=Sum("balance", filter=overdue),
            overdue_oldest=Min("due_date", filter=overdue),
        )
    )
    piles = {"draft": Pile(), "send": Pile(), "overdue": Pile()}
    for row in rows:
        columns: dict[str, Any] = dict(row)
        for name, pile in piles.items():
            pile.add(columns, columns[f"{name}_sum"], f"{name}_")
    return piles


def questions() -> dict[str, Pile]:
    """failed: writes whose outcome is unknown or that a person must look at; more, less: open Differences to bill and
    to give back (before tax), by when they were noticed; unapplied: money that is on no invoice, as it came in.
    """
    piles = {"failed": Pile(), "more": Pile(), "less": Pile(), "unapplied": Pile()}
    failed = RemoteRecord.objects.filter(state__in=BROKEN).order_by().values(what=Value("failed"), currency=Value(""))
    failed = failed.annotate(count=Count("pk"), amount_sum=Value(None, _MONEY), oldest=Min("state_since"))
    sign = Case(When(amount__lt=0, then=Value("less")), default=Value("more"), output_field=CharField())
    changed = (
        Difference.objects.filter(state=DifferenceState.OPEN)
        .order_by()
        .values("currency", what=sign)
        .annotate(count=Count("pk"), amount_sum=Sum("amount"), oldest=Min("noticed_at"))
    )
    columns = ("what", "currency", "count", "amount_sum", "oldest")
    came_in = UnappliedPayment.objects.exclude(amount=0).order_by().values("currency", what=Value("unapplied"))
    came_in = came_in.annotate(count=Count("pk"), amount_sum=Sum("amount"), oldest=Min("noticed_at"))
    others = (changed.values_list(*columns), came_in.values_list(*columns))
    for row in failed.values_list(*columns).union(*others, all=True):
        found = dict(zip(columns, row, strict=True))
        piles[found["what"]].add(found, found["amount_sum"])
    return piles


def deliveries() -> tuple[dt.datetime | None, int]:
    """When Taiga's last delivery came (None for never), and how many deliveries failed."""
    # Each part by its index: together in one aggregate they would read every delivery that was ever stored.
    newest = WebhookDelivery.objects.order_by("-id").values_list("received_at", Value(0))[:1]
    failed = WebhookDelivery.objects.filter(state=DeliveryState.FAILED).order_by().values(nothing=Value(None, _TIME))
    counts = failed.annotate(count=Count("pk")).values_list("nothing", "count")
    rows = list(newest.union(counts, all=True))
    return next((at for at, _count in rows if at), None), sum(count for _at, count in rows)


def coverage(since: dt.datetime) -> Coverage:
    """Items first seen closed from `since` on, by how the closing was noticed."""
    counts = dict(
        WorkItem.objects.filter(closed_seen_at__gte=since)
        .order_by()
        .values_list("closing_found_by")
        .annotate(count=Count("pk"))
    )
    return Coverage(by_webhook=counts.get("webhook", 0), by_sweep=counts.get("sweep", 0))


def machine() -> Machine:
    """Heartbeats, paused servers, open alarms, what processes say of themselves and the doctor found, in one query."""
    beats = Heartbeat.objects.order_by().values_list(Value("seen"), "name", "at", "detail")
    pauses = (
        UpstreamPin.objects.filter(is_paused=True)
        .order_by()
        .values_list(Value("paused"), "server", "checked_at", "pause_reason")
    )
    gates = (
        UpstreamGate.objects.filter(is_paused=True)
        .order_by()
        .values_list(Value("paused"), "server", "paused_at", "pause_reason")
    )
    open_alarms = Alarm.objects.filter(cleared_at__isnull=True).order_by()
    alarms = open_alarms.values_list(Value("alarm"), "url_name", "raised_at", "sentence")
    findings = DoctorFinding.objects.order_by().values_list("severity", "url", "since", "sentence")
    found = findings.exclude(severity=Severity.OK)
    passed = (
        DoctorFinding.objects.filter(severity=Severity.OK)
        .order_by()
        .values(what=Value("passed"))
        .annotate(count=Cast(Count("pk"), CharField()), at=Max("doctor_check__checked_at"), nothing=Value(""))
        .values_list("what", "count", "at", "nothing")
    )
    late = PollCursor.objects.filter(ahead_until__gt=clock.now() + AHEAD).order_by()
    ahead = late.values_list(Value("ahead"), "name", "ahead_until", Value(""))
    unfit = presence.live().exclude(trouble="").order_by()
    processes = unfit.values_list(Value("process"), "host", "seen_at", "trouble")
    rows = list(beats.union(pauses, gates, alarms, found, passed, ahead, processes, all=True))
    own = [
        (sentence, "") for what, _name, _at, trouble in rows if what == "process" for sentence in trouble.splitlines()
    ]
    said = [(sentence, name) for what, name, _at, sentence in rows if what == "alarm"]
    last = next(((int(count), at) for what, count, at, _nothing in rows if what == "passed"), (0, None))
    return Machine(
        seen={name: at for what, name, at, _detail in rows if what == "seen"},
        paused={name: reason for what, name, _at, reason in rows if what == "paused"},
        failures=_failures({name: (at, sentence) for what, name, at, sentence in rows if what == "seen"}),
        alarms=tuple(dict([*own, *said]).items()),
        findings=tuple(
            (severity, sentence, url)
            for severity, url, _since, sentence in sorted(
                (r for r in rows if r[0] in SEVERITIES), key=lambda row: row[2]
            )
        ),
        ahead=max((at for what, _name, at, _nothing in rows if what == "ahead"), default=None),
        passed=last[0],
        passed_at=last[1],
    )


def _failures(beats: Mapping[str, tuple[dt.datetime, str]]) -> dict[str, str]:
    """Why parts could not do their work when they last tried, if they have not done it since."""
    failures = {}
    for name, (at, sentence) in beats.items():
        part = name.removesuffix(FAILED)
        if part != name and (part not in beats or beats[part][0] < at):
            failures[part] = sentence
    return failures


def next_run(today: dt.date) -> NextRun | None:
    """The first run day after `today` of all current rule sets; None while there is none that can be computed."""
    soonest: dict[dt.date, list[Period]] = {}
    schedules = RuleSet.objects.filter(is_current=True).order_by()
    for rule_set in schedules.only("frequency", "generation_day", "generation_weekday", "anchor_date"):
        if rule_set.frequency == "biweekly" and rule_set.anchor_date is None:
            continue  # has no run day until its anchor is typed; its own form says so
        run_on, period = next_run_after(rule_set, today)
        soonest.setdefault(run_on, []).append(period)
    if not soonest:
        return None
    run_on = min(soonest)
    periods = sorted(set(soonest[run_on]), key=lambda period: period.start)
    return NextRun(run_on, tuple(periods), len(soonest[run_on]))


def months_by_work_date(first: dt.date) -> dict[str, dict[dt.date, dict[str, Decimal]]]:
    """Amounts before tax by currency, month (its first day) and what became of them, for work from `first` on.

    paid: on an invoice paid in full; open: on one that is sent; unsent: ready, in a draft, or not sent yet. What is on
    a line counts as it is printed there, also what a person wrote over or added by hand.
    """

    def became(invoice: str) -> Case:
        return Case(
            When(**{f"{invoice}__state": InvoiceState.PAID}, then=Value(PAID)),
            When(**{f"{invoice}__state__in": [InvoiceState.SENT, InvoiceState.PARTLY_PAID]}, then=Value(OPEN)),
            default=Value(UNSENT),
            output_field=CharField(),
        )

    keys = ("code", "month", "what")
    by_hand = (
        InvoiceLine.objects.filter(entry__isnull=True, is_voided=False, work_date__gte=first)
        .exclude(invoice__state__in=DEAD)
        .annotate(code=F("invoice__currency"), month=TruncMonth("work_date"), what=became("invoice"))
        .order_by()
        .values(*keys)
        .annotate(amount_sum=Sum("amount"))
    )
    # At most one line of an entry is not voided (line_entry_billed_once), so no amount is counted twice.
    rows = (
        TimeEntry.objects.filter(
            state__in=[EntryState.READY, EntryState.CLAIMED, EntryState.INVOICED], work_date__gte=first
        )
        .alias(line=FilteredRelation("lines", condition=Q(lines__is_voided=False)))
        .annotate(code=F("currency"), month=TruncMonth("work_date"), what=became("line__invoice"))
        .order_by()
        .values(*keys)
        .annotate(amount_sum=Sum(Coalesce("line__amount", "amount")))
    )
    months: dict[str, dict[dt.date, dict[str, Decimal]]] = {}
    for row in rows.union(by_hand, all=True):
        sums = months.setdefault(row["code"], {}).setdefault(row["month"], {})
        sums[row["what"]] = sums.get(row["what"], Decimal(0)) + (row["amount_sum"] or Decimal(0))
    return months
