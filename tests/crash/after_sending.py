"""What an office does with invoices that were sent, under every fault at once: reminded, credited, paid, cancelled.

Each step is one act of a person (or of a client, there), one fault of Invoice Ninja for some calls, and one worker that
is killed, frozen, cut off from its database, or left alone. Then the faults end, ordinary rounds follow, and the whole
memory of the server is compared with what was asked for.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from django.db import connection, transaction
from django.utils import timezone

from billing_console import clock
from billing_console.errors import NotAllowed, StaleRevision
from billing_console.states import InvoiceState, RecordState, ReminderState
from invoicing import creating, crediting, ending, invoice_credit, marking, payments, reminding, review, sending
from invoicing.credit_asked import Asked, Typed, sums_of
from invoicing.credit_left import left_of
from invoicing.credit_offer import CREDITABLE
from invoicing.models import Credit, CreditMeaning, CreditUse, Invoice, Reminder, Sending, Twin
from invoicing.releasing import Again
from sync import push, work_items, writeback
from sync.models import RemoteRecord, TimeEntry, UpstreamGate
from tests.crash.conftest import Nursery
from tests.crash.rounds import approve_one
from tests.invoicing.world import make_user
from tests.standins import World

WORK: Final = "tests.crash.after_sending.work_at"
CENT: Final = Decimal("0.01")
FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "lost_answer"},
    {"kind": "lost_answer", "method": "POST"},
    {"kind": "half", "method": "POST"},
    {"kind": "half"},
    {"kind": "refused"},
    {"kind": "status", "status": 500, "after": True},
    {"kind": "status", "status": 502},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 429, "wait_seconds": 1},
    {"kind": "status", "status": 400, "body": {"message": "Duplicate request"}, "method": "POST"},
    {"kind": "delay", "seconds": 2.3, "after": True, "method": "POST"},  # after our patience, which is 2 s
    {"kind": "html"},
    {"kind": "html", "method": "POST"},
)
# What only a person can know, or decide: nobody is asked anything else.
ASKED: Final = {"paid_there", "sent_there", "use_refused", "ended_there"}


def work_at(business_time: str) -> None:
    """As `work`, in a process of its own, at the time that it is for everybody else."""
    with clock.set_to(dt.datetime.fromisoformat(business_time)):
        work()


def work() -> None:
    """What the workers of one round do with money, one after the other; a fault of the database ends this worker."""
    for task in (
        push.push_due,
        creating.create_due,
        marking.mark_due,
        sending.send_due,
        reminding.remind_due,
        crediting.write_due,
        writeback.write_due,
        payments.poll,
    ):
        task()


def signal_to(pid: int, number: int) -> None:
    """To a worker that may have finished already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class AfterSending:
    """One office with a few sent invoices; every choice is the dice's, so that a seed plays the same acts again."""

    def __init__(self, world: World, nursery: Nursery, seed: int) -> None:
        self.world, self.nursery, self.dice = world, nursery, random.Random(seed)
        self.user = make_user("Approver")
        self.months = self.cents = 0
        self.done: Counter[str] = Counter()
        self.acts: tuple[Callable[[], bool], ...] = (
            self.bill, self.remind, self.remind, self.credit, self.credit, self.pay, self.pay, self.refund, self.cancel,
        )  # fmt: skip

    # --- people

    def bill(self) -> bool:
        """A draft that waits, or one more month, is approved, then mailed or marked as sent."""
        self.world.ninja.faults.clear()
        draft = Invoice.objects.filter(state=InvoiceState.DRAFT, is_stale=False).order_by("pk").first()
        if draft is not None:
            invoice = review.approve(draft, revision=draft.revision, user=self.user)
        elif self.months < 4:
            invoice = approve_one(self.world, self.months)
            self.months += 1
            self.world.go_to(self.world.ninja.clock.now())  # the month is over for the console, too
        else:
            return False
        self.forget_pauses()
        creating.create_due()
        row = Invoice.objects.get(pk=invoice.pk)
        if row.state != InvoiceState.CREATED:
            return True
        if self.dice.random() < 0.3:
            with transaction.atomic():
                marking.request_mark(sending.lock_sendable(row, row.seal), user=self.user, reason="on paper")
        else:
            sending.request_sending(row, seal=row.seal, user=self.user)
        return True

    def remind(self) -> bool:
        if (invoice := self.some(Invoice.objects.filter(state__in=payments.OWED, balance__gt=0))) is None:
            return False
        Reminder.objects.filter(invoice=invoice, state=ReminderState.SENT).update(reminded_at=None)
        Invoice.objects.filter(pk=invoice.pk).update(last_mail_on=None)
        with self.world.ninja.store.memory.transaction():
            self.world.ninja.store.save("invoices", invoice.remote.remote_id, last_sent_date="")
        text = self.dice.choice(("reminder1", "reminder2"))
        reminding.request_reminder(invoice, text=text, balance=invoice.balance or Decimal(0), user=self.user)
        return True

    def credit(self) -> bool:
        """Some of a line, as wrong hours or as goodwill, set against an invoice or left open."""
        if (invoice := self.some(Invoice.objects.filter(state__in=CREDITABLE))) is None:
            return False
        left = left_of(invoice)
        rows = [
            row for row in left.lines.values() if row.line.entry_id is not None and row.hours > 0 and row.amount > 0
        ]
        if not rows:
            return False
        row, is_hours = self.dice.choice(rows), self.dice.random() < 0.5
        meaning = CreditMeaning.HOURS if is_hours else CreditMeaning.GOODWILL
        self.cents += 1
        amount = min(Decimal(10) + self.cents * CENT, row.amount)
        typed = Typed(hours=str(min(Decimal("0.25"), row.hours))) if is_hours else Typed(amount=str(amount))
        against = self.dice.choice(["", *(str(one.pk) for one in invoice_credit.invoices_to_set_against(invoice))])
        asked = Asked(meaning=meaning, lines={row.line.pk: typed}, against=against)
        mark = invoice_credit.mark_of(asked, left, sums_of(asked, left))
        invoice_credit.request_credit(invoice, asked, mark=mark, user=self.user, note="agreed")
        return True

    def cancel(self) -> bool:
        invoice = self.some(Invoice.objects.filter(state__in=ending.ENDABLE))
        if invoice is None or ending.why_not(invoice):
            return False
        again = self.dice.choice((Again.ANEW, Again.COPY))
        ending.request_end(invoice, seal=invoice.seal, user=self.user, note="wrong", again=again)
        return True

    # --- the client, there

    def pay(self) -> bool:
        rows = [row for row in self.held("invoices") if row["status_id"] in ("2", "3") and row["balance"] > 1]
        if not rows:
            return False
        row = self.dice.choice(rows)
        self.cents += 1
        amount = float(min(Decimal(str(row["balance"])), Decimal(self.dice.choice((20, 70, 9999))) + self.cents * CENT))
        body = {
            "client_id": row["client_id"],
            "amount": amount,
            "invoices": [{"invoice_id": row["id"], "amount": amount}],
        }
        self.by_hand("POST", "/payments", body)
        return True

    def refund(self) -> bool:
        rows = [row for row in self.held("payments") if row["amount"] - row["refunded"] > 1]
        if not rows:
            return False
        row, part = self.dice.choice(rows), 0.07
        parts = [
            one for one in self.by_hand("GET", f"/payments/{row['id']}")["data"]["paymentables"] if one["invoice_id"]
        ]
        if not parts:
            return False
        body = {"id": row["id"], "amount": part, "invoices": [{"invoice_id": parts[0]["invoice_id"], "amount": part}]}
        self.by_hand("POST", "/payments/refund", body)
        return True

    def by_hand(self, method: str, path: str, body: Any = None) -> Any:
        """As the office does it in a browser: its own connection works."""
        faults, self.world.ninja.faults._faults = self.world.ninja.faults._faults, []
        try:
            self.world.ninja.store.guard.clear()
            return self.world.api_ninja(method, path, body)
        finally:
            self.world.ninja.faults._faults = faults

    def held(self, kind: str) -> list[dict[str, Any]]:
        """What the server itself holds and nobody deleted."""
        return [row for row in self.world.ninja.store[kind].all() if not row["is_deleted"]]

    def some(self, rows: Any) -> Invoice | None:
        found = list(rows.select_related("remote", "client").order_by("pk"))
        return self.dice.choice(found) if found else None

    # --- one step

    def step(self) -> None:
        self.world.go_to(self.world.ninja.clock.now() + dt.timedelta(minutes=7))
        act = self.dice.choice(self.acts)
        with contextlib.suppress(NotAllowed, StaleRevision):
            self.done[act.__name__] += act()
        self.world.ninja.store.guard.clear()
        if self.dice.random() < 0.8:
            fault = self.dice.choice(FAULTS)
            self.world.ninja.faults.add(
                {**fault, "count": self.dice.choice((1, 1, 2, 4)), "every": self.dice.choice((1, 2, 3))}
            )
        harm = self.dice.choice(("none", "none", "kill", "kill", "freeze", "cut"))
        self.nursery.run(
            WORK,
            clock.now().isoformat(),
            middle={"none": None, "kill": self.kill, "freeze": self.freeze, "cut": self.cut}[harm],
        )
        self.world.ninja.faults.clear()
        self.forget_pauses()

    def kill(self, pid: int) -> None:
        time.sleep(self.dice.random() * 0.8)
        signal_to(pid, signal.SIGKILL)

    def freeze(self, pid: int) -> None:
        """It sleeps past its leases while another round goes on, and wakes."""
        time.sleep(self.dice.random() * 0.8)
        signal_to(pid, signal.SIGSTOP)
        try:
            self.forget_pauses()
            work()
        finally:
            signal_to(pid, signal.SIGCONT)

    def cut(self, _pid: int) -> None:
        time.sleep(self.dice.random() * 0.8)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def forget_pauses(self) -> None:
        """Leases ran out, waits are over, what the server asked for has passed."""
        past = timezone.now() - dt.timedelta(seconds=1)
        models: tuple[Any, ...] = (RemoteRecord, Sending, Reminder)
        for model in models:
            model.objects.exclude(lease_until=None).update(lease_until=past)
            model.objects.exclude(not_before=None).update(not_before=past)
        UpstreamGate.objects.update(resume_at=None, open_since=None, failures=0)

    # --- the end

    def come_to_rest(self) -> None:
        """Ordinary rounds; those whose mail surely did not leave are told so."""
        self.world.ninja.faults.clear()
        for number in range(14):
            self.forget_pauses()
            self.world.go_to(self.world.ninja.clock.now() + dt.timedelta(minutes=7))
            self.world.ninja.store.guard.clear()
            past = timezone.now() - dt.timedelta(hours=1)
            if number >= 2:
                Sending.objects.filter(finished_at=None).exclude(called_at=None).update(called_at=past)
                Reminder.objects.exclude(called_at=None).update(called_at=past)
            work()
            work_items.read_due()
            self.answer()
            if number > 3 and not self.unsettled():
                return
        raise AssertionError(f"It never comes to rest: {self.unsettled()}")

    def unsettled(self) -> list[Any]:
        settled = (RecordState.SYNCED, RecordState.DROPPED, RecordState.ATTENTION)
        rows: list[Any] = list(
            RemoteRecord.objects.exclude(state__in=settled).values_list("our_key", "state", "sentence")
        )
        rows += Sending.objects.filter(finished_at=None).values_list("pk", "sentence")
        open_ones = Reminder.objects.filter(state__in=(ReminderState.PENDING, ReminderState.SENDING))
        return rows + list(open_ones.values_list("pk", "state", "sentence"))

    def answer(self) -> None:
        """People look there: who is asked about a mail that left all the same was asked about what can be known."""
        for invoice in Invoice.objects.filter(state=InvoiceState.ATTENTION).select_related("remote"):
            assert self.mails_of(invoice, "invoice") == 0, f"{invoice} left, and somebody is asked"
            with contextlib.suppress(NotAllowed):
                sending.decide(invoice, was_sent=False, user=self.user, note="they say no")
        for reminder in Reminder.objects.filter(state=ReminderState.ATTENTION).select_related("invoice__remote"):
            with contextlib.suppress(NotAllowed):
                reminding.decide(reminder, arrived=False, user=self.user, note="they say no")

    def mails_of(self, invoice: Invoice, *templates: str) -> int:
        """How many mails of these kinds left for the invoice, by the server's memory."""
        there = invoice.remote.remote_id if invoice.remote else None
        return sum(
            mail["entity_id"] == there and mail["template"] in templates for mail in self.world.ninja.state()["mails"]
        )

    def judge(self) -> None:
        self.made_once()
        self.mailed_once()
        self.asked_for_nothing_that_can_be_known()
        self.money_is_as_there()
        self.hours_count_once()

    def made_once(self) -> None:
        """One invoice and one credit per key, one payment per use."""
        keys = Counter(row["private_notes"] for row in self.world.ninja.store["invoices"].all())
        assert keys == Counter(
            Invoice.objects.filter(remote__attempts__gte=0)
            .exclude(remote__remote_id=None)
            .values_list("remote__our_key", flat=True)
        )
        credits = Counter(row["private_notes"] for row in self.world.ninja.store["credits"].all())
        assert set(credits.values()) <= {1}
        assert set(credits) == {one.key for one in Credit.objects.exclude(remote__remote_id=None)}
        used = Counter(self._pairs())
        assert set(used.values()) <= {1}, used
        uses = CreditUse.objects.filter(remote__state=RecordState.SYNCED).select_related("remote")
        proven = {(use.remote.desired["credit_id"], use.remote.desired["invoice_id"]) for use in uses}
        assert proven == set(used), (
            proven,
            used,
            list(CreditUse.objects.values_list("remote__state", "remote__reason")),
        )
        assert not Twin.objects.exists()

    def _pairs(self) -> list[tuple[str, str]]:
        found = []
        for row in self.held("payments"):
            parts = self.by_hand("GET", f"/payments/{row['id']}")["data"]["paymentables"]
            credits = [one["credit_id"] for one in parts if one.get("credit_id")]
            invoices = [one["invoice_id"] for one in parts if one.get("invoice_id")]
            found += [(credit, invoice) for credit in credits for invoice in invoices]
        return found

    def mailed_once(self) -> None:
        for invoice in Invoice.objects.select_related("remote"):
            assert self.mails_of(invoice, "invoice") <= 1, invoice
            sent = Reminder.objects.filter(invoice=invoice, state=ReminderState.SENT).count()
            assert self.mails_of(invoice, "reminder1", "reminder2") == sent, invoice

    def asked_for_nothing_that_can_be_known(self) -> None:
        waiting = RemoteRecord.objects.filter(state=RecordState.ATTENTION)
        asked = list(waiting.exclude(reason__in=ASKED).values_list("our_key", "reason", "sentence"))
        assert asked == []

    def money_is_as_there(self) -> None:
        for invoice in Invoice.objects.exclude(remote__remote_id=None).select_related("remote"):
            there = self.world.ninja.store["invoices"].get(invoice.remote.remote_id)
            if there["is_deleted"] or there["status_id"] in ("5", "6"):
                assert invoice.state in (InvoiceState.CANCELLED, InvoiceState.REVERSED), invoice
                continue
            theirs = tuple(Decimal(str(there[name])).quantize(CENT) for name in ("balance", "paid_to_date"))
            ours = (invoice.balance, invoice.paid_to_date)
            assert ours == theirs, (
                invoice,
                ours,
                theirs,
                invoice.state,
                invoice.remote_updated_at,
                there["updated_at"],
            )

    def hours_count_once(self) -> None:
        """Each entry is on one living invoice with its task, or on none and its task is free or on an ended one."""
        living = {row["id"] for row in self.held("invoices") if row["status_id"] not in ("5", "6")}
        for entry in TimeEntry.objects.select_related("remote_task"):
            task = self.world.ninja.store["tasks"].get(entry.remote_task.remote_id)
            lines = entry.lines.filter(is_voided=False, invoice__remote__remote_id__in=living)
            ids = list(lines.values_list("invoice__remote__remote_id", flat=True))
            assert len(ids) <= 1, entry
            assert ([task["invoice_id"]] if task["invoice_id"] in living else []) == ids, entry
            assert (entry.state == "invoiced") == bool(ids), (entry, entry.state)
