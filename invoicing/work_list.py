"""The start page: what waits, how much money, how old, and whether the machine is well."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console import clock
from billing_console.formats import age, day, days_since, hours, money, percent, period, time_of_day
from billing_console.states import EntryState, InvoiceState, RecordState
from invoicing import work_numbers
from invoicing.machine_health import machine_checks
from invoicing.month_plot import month_plot
from invoicing.navigation import link
from invoicing.work_numbers import Coverage, NextRun, Pile

COVERAGE_DAYS = 7
# Fewer closings than this say nothing about the webhook.
COVERAGE_WARNS_BELOW = Decimal(98)


@dataclass(frozen=True)
class Tile:
    """One number of the work list; the whole tile is the link to exactly its rows."""

    name: str
    figure: str
    unit: str
    foot: str
    verb: str
    url: str
    tone: str
    shape: str
    money: tuple[str, ...] = ()
    edge: str = ""
    is_zero: bool = False


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The kit's context of the start page with what the work list shows; nine queries, however many rows."""
    if not request.user.has_perm("sync.view_timeentry"):
        return {**context, "may_see_work": False}
    zone = settings.BILLING_TIMEZONE
    today = clock.today(zone)
    entries = work_numbers.entry_piles()
    invoices = work_numbers.invoice_piles(today)
    last_delivery, failed_deliveries = work_numbers.deliveries()
    machine, asked = work_numbers.machine(), work_numbers.questions()
    checked = time_of_day(timezone.now(), zone)
    tiles = [
        held_tile(entries[EntryState.HELD]),
        draft_tile(invoices["draft"]),
        send_tile(invoices["send"]),
        overdue_tile(invoices["overdue"]),
        *([unapplied_tile(asked["unapplied"])] if asked["unapplied"].count else []),
        difference_tile(asked["more"], asked["less"]),
        unbilled_tile(entries[EntryState.READY]),
        failed_tile(asked["failed"], checked),
        coverage_tile(work_numbers.coverage(clock.now() - dt.timedelta(days=COVERAGE_DAYS))),
        next_run_tile(work_numbers.next_run(today), today),
    ]
    plot, months, drawn = month_plot(today, request.GET.get("draw", ""))
    return {
        **context,
        "may_see_work": True,
        "status_line": _(
            "%(day)s, %(zone)s. Last delivery %(delivery)s, last sweep %(sweep)s, Invoice Ninja answered %(ninja)s."
        )
        % {
            "day": day(today),
            "zone": zone,
            "delivery": time_of_day(last_delivery, zone),
            "sweep": time_of_day(machine.seen.get("sweep"), zone),
            "ninja": time_of_day(machine.seen.get("invoice_ninja"), zone),
        },
        "tiles": tiles,
        "checks": machine_checks(machine, last_delivery, failed_deliveries, zone),
        "may_check_again": request.user.has_perm("sync.change_upstreampin"),
        "plot": plot,
        "months": months,
        "has_months": bool(months.rows),
        "drawn": drawn,
    }


# --- the tiles ----------------------------------------------------------------------------------------------------


def held_tile(pile: Pile) -> Tile:
    """Entries that wait for a person; amounts where they are known."""
    return Tile(
        name=_("Needs attention"),
        figure=str(pile.count),
        unit=ngettext("entry held", "entries held", pile.count),
        money=_money_lines(pile),
        foot=_oldest(pile),
        verb=_("Resolve"),
        url=link(("admin:sync_attention",))
        or link(("admin:sync_timeentry_changelist",), query=_states(EntryState.HELD)),
        tone="warning" if pile.count else "success",
        shape="triangle" if pile.count else "check",
        edge="warning" if pile.count else "",
        is_zero=not pile.count,
    )


def draft_tile(pile: Pile) -> Tile:
    """Drafts to review; opens the first of them, not the list."""
    url = link(("admin:invoicing_invoice_review",), pile.first_id) if pile.first_id else ""
    return Tile(
        name=_("Drafts to review"),
        figure=str(pile.count),
        unit=ngettext("draft", "drafts", pile.count),
        money=_money_lines(pile),
        foot=_oldest(pile),
        verb=_("Review next"),
        url=url or link(("admin:invoicing_invoice_changelist",), query=_states(InvoiceState.DRAFT)),
        tone="neutral",
        shape="pencil",
        is_zero=not pile.count,
    )


def send_tile(pile: Pile) -> Tile:
    """Approved and not sent, whether Invoice Ninja has them already or not."""
    return Tile(
        name=_("Approved, not sent"),
        figure=str(pile.count),
        unit=ngettext("invoice", "invoices", pile.count),
        money=_money_lines(pile),
        foot=_oldest(pile),
        verb=_("Send"),
        url=link(("admin:invoicing_invoice_changelist",), query=_states(*work_numbers.TO_SEND)),
        tone="info",
        shape="seal",
        is_zero=not pile.count,
    )


def overdue_tile(pile: Pile) -> Tile:
    """Sent, due before today and not paid: what is still owed, tax included."""
    return Tile(
        name=_("Overdue"),
        figure=str(pile.count),
        unit=ngettext("invoice", "invoices", pile.count),
        money=_money_lines(pile),
        foot=_oldest(pile),
        verb=_("Open list"),
        url=link(("admin:invoicing_invoice_changelist",), query=(("owed", "overdue"),)),
        tone="danger" if pile.count else "success",
        shape="triangle" if pile.count else "check",
        edge="danger" if pile.count else "",
        is_zero=not pile.count,
    )


