"""Whatever people do to one task and its lines, in any order: nothing is billed twice, nothing is lost unasked.

The oracle is told what was typed and what was written, and knows of no row but the lines of living invoices: what is
settled is Σ printed + waived − added, and what differs from Taiga's hours is asked about or waits to be billed.
"""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from billing_console import clock
from billing_console.errors import NotAllowed
from invoicing import adjusting, build, carrying, reconcile, review
from invoicing.models import Invoice, InvoiceLine, Meaning
from invoicing.run import refresh_run
from mappings.rules import month
from sync import attention
from sync.models import Difference, TimeEntry, WorkItem
from tests.invoicing.world import (
    IN_JANUARY,
    built,
    change_hours,
    make_client,
    make_project,
    make_user,
    make_work,
    on_screen,
    prove,
)

pytestmark = pytest.mark.django_db
HOURS = st.sampled_from(["1", "2.5", "4", "6"])
WRITE = st.tuples(st.just("write"), HOURS, st.sampled_from(Meaning.values))
ACTS = st.one_of(
    st.tuples(st.just("close"), HOURS),
    WRITE,
    st.tuples(st.just("add")),
    st.tuples(st.just("reject")),
    st.tuples(st.just("approve")),
    st.tuples(st.just("confirm")),
    st.tuples(st.just("bill")),
)


class Story:
    """One task, one client, the acts of people on them; what was written by hand and not taken back."""

    def __init__(self) -> None:
        self.user = make_user("Billing clerk")
        self.entry = make_work(make_project(make_client()), "4", ref=5)
        self.run = built()
        self.hours = "4"
        self.by_hand = D(0)

    @property
    def draft(self) -> Invoice | None:
        return Invoice.objects.filter(state="draft").first()

    def close(self, hours: str) -> None:
        self.hours = hours
        item = WorkItem.objects.get(pk=self.entry.item_id)
        item.closings += 1
        item.save(update_fields=["closings"])
        change_hours(self.entry, hours)

    def write(self, hours: str, meaning: str) -> None:
        line = InvoiceLine.objects.filter(invoice=self.draft, is_voided=False, entry__isnull=False).first()
        if self.draft is not None and line is not None:
            figures: dict[str, Any] = {"hours": D(hours), "rate": D(95), "meaning": meaning}
            adjusting.adjust_line(line, seen=on_screen(line), user=self.user, reason="said", **figures)

    def add(self) -> None:
        if self.draft is not None:
            what: dict[str, Any] = {"text": "Flat", "quantity": D(1), "price": D("12.34"), "reason": "contract"}
            adjusting.add_line(self.draft, user=self.user, **what)
            self.by_hand += D("12.34")

    def reject(self) -> None:
        if self.draft is not None:
            review.reject_draft(self.draft, revision=self.draft.revision, user=self.user, reason="anew")

    def approve(self) -> None:
        if self.draft is not None:
            review.approve(self.draft, revision=self.draft.revision, user=None)

    def confirm(self) -> None:
        for held in TimeEntry.objects.filter(state="held"):
            attention.confirm_entry(held, user=self.user)

    def bill(self) -> None:
        """The newest run is asked again; a further one begins where the period is billed."""
        for entry in TimeEntry.objects.filter(state="ready"):
            prove(entry)
        refresh_run(self.run)
        build.build_due()
        is_unbilled = TimeEntry.objects.filter(state="ready").exists() or carrying.waiting().exists()
        if is_unbilled and self.draft is None:
            number = Invoice.objects.count() + 1
            self.run = built(month(2026 + number // 12, number % 12 + 1), is_early=True)

    def check(self) -> None:
        lines = InvoiceLine.objects.filter(is_voided=False)
        work = [line for line in lines.select_related("entry", "invoice") if line.entry is not None]
        by_hand = [line.amount for line in lines if line.entry is None]
        waiting = [line.amount for line in carrying.waiting()]
        assert sum(by_hand) + sum(waiting) == self.by_hand  # each line by hand is in one place
        sealed = [line for line in work if line.invoice.state == "approved"]
        settled = sum((line.billed_hours + line.waived_hours for line in sealed), start=D(0))
        printed = sum((line.billed_hours for line in sealed), start=D(0))
        said = any(line.is_adjusted for line in sealed)
        open_entries = list(
            TimeEntry.objects.filter(state__in=("ready", "held", "claimed")).exclude(
                pk__in=[line.entry_id for line in sealed]
            )
        )
        offered = sum((row.billed_hours or D(0) for row in open_entries), start=D(0))
        asked = Difference.objects.filter(state="open").exists()
        if said and sealed:
            for row in open_entries:
                assert row.state == "held" or row.is_confirmed, "billed by itself after a person's word"
        now = D(self.hours)
        if min(settled, printed) <= now <= max(settled, printed):
            assert offered == 0 or not sealed
        else:
            assert asked or offered == now - settled, (settled, printed, now, offered)
        for identity in reconcile.check(None)[:3]:
            assert identity.is_true, (identity.name, identity.residue, identity.leftovers)


@given(before=st.lists(ACTS, max_size=3), word=WRITE, after=st.lists(ACTS, max_size=5))
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_an_hour_is_billed_once_whatever_people_write_over_it(
    before: list[tuple[str, ...]], word: tuple[str, ...], after: list[tuple[str, ...]], db: None
) -> None:
    """Left to chance alone, hardly any story would approve what somebody wrote."""
    with transaction.atomic(), clock.set_to(IN_JANUARY):
        story = Story()
        for act, *said in (*before, ("bill",), word, ("approve",), *after):
            try:
                getattr(story, act)(*said)
            except NotAllowed:
                continue  # refused with a sentence, and nothing done
        story.reject()  # what is still in review
        story.close(story.hours)  # closed once more, as it is
        story.check()
        transaction.set_rollback(True)
