"""Month after month of an office: work at every edge of the calendar, late hours, second thoughts, faults and kills;
invoices that are paid, half paid, refunded, written off, cancelled or deleted, and money on no invoice. Whoever plays
it says how often it must balance."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any

from billing_console.states import InvoiceState
from invoicing import crediting, payments, readings, run, verdict, writing_off
from invoicing.models import Invoice, Payment
from mappings.rules import Period, month
from sync.clients.ninja_rows import NinjaId
from sync.models import TimeEntry
from tests.machine import rest
from tests.machine.desk import IN_TAIGA, ON_DRAFTS, ON_INVOICES
from tests.machine.office import FAULTS, HOURS, Office, Typed
from tests.machine.rest import BRUSSELS

CENT = Decimal("0.01")
LAST_INSTANT = dt.timedelta(seconds=1)


def local(day: dt.date, hour: int, minute: int = 0) -> dt.datetime:
    """An instant by the clock on the wall in Brussels."""
    return dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=BRUSSELS).astimezone(dt.UTC)


class Years:
    """Plays months on an office; what chance decides is decided by `seed`."""

    def __init__(self, office: Office, seed: int) -> None:
        self.office = office
        self.dice = random.Random(seed)
        self.played: list[Period] = []
        self.unticked: list[int] = []
        self.kills = self.cents = 0

    # --- one month

    def play(self, period: Period) -> None:
        """Work all month, bill it on the 2nd of the next one, and let the clients pay."""
        self.second_thoughts(period)
        self.people_act(IN_TAIGA, 2)
        for instant in self.edges_of(period):
            self.go_to(instant)
            self.close()
            if self.dice.random() < 0.5:
                self.work_a_little()
        self.bill(period)
        self.clients_act()
        self.people_act(("answer", "answer", "answer", "release", "cancel", "credit"), 4)
        self.played.append(period)

    def people_act(self, acts: tuple[str, ...], count: int) -> None:
        """So many acts at the desk, any of `acts`; each on what has come to rest."""
        for _time in range(count):
            self.office.desk.act(self.dice.choice(acts), self.dice)
            self.office.calm()

    def edges_of(self, period: Period) -> list[dt.datetime]:
        """The first and the last instant of the month, an hour around each change of the clocks, and any two days."""
        last = period.end - dt.timedelta(days=1)
        some = [local(period.start + dt.timedelta(days=self.dice.randrange(2, 25)), 14) for _number in range(2)]
        found = [local(period.start, 0), local(last, 23, 59), local(period.end, 0) - LAST_INSTANT, *some]
        day = period.start
        while day < period.end:
            if local(day, 0).astimezone(BRUSSELS).utcoffset() != local(day, 12).astimezone(BRUSSELS).utcoffset():
                found += [local(day, 1, 30), local(day, 3, 30)]
            day += dt.timedelta(days=1)
        return sorted(found)

    def go_to(self, instant: dt.datetime) -> None:
        if instant > self.office.now:
            self.office.pass_time(instant - self.office.now)

    def close(self) -> None:
        """A task is closed now; one in five is ticked only after its month was billed."""
        office = self.office
        typed = Typed(0, self.dice.choice(list(HOURS)), is_billable=self.dice.random() < 0.8)
        body = {
            "project": office.world.mapping.taiga_project_id,
            "subject": f"Task {len(office.typed)}",
            "user_story": office.names["story"],
            "assigned_to": office.names["alice"],
        }
        row = office.taiga("POST", "/tasks", body)
        typed.task, typed.ref = int(row["id"]), row["ref"]
        office.typed[typed.task] = typed
        office.set_values(typed)
        office.move(typed, is_closed=True)
        if not typed.is_billable:
            self.unticked.append(typed.task)

    def second_thoughts(self, period: Period) -> None:
        """Early in the month: what was forgotten is ticked, hours are added or taken away, something is deleted."""
        office = self.office
        self.go_to(local(period.start, 9))
        for task in self.unticked[:2]:
            if not office.typed[task].is_gone:
                office.typed[task].is_billable = True
                office.set_values(office.typed[task])
        self.unticked = []
        old = [task for task, typed in office.typed.items() if not typed.is_gone]
        for task in self.dice.sample(old, min(2, len(old))):
            office.reopen_and_close(task, hours=self.dice.choice(list(HOURS)))
        if old and self.dice.random() < 0.3:
            office.delete(self.dice.choice(old))
        office.settle()

    def work_a_little(self) -> None:
        """Some webhooks come, some are lost; a worker meets a fault, or dies."""
        office = self.office
        if self.dice.random() < 0.5:
            office.deliver_all()
        else:
            office.mail.clear()
        office.fail(
            self.dice.choice(["taiga", "ninja"]), fault=self.dice.choice(sorted(FAULTS)), count=self.dice.choice([1, 2])
        )
        for step in ("items", "push", "writeback"):
            office.work_and_die(step=step, moments=self.dice.randrange(0, 20))
            self.kills += 1
        for standin in (office.world.taiga, office.world.ninja):
            standin.faults.clear()

    def bill(self, period: Period) -> None:
        """On the 2nd: the run, the approvals, the creation and the mails, with a kill in each."""
        office = self.office
        self.go_to(local(period.end + dt.timedelta(days=1), 10))
        office.settle()
        self.ask(period)
        for step in ("runs", "invoices", "mails"):
            office.work_and_die(step=step, moments=self.dice.randrange(0, 12))
            self.kills += 1
            office.settle()
            if step == "runs":
                self.people_act((*ON_DRAFTS, "use_open_credit"), 4)
                self.ask(period)  # once more, for what was rejected
                office.calm()
            office.approve_all()
            office.calm()
            if step == "invoices":
                self.people_act(ON_INVOICES, 1)
                office.approve_all()
                office.calm()
                office.ask_for_mails()
        waiting = Invoice.objects.filter(state__in=(InvoiceState.DRAFT, InvoiceState.APPROVED, InvoiceState.CREATED))
        assert list(waiting.exclude(state=InvoiceState.CREATED)) == []

    def ask(self, period: Period) -> None:
        """Start the run of the period, or ask for its drafts again."""
        run.start_run("monthly", period, timezone="Europe/Brussels", trigger="person")

    # --- the clients

    def clients_act(self) -> None:
        """Each open invoice is paid, half paid, refunded, cancelled, deleted, or left for another month."""
        payments.poll()
        owed = Invoice.objects.filter(state__in=payments.OWED, balance__gt=0)
        for invoice in owed.select_related("remote", "client").order_by("pk"):
            acts = [self.pay, self.pay_too_much, self.pay_a_part, self.pay_and_refund, self.end, self.wait]
            act = self.dice.choice([*acts, self.write_off_the_rest, self.cancel_the_rest])
            act(invoice)
        self.pay_beside()
        payments.poll()
        self.office.settle()

    def there_id(self, invoice: Invoice) -> NinjaId:
        assert invoice.remote is not None
        return NinjaId(invoice.remote.remote_id or "")

    def bulk(self, action: str, invoice: Invoice) -> None:
        self.office.ninja("POST", "/invoices/bulk", {"action": action, "ids": [self.there_id(invoice)]})

    def pay(self, invoice: Invoice) -> None:
        self.bulk("mark_paid", invoice)

    def pay_too_much(self, invoice: Invoice) -> None:
        """Paid with 15.00 more than is owed: what is over stays on no invoice."""
        self.cents += 1
        amount = (invoice.balance or Decimal(0)) + 15 + self.cents * CENT
        part = {"invoice_id": self.there_id(invoice), "amount": invoice.balance}
        body = {"client_id": invoice.client.ninja_id, "amount": amount, "invoices": [part]}
        self.office.ninja("POST", "/payments", body)

    def pay_a_part(self, invoice: Invoice) -> str:
        self.cents += 1  # never the same amount twice: the server takes that for a double click
        assert invoice.balance is not None
        amount = (invoice.balance * Decimal("0.4")).quantize(CENT) + self.cents * CENT
        amount = min(amount, invoice.balance)
        part = {"invoice_id": self.there_id(invoice), "amount": amount}
        body = {"client_id": invoice.client.ninja_id, "amount": amount, "invoices": [part]}
        return str(self.office.ninja("POST", "/payments", body)["data"]["id"])

    def pay_and_refund(self, invoice: Invoice) -> None:
        payment = self.pay_a_part(invoice)
        part = {"invoice_id": self.there_id(invoice), "amount": CENT * 7}
        self.office.ninja("POST", "/payments/refund", {"id": payment, "amount": CENT * 7, "invoices": [part]})

    def end(self, invoice: Invoice) -> None:
        """Cancelled or deleted; only where no money came in, or a person must decide first."""
        if not invoice.paid_to_date and not Payment.objects.filter(invoice=invoice).exists():
            self.bulk(self.dice.choice(["cancel", "delete"]), invoice)

    def write_off_the_rest(self, invoice: Invoice) -> None:
        """A part comes in, and an approver writes the rest off."""
        self.pay_a_part(invoice)
        payments.poll()
        row = Invoice.objects.get(pk=invoice.pk)
        if writing_off.why_not(row):
            return
        facts = {"amount": str(row.balance), "balance": str(row.balance), "cause": "bank_costs", "note": "fee"}
        writing_off.request_write_off(row, **facts, user=rest.somebody())
        self.office.world.ninja.store.guard.clear()  # the use of another credit may lie within the same second
        crediting.write_due()

    def cancel_the_rest(self, invoice: Invoice) -> None:
        """A part comes in, and the rest is cancelled there."""
        self.pay_a_part(invoice)
        self.bulk("cancel", invoice)

    def pay_beside(self) -> None:
        """Money comes in that names no invoice."""
        self.cents += 1
        body = {"client_id": self.office.world.client.ninja_id, "amount": 5 + self.cents * CENT}
        self.office.ninja("POST", "/payments", body)

    def wait(self, invoice: Invoice) -> None:
        """Not this month."""

    # --- what must be so

    def balance(self, period: Period) -> dict[str, Any]:
        """The residues of a month, after both servers were read; {} when it balances to the cent."""
        assert readings.read_now().sentence == ""
        return self.residues(period)

    def residues(self, period: Period) -> dict[str, Any]:
        """The same, by the last reading."""
        found = verdict.prove(period).identities
        assert len(found) == 8
        return {row.name: (row.residue, row.leftovers) for row in found if not row.is_true}

    def compare_with_what_people_did(self) -> None:
        """Each item is billed for its last hours (or says by how much not), by what both servers hold."""
        witness = self.office.witness()
        witness.account(is_exact=True)
        for typed in witness.typed:
            witness.compare_item(typed)

    def asked_there(self) -> Decimal:
        """What clients are asked for in all, before tax, by Invoice Ninja's memory: lines less credits for work."""
        witness = self.office.witness()
        lines = [
            line for bill in witness.bills() if bill.id not in self.office.desk.ledger.ended for line in bill.lines
        ]
        return sum((line.amount for line in lines), Decimal(0)) - sum(witness.credits().values(), Decimal(0))

    def work_dates(self) -> set[dt.date]:
        """The days by which something was billed."""
        rows = TimeEntry.objects.filter(state="invoiced", work_date__isnull=False)
        return {day for day in rows.values_list("work_date", flat=True) if day}


def months(first: tuple[int, int], count: int) -> list[Period]:
    """`count` months from `first` on."""
    year, number = first
    return [month(year + (number - 1 + index) // 12, (number - 1 + index) % 12 + 1) for index in range(count)]