def unapplied_tile(pile: Pile) -> Tile:
    """Came in without an invoice or above what was owed: somebody may be reminded of what is paid. With tax."""
    return Tile(
        name=_("On no invoice"),
        figure=str(pile.count),
        unit=ngettext("payment", "payments", pile.count),
        money=_money_lines(pile),
        foot=_oldest(pile),
        verb=_("Open list"),
        url=link(("admin:invoicing_report",), "unapplied"),
        tone="warning",
        shape="triangle",
        edge="warning",
    )


def difference_tile(more: Pile, less: Pile) -> Tile:
    """What Taiga says otherwise than it was billed and nobody has settled yet: to bill, and to give back."""
    count = more.count + less.count
    lines = [_("%(money)s to bill") % {"money": money(more.money[code], code)} for code in sorted(more.money)]
    lines += [_("%(money)s to give back") % {"money": money(-less.money[code], code)} for code in sorted(less.money)]
    return Tile(
        name=_("Differences"),
        figure=str(count),
        unit=ngettext("open difference", "open differences", count),
        money=tuple(lines),
        foot=_oldest(min((more, less), key=_by_age)),
        verb=_("Settle"),
        url=link(("admin:sync_difference_changelist",)),
        tone="warning" if count else "success",
        shape="triangle" if count else "check",
        edge="warning" if count else "",
        is_zero=not count,
    )


def _by_age(pile: Pile) -> tuple[bool, Any]:
    return pile.oldest is None, pile.oldest


def unbilled_tile(pile: Pile) -> Tile:
    """Ready and in no draft yet."""
    lines = _money_lines(pile)
    if pile.count:
        lines = (f"{hours(pile.hours)} · {lines[0]}" if lines else hours(pile.hours), *lines[1:])
    return Tile(
        name=_("Unbilled"),
        figure=str(pile.count),
        unit=ngettext("entry", "entries", pile.count),
        money=lines,
        foot=_oldest(pile),
        verb=_("Open list"),
        url=link(("admin:sync_timeentry_changelist",), query=_states(EntryState.READY)),
        tone="info",
        shape="ring",
        is_zero=not pile.count,
    )


def failed_tile(pile: Pile, checked: str) -> Tile:
    """Writes to either server that a person must look at; zero says when it was checked."""
    return Tile(
        name=_("Failed syncs"),
        figure=str(pile.count),
        unit=_("failed"),
        foot=_oldest(pile) if pile.count else _("checked %(time)s") % {"time": checked},
        verb=_("Open list"),
        url=link(("admin:sync_remoterecord_changelist",), query=_states(RecordState.IN_DOUBT, RecordState.ATTENTION)),
        tone="danger" if pile.count else "success",
        shape="octagon" if pile.count else "check",
        edge="danger" if pile.count else "",
        is_zero=not pile.count,
    )


def coverage_tile(found: Coverage) -> Tile:
    """How many closings of the last days the webhook told by itself."""
    name, url = _("Webhook coverage"), link(("admin:sync_coverage",))
    if not found.total:
        return Tile(
            name=name,
            figure="–",
            unit=_("no closings"),
            foot=_("last %(days)d days") % {"days": COVERAGE_DAYS},
            verb=_("Open list"),
            url=url,
            tone="neutral",
            shape="ring",
            is_zero=True,
        )
    share = Decimal(found.by_webhook) * 100 / found.total
    is_low = share < COVERAGE_WARNS_BELOW
    return Tile(
        name=name,
        figure=percent(share),
        unit=_("%(told)d of %(all)d") % {"told": found.by_webhook, "all": found.total},
        foot=_("%(count)d by sweep, %(days)d days") % {"count": found.by_sweep, "days": COVERAGE_DAYS},
        verb=_("Open list"),
        url=url,
        tone="warning" if is_low else "success",
        shape="half" if is_low else "check",
        edge="warning" if is_low else "",
    )


def next_run_tile(run: NextRun | None, today: dt.date) -> Tile:
    """When the machine makes the next drafts and what they bill."""
    preview = link(("admin:invoicing_invoicerun_preview", "admin:invoicing_invoicerun_changelist"))
    if run is None:
        return Tile(
            name=_("Next run"),
            figure="–",
            unit=_("no schedule yet"),
            foot=_("rule sets say when"),
            verb=_("Open rule sets"),
            url=link(("admin:mappings_ruleset_changelist",)),
            tone="neutral",
            shape="ring",
            is_zero=True,
        )
    days = (run.run_on - today).days
    return Tile(
        name=_("Next run"),
        figure=day(run.run_on),
        unit="",
        money=tuple(_("bills %(period)s") % {"period": period(each.start, each.end)} for each in run.periods),
        foot=ngettext("in %(days)d day", "in %(days)d days", days) % {"days": days},
        verb=_("Preview"),
        url=preview,
        tone="info",
        shape="dot",
    )


def _money_lines(pile: Pile) -> tuple[str, ...]:
    return tuple(money(pile.money[currency], currency) for currency in sorted(pile.money))


def _oldest(pile: Pile) -> str:
    if pile.oldest is None:
        return ""
    if days_since(pile.oldest, settings.BILLING_TIMEZONE) == 0:
        return _("since today")
    return _("oldest %(age)s") % {"age": age(pile.oldest, settings.BILLING_TIMEZONE)}


def _states(*states: str) -> tuple[tuple[str, str], ...]:
    return tuple(("state__exact", str(state)) for state in states)
