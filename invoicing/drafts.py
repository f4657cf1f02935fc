"""The drafts of a run: refreshed where they stand, made where they are missing; for one client or many at once.

Everything here runs in the caller's transaction, which holds the rows of the clients: two builders take turns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console.formats import money
from billing_console.states import EntryState, InvoiceState, RecordState
from invoicing import carrying, claim, content, refreshing, regrouping
from invoicing.models import Invoice, InvoiceRun, RunClient
from invoicing.run import UNAPPROVED
from mappings.models import Grouping
from sync.models import TimeEntry
from sync.transitions import record_new


@dataclass
class Outcome:
    """What building came to: drafts that hold something, and sentences for the run's page."""

    invoices: list[Invoice] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """All sentences as one text."""
        return " ".join(self.sentences)


class _NothingToBill(Exception):
    """A draft whose total is 0 is not made; its claim is rolled back with it."""


def synced(period_end: object) -> QuerySet[TimeEntry]:
    """Ready entries before `period_end` (local day, exclusive) whose task is proven in Invoice Ninja."""
    return TimeEntry.objects.filter(
        state=EntryState.READY,
        work_date__lt=period_end,
        remote_task__state=RecordState.SYNCED,
        remote_task__synced_revision=F("remote_task__revision"),
    )


def unsynced(period_end: object) -> QuerySet[TimeEntry]:
    """Ready entries before `period_end` (local day, exclusive) that stay out: their task is not proven yet."""
    proven = Q(remote_task__state=RecordState.SYNCED, remote_task__synced_revision=F("remote_task__revision"))
    return TimeEntry.objects.filter(state=EntryState.READY, work_date__lt=period_end).exclude(proven)


# --- building -----------------------------------------------------------------------------------------------------


def build_drafts(rows: Sequence[RunClient]) -> dict[int, Outcome]:
    """Refresh these clients' unapproved drafts of their run, then make the missing ones; by the row's id.

    One draft per client, currency and group. The number of statements does not grow with the clients, as long as none
    of them has a draft already.
    """
    run, outcomes = rows[0].run, {row.pk: Outcome() for row in rows}
    by_client = {row.client_id: row for row in rows}
    taken = set()
    for invoice in _living(run, by_client, outcomes):
        row = by_client[invoice.client_id]
        outcome = outcomes[row.pk]
        taken.add((invoice.client_id, invoice.currency, invoice.group_key))
        if invoice.state in UNAPPROVED:
            kept, sentences = refreshing.refresh(content.lock_invoice(invoice.pk), row.rule_set)
            outcome.invoices += kept
            outcome.sentences += sentences
        else:
            outcome.invoices.append(invoice)
    covered = regrouping.covered(run, by_client)
    missing = []
    for (client_id, currency, group_key), amount in _groups(run, by_client).items():
        row = by_client[client_id]
        if (client_id, currency, group_key) in taken or (client_id, currency) in covered:
            outcomes[row.pk].sentences.append(_came_later(currency, amount))
        elif amount:
            missing.append(content.new_draft(run, row.client, row.rule_set, currency, group_key))
        else:
            outcomes[row.pk].sentences.append(_("Entries that come to 0.00 make no invoice."))
    for invoice in _make(run, missing):
        outcomes[by_client[invoice.client_id].pk].invoices.append(invoice)
    waiting = unsynced(run.period_end).filter(client__in=by_client).order_by().values_list("client")
    for client_id, count in waiting.annotate(count=Count("pk")):
        outcomes[by_client[client_id].pk].sentences.append(_stays_out(count))
    return outcomes


def _living(run: InvoiceRun, rows: Mapping[int, RunClient], outcomes: Mapping[int, Outcome]) -> list[Invoice]:
    """The invoices of these clients that did not end, the drafts among them grouped as the rules say now."""
    living = refreshing.live_invoices(run, rows)
    by_client = defaultdict(list)
    for invoice in living:
        by_client[invoice.client_id].append(invoice)
    told = False
    for client_id, some in by_client.items():
        sentences = regrouping.regroup(rows[client_id], some)
        outcomes[rows[client_id].pk].sentences += sentences
        told = told or bool(sentences)
    return refreshing.live_invoices(run, rows) if told else living


def _groups(run: InvoiceRun, rows: Mapping[int, RunClient]) -> dict[tuple[int, str, str], Decimal]:
    """What is to be billed by client, currency and group, in that order."""
    columns = ("client", "currency", "project")
    grouped = synced(run.period_end).filter(client__in=rows).order_by(*columns).values(*columns)
    amounts: dict[tuple[int, str, str], Decimal] = defaultdict(Decimal)
    for found in grouped.annotate(amount_sum=Sum("amount")):
        by_project = rows[found["client"]].rule_set.grouping == Grouping.PROJECT
        group_key = str(found["project"] or "") if by_project else ""
        amounts[found["client"], found["currency"], group_key] += found["amount_sum"]
    _add_waiting(amounts, run, rows)
    return amounts


def _add_waiting(amounts: dict[tuple[int, str, str], Decimal], run: InvoiceRun, rows: Mapping[int, RunClient]) -> None:
    """Lines by hand that wait for these clients: they join the client's draft, and make one where there is none."""
    waiting = carrying.waiting().filter(invoice__client__in=rows, work_date__lt=run.period_end)
    for line in waiting:
        client_id, currency = line.invoice.client_id, line.invoice.currency
        mine = [key for key in amounts if key[:2] == (client_id, currency)]
        wanted = (client_id, currency, line.invoice.group_key)
        amounts[wanted if wanted in mine or not mine else mine[0]] += line.amount


def _make(run: InvoiceRun, missing: list[Invoice]) -> list[Invoice]:
    """Make, fill and add up these drafts; returns those that bill something. All at once, or one by one where not."""
    if not missing:
        return []
    try:
        with transaction.atomic():
            made = Invoice.objects.bulk_create(missing)
            record_new(made, InvoiceState.DRAFT, why=_("built by the run"), user=run.started_by)
            claim.claim_entries(made, why=_("claimed by the run"), user=run.started_by)
            carrying.carry(made)
            if not all(totals.net for totals in content.retotal_many(made).values()):
                raise _NothingToBill
            return made
    except _NothingToBill:
        for invoice in missing:
            invoice.pk, invoice._state.adding = None, True
            invoice.revision = 1
        return [made for invoice in missing for made in _make(run, [invoice])] if len(missing) > 1 else []


def _came_later(currency: str, amount: Decimal) -> str:
    return _("The invoice is approved already: %(amount)s that came later waits for the next run.") % {
        "amount": money(amount, currency)
    }


def _stays_out(count: int) -> str:
    sentence = ngettext(
        "%(count)d entry is not in Invoice Ninja yet and stays out.",
        "%(count)d entries are not in Invoice Ninja yet and stay out.",
        count,
    )
    return sentence % {"count": count}


# --- what a run leaves out ----------------------------------------------------------------------------------------


def left_out(run: InvoiceRun) -> dict[str, int]:
    """Entries of the run's clients and time that are on no draft: how many by state, and `unsynced` of the ready."""
    rows = TimeEntry.objects.filter(client__in=run.clients.values("client"), work_date__lt=run.period_end)
    states = (EntryState.HELD, EntryState.BELOW_MINIMUM, EntryState.READY)
    counts = dict(rows.filter(state__in=states).values_list("state").annotate(count=Count("pk")).order_by())
    not_proven = unsynced(run.period_end).filter(client__in=run.clients.values("client")).count()
    return {**{state.value: counts.get(state.value, 0) for state in states}, "unsynced": not_proven}
