"""Which run is due: a tick over the current rule sets and the business clock, not a crontab.

Missed run days are caught up in order, one period at a time per client: the next one starts when the one before has
claimed what belongs to it. Periods in which nothing waited are passed over, so a fresh install makes no empty runs;
the newest due period always makes its run, because only its sweep can tell that nothing was worked.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial

from django.db import transaction
from django.db.models import Exists, Min, OuterRef, Q, QuerySet

from billing_console import clock
from billing_console.states import EntryState, RunState
from invoicing.models import ClientSchedule, InvoiceRun, RunClient, RunClientState, RunTrigger
from invoicing.run import billable_before, rules_of, start_run
from mappings.lookups import zone_of
from mappings.models import Client, Frequency, ProjectMapping, RuleSet
from mappings.rules import Period, biweekly, due_runs, iso_week
from sync.models import TimeEntry

RunKey = tuple[str, Period, str]  # frequency, period, IANA zone


def tick() -> list[InvoiceRun]:
    """Start every run that is due by the business clock; returns those that were started or joined by a client.

    Safe in several workers at once: a run is one row per key, and progress is written in the same transaction.
    """
    due: dict[RunKey, list[Client]] = defaultdict(list)
    progress: dict[int, dt.date] = {}
    waiting = _waiting_since()
    done = dict(ClientSchedule.objects.values_list("client_id", "last_run_on"))
    begun = done | _first_work_days(without=done)
    for client, rule_set in rules_of(_clients_to_look_at(waiting)).items():
        next_due = _next_due(rule_set, begun[client.pk], waiting.get(client.pk))
        if next_due is not None:
            progress[client.pk], period = next_due
            due[(rule_set.frequency, period, zone_of(rule_set))].append(client)
    with transaction.atomic():
        runs = [_start(key, rows) for key, rows in sorted(due.items(), key=lambda pair: pair[0])]
        _remember(progress)
    return runs


def _worked() -> QuerySet[TimeEntry]:
    """Dated entries; a client without any has nothing to bill yet."""
    return TimeEntry.objects.filter(work_date__isnull=False).exclude(state=EntryState.VOID)


def _first_work_days(*, without: Iterable[int]) -> dict[int, dt.date]:
    """The first work date of each client that has any, but of those whose ids are in `without`."""
    rows = _worked().filter(client__in=Client.objects.exclude(pk__in=list(without)))
    return dict(rows.values_list("client").annotate(first=Min("work_date")).order_by())


def _waiting_since() -> dict[int, dt.date]:
    """The first work date of what each client could be billed for right now."""
    rows = TimeEntry.objects.filter(billable_before(dt.date.max), client__isnull=False)
    return dict(rows.values_list("client").annotate(first=Min("work_date")).order_by())


def _clients_to_look_at(waiting: Mapping[int, dt.date]) -> QuerySet[Client]:
    """Clients with entries, and a live project or something to bill, of which no run is still being built."""
    busy = RunClient.objects.filter(state__in=(RunClientState.WAITING, RunClientState.FAILED))
    projects = ProjectMapping.objects.filter(client=OuterRef("pk"), is_active=True)
    return (
        Client.objects.filter(Exists(_worked().filter(client=OuterRef("pk"))))
        .filter(Q(pk__in=waiting) | Exists(projects))
        .exclude(pk__in=busy.exclude(run__state=RunState.CANCELLED).values("client"))
    )


def _next_due(rule_set: RuleSet, after: dt.date, waiting_since: dt.date | None) -> tuple[dt.date, Period] | None:
    """The next run day later than `after` that needs a run, with its period; None when nothing is due."""
    due = due_runs(rule_set, after, clock.today(zone_of(rule_set)))
    for run_on, period in due[:-1]:
        if waiting_since is not None and waiting_since < period.end:
            return run_on, period
    return due[-1] if due else None


def _start(key: RunKey, clients: Iterable[Client]) -> InvoiceRun:
    frequency, period, zone = key
    return start_run(frequency, period, timezone=zone, trigger=RunTrigger.SCHEDULE, clients=clients)


def _remember(progress: Mapping[int, dt.date]) -> None:
    ClientSchedule.objects.bulk_create(
        [ClientSchedule(client_id=client_id, last_run_on=run_on) for client_id, run_on in progress.items()],
        update_conflicts=True,
        unique_fields=["client"],
        update_fields=["last_run_on"],
    )


def plan_month(month: Period, clients: Iterable[Client] | None = None) -> dict[RunKey, dict[Client, RuleSet]]:
    """The runs that bill `month` (local days): monthly clients the month, others their periods that end in it.

    For `clients`, or for everyone with a live project or something to bill. In the order in which they would run.
    """
    if clients is None:
        waiting = TimeEntry.objects.filter(billable_before(month.end), client=OuterRef("pk"))
        projects = ProjectMapping.objects.filter(client=OuterRef("pk"), is_active=True)
        clients = Client.objects.filter(Exists(projects) | Exists(waiting))
    plan: dict[RunKey, dict[Client, RuleSet]] = defaultdict(dict)
    for client, rule_set in rules_of(clients).items():
        for period in periods_ending_in(month, rule_set):
            plan[(rule_set.frequency, period, zone_of(rule_set))][client] = rule_set
    return dict(sorted(plan.items(), key=lambda pair: (pair[0][1].end, pair[0])))


def periods_ending_in(month: Period, rule_set: RuleSet) -> list[Period]:
    """The billing periods of these rules whose last day lies in `month`."""
    if rule_set.frequency == Frequency.MONTHLY:
        return [month]
    anchor = rule_set.anchor_date
    if rule_set.frequency == Frequency.BIWEEKLY and anchor is None:
        raise ValueError(f"rule set {rule_set.pk} is biweekly without an anchor")
    find = partial(biweekly, anchor) if rule_set.frequency == Frequency.BIWEEKLY and anchor else iso_week
    found = {find(month.start + dt.timedelta(days=offset)) for offset in range((month.end - month.start).days)}
    return sorted(period for period in found if month.contains(period.last_day))
