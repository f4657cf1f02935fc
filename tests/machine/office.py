"""People, webhooks, faults and workers in any order; the memory of both servers says whether it came out right."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.test import Client as Browser
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from billing_console import clock
from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState
from invoicing import payments, review, run, sending
from invoicing.models import Invoice
from mappings.rules import month
from sandbox import scenario
from tests.machine import rest
from tests.machine.desk import ACTS, Desk
from tests.machine.facts import Inputs, Item
from tests.machine.rest import BRUSSELS, CLIENT, DRAINS, RATE, end_leases, somebody
from tests.machine.wire import Fate, Killed, by_hand
from tests.standins import MORNING, World

# What people type, and what it comes to: quarter hours up, at least one quarter (billing-rules: Rounding, Minimum).
HOURS: dict[Any, str] = {0.1: "0.25", 1: "1", 1.05: "1.25", "2,5": "2.5", 4.5: "4.5"}
FAULTS: dict[str, dict[str, Any]] = {
    "lost answer": {"kind": "lost_answer"},
    "lost write": {"kind": "lost_answer", "method": "POST|PUT|PATCH"},
    "dropped": {"kind": "refused"},
    "broken after the work": {"kind": "status", "status": 500, "after": True},
    "broken": {"kind": "status", "status": 500},
    "throttled": {"kind": "status", "status": 429},
    "down": {"kind": "status", "status": 503},
    "a page": {"kind": "html"},
}


@dataclass
class Typed:
    """What people did to one task of Taiga: the truth that the console must arrive at."""

    task: int
    hours: Any
    ref: int = 0
    client: str = ""  # whom somebody named in the field; Invoice Ninja's id
    is_billable: bool = True
    is_closed: bool = False
    is_gone: bool = False
    has_story: bool = True  # of a task without one Taiga tells nothing: the sweep finds what changed

    @property
    def billed(self) -> Decimal:
        """Hours to be billed by what it says now."""
        return Decimal(HOURS[self.hours]) if self.is_billable else Decimal(0)

    @property
    def inputs(self) -> Inputs:
        """The same for the ledger."""
        raw = Decimal(str(self.hours).replace(",", "."))
        return Inputs(raw, self.is_billable, self.client or scenario.WEBSITE.client_id)


class Office(RuleBasedStateMachine):
    """Random days of an office; `teardown` lets everything come to rest and compares."""

    tasks = Bundle("tasks")
    world: World
    fate: Fate
    mail: list[tuple[bytes, dict[str, str]]]

    def __init__(self) -> None:
        super().__init__()
        self.typed: dict[int, Typed] = {}
        self.clocks = ExitStack()
        self.now = MORNING
        self.browser = Browser()
        self.hours = list(HOURS)
        self.desk = Desk(self)
        self.desk.ledger.rates = [(dt.date.min, RATE)]
        self.is_exact = True  # nothing was typed since everything came to rest
        self.is_untold = False  # Taiga told nothing of what was typed
        self.tokens: dict[Any, str] = {}
        self.pass_time()

    # --- people in Taiga

    def taiga(self, method: str, path: str, body: Any = None) -> Any:
        key = self.now.date()
        if key not in self.tokens:
            login = {"type": "normal", "username": "alice", "password": scenario.PASSWORD}
            self.tokens[key] = by_hand(self.world.taiga, "POST", "/auth", login)["auth_token"]
        return by_hand(self.world.taiga, method, path, body, Authorization=f"Bearer {self.tokens[key]}")

    def ninja(self, method: str, path: str, body: Any = None) -> Any:
        return by_hand(self.world.ninja, method, path, body, **{"X-API-TOKEN": scenario.NINJA_TOKEN})

    def pass_time(self, by: dt.timedelta = dt.timedelta(minutes=7)) -> None:
        self.now += by
        self.clocks.enter_context(clock.set_to(self.now))
        for standin in (self.world.taiga, self.world.ninja):
            standin.clock.set(self.now)

    def set_values(self, typed: Typed) -> None:
        path = f"/tasks/custom-attributes-values/{typed.task}"
        now = self.taiga("GET", path)
        ids = self.names["attributes"]
        values = {**now["attributes_values"], str(ids[scenario.HOURS]): typed.hours}
        values[str(ids[scenario.BILLABLE])] = typed.is_billable
        if typed.client:
            values[str(ids[CLIENT])] = typed.client
        self.taiga("PATCH", path, {"attributes_values": values, "version": now["version"]})
        self.note(typed)

    def note(self, typed: Typed) -> None:
        """The ledger learns what Taiga says now."""
        item = self.desk.ledger.items.setdefault(typed.task, Item(typed.task, typed.inputs))
        item.inputs, item.is_closed, item.is_gone = typed.inputs, typed.is_closed, typed.is_gone
        if typed.is_closed:
            item.days.add(self.now.astimezone(BRUSSELS).date())
        self.is_exact = False
        self.is_untold = self.is_untold or not typed.has_story

    def move(self, typed: Typed, *, is_closed: bool) -> None:
        typed.is_closed = is_closed
        version = self.taiga("GET", f"/tasks/{typed.task}")["version"]
        status = self.names["statuses"]["Closed" if is_closed else "In progress"]
        self.taiga("PATCH", f"/tasks/{typed.task}", {"version": version, "status": status})
        self.note(typed)
        if not is_closed:
            self.desk.ledger.leave_draft(typed.task)

    @rule(target=tasks, hours=st.sampled_from(list(HOURS)), has_story=st.booleans(), types_late=st.booleans())
    def close(self, hours: Any, has_story: bool, types_late: bool) -> int:
        self.pass_time()
        subject = f"Task {len(self.typed)}"
        body = {
            "project": self.world.mapping.taiga_project_id,
            "subject": subject,
            "user_story": self.names["story"] if has_story else None,
            "assigned_to": self.names["alice"],
        }
        row = self.taiga("POST", "/tasks", body)
        if row is None:
            rows = self.taiga("GET", f"/tasks?project={self.world.mapping.taiga_project_id}&page_size=1000")
            row = next(row for row in rows if row["subject"] == subject)
        typed = self.typed[int(row["id"])] = Typed(int(row["id"]), hours, row["ref"], has_story=has_story)
        if types_late:
            self.move(typed, is_closed=True)
            self.set_values(typed)
        else:
            self.set_values(typed)
            self.move(typed, is_closed=True)
        return typed.task

    @rule(task=tasks, hours=st.sampled_from(list(HOURS)))
    def type_hours(self, task: int, hours: Any) -> None:
        self.pass_time()
        typed = self.typed[task]
        if not typed.is_gone:
            typed.hours = hours
            self.set_values(typed)

    @rule(task=tasks)
    def tick_billable(self, task: int) -> None:
        self.pass_time()
        typed = self.typed[task]
        if not typed.is_gone:
            typed.is_billable = not typed.is_billable
            self.set_values(typed)

    @rule(task=tasks, hours=st.none() | st.sampled_from(list(HOURS)))
    def reopen_and_close(self, task: int, hours: Any) -> None:
        self.pass_time()
        typed = self.typed[task]
        if typed.is_gone:
            return
        self.move(typed, is_closed=False)
        if hours is not None:
            typed.hours = hours
            self.set_values(typed)
        self.pass_time()
        self.move(typed, is_closed=True)

    @rule(task=tasks)
    def move_over(self, task: int) -> None:
        self.pass_time()
        typed = self.typed[task]
        if not typed.is_gone:
            self.move(typed, is_closed=not typed.is_closed)

    @rule(task=tasks)
    def delete(self, task: int) -> None:
        self.pass_time()
        typed = self.typed[task]
        if not typed.is_gone:
            typed.is_gone = True
            self.taiga("DELETE", f"/tasks/{task}")
            self.note(typed)

    # --- webhooks

    @precondition(lambda self: self.mail)
    @rule(data=st.data(), fate=st.sampled_from(["arrives", "arrives twice", "is lost", "arrives and stays"]))
    def webhook(self, data: st.DataObject, fate: str) -> None:
        place = data.draw(st.integers(0, len(self.mail) - 1))
        body, headers = self.mail[place]
        if fate != "arrives and stays":
            del self.mail[place]
        for _time in range({"is lost": 0, "arrives twice": 2}.get(fate, 1)):
            self.deliver(body, headers)

    def deliver_all(self) -> None:
        """Every delivery arrives, in order, and is worked on."""
        while self.mail:
            self.deliver(*self.mail.pop(0))
        DRAINS["deliveries"]()

    def deliver(self, body: bytes, headers: dict[str, str]) -> None:
        signed = {name: value for name, value in headers.items() if name.startswith("X-")}
        answer = self.browser.post("/webhooks/taiga", body, content_type="application/json", headers=signed)
        assert answer.status_code == 202, answer.content

    # --- the servers and the workers

    @rule(server=st.sampled_from(["taiga", "ninja"]), fault=st.sampled_from(sorted(FAULTS)), count=st.integers(1, 2))
    def fail(self, server: str, fault: str, count: int) -> None:
        spec = {**FAULTS[fault], "count": count}
        for method in spec.pop("method", "*").split("|"):
            getattr(self.world, server).faults.add({**spec, "method": method})

    @rule(step=st.sampled_from(sorted(DRAINS)))
    def work(self, step: str) -> None:
        DRAINS[step]()

    @rule(step=st.sampled_from(sorted(DRAINS)), moments=st.integers(0, 12))
    def work_and_die(self, step: str, moments: int) -> None:
        self.fate.dies_after = moments
        try:
            DRAINS[step]()
        except Killed:
            pass
        finally:
            self.fate.spare()

    @rule(
        step=st.sampled_from(sorted(DRAINS)),
        other=st.sampled_from(sorted(DRAINS)),
        calls=st.integers(0, 8),
        sleeps=st.booleans(),
    )
    def work_at_once(self, step: str, other: str, calls: int, sleeps: bool) -> None:
        """Another worker comes in between; where ours `sleeps` with its answer in hand, it wakes past its lease."""

        def meanwhile(is_answered: bool) -> None:
            if sleeps and is_answered:
                end_leases()
            DRAINS[other]()

        self.fate.meanwhile_after, self.fate.meanwhile = calls, meanwhile
        try:
            DRAINS[step]()
        finally:
            self.fate.spare()

    @rule()
    def end_leases(self) -> None:
        end_leases()

    # --- invoices

    @precondition(lambda self: self.typed)
    @rule(is_sent=st.booleans())
    def bill(self, is_sent: bool) -> None:
        """On the 2nd of the next month somebody approves what the run of the last one built."""
        self.prepare()
        self.approve_all()
        if is_sent:
            DRAINS["invoices"]()
            self.ask_for_mails()

    @precondition(lambda self: self.typed)
    @rule()
    def prepare(self) -> None:
        """On the 2nd of the next month the run of the last one builds its drafts."""
        billed = month(self.now.year, self.now.month)
        self.pass_time(dt.datetime(billed.end.year, billed.end.month, 2, 9, tzinfo=dt.UTC) - self.now)
        run.start_run("monthly", billed, timezone="Europe/Brussels", trigger="person")
        for step in ("runs", "items", "push", "writeback", "runs"):
            DRAINS[step]()

    @rule()
    def approve_all(self) -> None:
        for draft in Invoice.objects.filter(state=InvoiceState.DRAFT):
            self.approve(draft)

    @precondition(lambda self: self.typed)
    @rule(name=st.sampled_from(ACTS), dice=st.randoms(use_true_random=False))
    def at_the_desk(self, name: str, dice: random.Random) -> None:
        """When everything has come to rest, somebody writes over a line, decides, or answers (see `desk`)."""
        self.settle()
        self.desk.act(name, dice)

    def settle(self) -> None:
        """Faults pass, everything comes to rest, and every hour and cent must be somewhere."""
        self.fate.spare()
        for standin in (self.world.taiga, self.world.ninja):
            standin.faults.clear()
        self.pass_time()
        rest.come_to_rest(self.world)
        if payments.poll():
            rest.come_to_rest_again(self.world)
        self.account()

    def calm(self) -> None:
        """The same after one act on what had come to rest: what Taiga tells arrives, and what is due is done."""
        self.pass_time()
        self.deliver_all()
        if self.is_untold:
            DRAINS["sweep"]()
            self.is_untold = False
        rest.come_to_rest_again(self.world)
        self.account()

    def account(self) -> None:
        """Every hour and cent must be somewhere."""
        self.witness().account(is_exact=self.is_exact)
        self.is_exact = True

    def witness(self) -> rest.Witness:
        return rest.Witness(self.world, self.typed.values(), self.taiga, self.desk.ledger)

    def approve(self, draft: Invoice) -> None:
        try:
            review.approve(draft, revision=draft.revision, user=somebody())
        except NotAllowed:
            return  # something changed meanwhile: it stays a draft until it is refreshed

    def ask_for_mails(self) -> None:
        for invoice in Invoice.objects.filter(state=InvoiceState.CREATED):
            try:
                sending.request_sending(invoice, seal=invoice.seal, user=somebody())
            except NotAllowed:
                continue

    # --- what must be so at any moment

    @invariant()
    def nothing_is_there_twice(self) -> None:
        tables = self.world.ninja.memory.dump()
        for table, key in (("tasks", "number"), ("invoices", "private_notes")):
            twice = [name for name, count in Counter(row[key] for row in tables[table]).items() if count > 1]
            assert twice == [], (table, twice)
        assert self.world.ninja.broken == self.world.taiga.broken == ""

    def teardown(self) -> None:
        try:
            self.pass_time(dt.timedelta(hours=1))
            self.settle()
            self.witness().compare()
        finally:
            self.clocks.close()
