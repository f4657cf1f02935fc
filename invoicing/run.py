"""Runs: which clients one bills, asking for it again, and the state that follows from its invoices.

A run is one (frequency, period, time zone, sequence): starting it twice is asking for it again. Drafts are built by
`invoicing.build`, which waits for the sweep; nothing here calls a server.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q
from django.utils import timezone as real_time
from django.utils.translation import gettext as _

from billing_console import clock
from billing_console.errors import NotAllowed
from billing_console.formats import period as period_words
from billing_console.states import EntryState, InvoiceState, Reason, RunState
from invoicing.models import Invoice, InvoiceLine, InvoiceRun, RunClient, RunClientState, RunTrigger
from mappings.lookups import rule_sets_for, zone_of
from mappings.models import Client, ProjectMapping, RuleSet
from mappings.rules import Period
from sync import doorbell
from sync.models import TimeEntry
from sync.transitions import advance, record

if TYPE_CHECKING:
    from accounts.models import User

UNAPPROVED = (InvoiceState.DRAFT, InvoiceState.HELD)
DEAD = (InvoiceState.REJECTED, InvoiceState.CANCELLED, InvoiceState.REVERSED)


def start_run(
    frequency: str,
    period: Period,
    *,
    timezone: str,
    trigger: str,
    user: User | None = None,
    reason: str = "",
    is_early: bool = False,
    clients: Iterable[Client] | None = None,
    is_supplement: bool = False,
    expected_sequence: int | None = None,
) -> InvoiceRun:
    """Start the run of `period` (local days of the IANA zone `timezone`), or ask for it again when it exists.

    Bills `clients`, or every client whose rules have this frequency and zone. A supplement is a deliberate extra run
    of the same period and needs a `reason`; `expected_sequence` is the number that was on screen. Raises NotAllowed for
    a period that is not over unless `is_early`, for a supplement without a reason, and for one whose number is taken,
    so that a second click starts none. Locks the run's row.
    """
    _check_period_over(period, timezone, is_early)
    if is_supplement and not reason.strip():
        raise NotAllowed(_("A supplement is an extra invoice for the same period: say why it is needed."))
    key = _key(frequency, period, timezone)
    with transaction.atomic():
        sequence = next_sequence(key) if is_supplement else 1
        if expected_sequence not in (None, sequence):
            raise NotAllowed(
                _("Supplement %(number)d was started already. Look at it before you start another.")
                % {"number": expected_sequence}
            )
        run, is_new = InvoiceRun.objects.get_or_create(
            **key,
            sequence=sequence,
            defaults={
                "reason": reason,
                "trigger": trigger,
                "started_by": user,
                "requested_at": clock.now(),
                "is_early": is_early,
            },
        )
        run = InvoiceRun.objects.select_for_update(no_key=True).get(pk=run.pk)
        if is_supplement and not is_new:
            raise NotAllowed(_("Somebody started this supplement at the same moment. Look at it first."))
        if is_new:
            record(run, "", RunState.BUILDING, why=str(RunTrigger(trigger).label), user=user)
        elif run.state == RunState.CANCELLED:
            raise NotAllowed(_("This run was cancelled. Start a supplement for the same period instead."))
        elif run.is_early:
            # Asked again: what counts is a sweep after this request, or after the end of a period that is over now.
            run.requested_at, run.is_early = clock.now(), is_early
            run.save(update_fields=["requested_at", "is_early"])
        chosen = clients_of(frequency, period, timezone) if clients is None else rules_of(clients)
        _ask(run, chosen, user)
    return run


def key_of(run: InvoiceRun) -> dict[str, Any]:
    """What a run and its supplements have in common."""
    return _key(run.frequency, Period(run.period_start, run.period_end), run.timezone)


def _key(frequency: str, period: Period, timezone: str) -> dict[str, Any]:
    return {"frequency": frequency, "period_start": period.start, "period_end": period.end, "timezone": timezone}


def find_run(frequency: str, period: Period, timezone: str) -> InvoiceRun | None:
    """The run that `start_run` would ask again, supplements aside; None where it would start a new one."""
    return InvoiceRun.objects.filter(**_key(frequency, period, timezone), sequence=1).first()


def refresh_run(run: InvoiceRun, *, user: User | None = None) -> InvoiceRun:
    """Ask for all drafts of the run again: new entries join, stale ones are re-evaluated, approved ones stay."""
    return (
        start_run(
            run.frequency,
            Period(run.period_start, run.period_end),
            timezone=run.timezone,
            trigger=run.trigger,
            user=user,
            is_early=not is_over(run),
        )
        if run.sequence == 1
        else _refresh_supplement(run, user)
    )


def _refresh_supplement(run: InvoiceRun, user: User | None) -> InvoiceRun:
    with transaction.atomic():
        locked = InvoiceRun.objects.select_for_update(no_key=True).get(pk=run.pk)
        _ask(locked, {row.client: row.rule_set for row in run.clients.select_related("client", "rule_set")}, user)
    return locked


def refresh_draft(invoice: Invoice, *, user: User | None = None) -> None:
    """Ask for the drafts of one client of a run again. Raises NotAllowed when the invoice is approved already."""
    if invoice.state not in UNAPPROVED:
        raise NotAllowed(_("This invoice was approved meanwhile; only a draft can be refreshed."))
    with transaction.atomic():
        run = InvoiceRun.objects.select_for_update(no_key=True).get(pk=invoice.run_id)
        _ask(run, rules_of([invoice.client]), user)


def build_again(row: RunClient, *, user: User | None = None) -> None:
    """Ask for one client of a run once more, for example after what made it fail was mended."""
    with transaction.atomic():
        run = InvoiceRun.objects.select_for_update(no_key=True).get(pk=row.run_id)
        _ask(run, rules_of([row.client]), user)


def _ask(run: InvoiceRun, chosen: dict[Client, RuleSet], user: User | None) -> None:
    """Let every client of `chosen` wait for its drafts. Locks the rows; the run is building from now on."""
    rows = [
        RunClient(run=run, client=client, rule_set=rule_set, asked_at=real_time.now())
        for client, rule_set in chosen.items()
    ]
    RunClient.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["run", "client"],
        update_fields=["rule_set", "asked_at"],
    )
    RunClient.objects.filter(run=run, client__in=chosen).update(state=RunClientState.WAITING, sentence="")
    if run.state != RunState.BUILDING and chosen:
        advance(run, RunState.BUILDING, why=_("asked for again"), user=user, finished_at=None)
    settle_run(run)
    transaction.on_commit(lambda: doorbell.ring("runs"))


def settle_run(run: InvoiceRun) -> str:
    """Let the run's state follow from its clients and invoices; returns the state. Locks the run's row.

    Building while a client waits; in review while a draft, or a client that failed, needs a person; else done.
    """
    with transaction.atomic():
        run = InvoiceRun.objects.select_for_update(no_key=True).get(pk=run.pk)
        if run.state == RunState.CANCELLED:
            return run.state
        clients = set(run.clients.values_list("state", flat=True).distinct())
        if RunClientState.WAITING in clients:
            target = RunState.BUILDING
        elif RunClientState.FAILED in clients or run.invoices.filter(state__in=UNAPPROVED).exists():
            target = RunState.IN_REVIEW
        else:
            target = RunState.DONE
        if target != run.state:
            done_at = real_time.now() if target == RunState.DONE else None
            advance(run, target, why=_("follows from its clients and drafts"), finished_at=done_at)
        return run.state


# --- which clients ------------------------------------------------------------------------------------------------


def clients_of(frequency: str, period: Period, timezone: str) -> dict[Client, RuleSet]:
    """Every client whose current rules have this frequency and zone, with a live project or entries to bill."""
    waiting = TimeEntry.objects.filter(billable_before(period.end), client=OuterRef("pk"))
    projects = ProjectMapping.objects.filter(client=OuterRef("pk"), is_active=True)
    by_hand = InvoiceLine.objects.filter(is_waiting=True, invoice__client=OuterRef("pk"), work_date__lt=period.end)
    candidates = Client.objects.filter(Exists(projects) | Exists(waiting) | Exists(by_hand))
    return {
        client: rule_set
        for client, rule_set in rules_of(candidates).items()
        if rule_set.frequency == frequency and zone_of(rule_set) == timezone
    }


def rules_of(clients: Iterable[Client]) -> dict[Client, RuleSet]:
    """The current rules of each client, in at most two queries."""
    by_id = {client.pk: client for client in clients}
    return {by_id[client_id]: rule_set for client_id, rule_set in rule_sets_for(by_id).items()}


def billable_before(period_end: object) -> Q:
    """Entries that a run up to `period_end` (local day, exclusive) would bill: ready, or put off to the next run."""
    return Q(work_date__lt=period_end) & (Q(state=EntryState.READY) | Q(state=EntryState.HELD, reason=Reason.NEXT_RUN))


# --- periods ------------------------------------------------------------------------------------------------------


def is_over(run: InvoiceRun) -> bool:
    """Whether the run's period has ended, by the business clock in the run's zone."""
    return clock.today(run.timezone) >= run.period_end


def _check_period_over(period: Period, timezone: str, is_early: bool) -> None:
    if clock.today(timezone) < period.end and not is_early:
        raise NotAllowed(
            _("%(period)s is not over in %(zone)s yet. Wait for its end, or confirm that you want to bill it early.")
            % {"period": period_words(period.start, period.end), "zone": timezone}
        )


def next_sequence(key: dict[str, Any]) -> int:
    """The number of the next supplement of a period. Raises NotAllowed where there is no run to supplement."""
    highest: int | None = InvoiceRun.objects.filter(**key).aggregate(highest=Max("sequence"))["highest"]
    if not highest:
        raise NotAllowed(_("There is no run of this period yet, so there is nothing to supplement. Start the run."))
    return highest + 1
