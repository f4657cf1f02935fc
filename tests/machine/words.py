"""Months of an office in which little is worked and much is said: people write over lines, decide and take back.

Nothing fails and nobody is killed, so that each month is dense with what people say; `years` has the storms. When the
year is over every question is answered and everything is billed.
"""

from __future__ import annotations

import datetime as dt

from billing_console.states import InvoiceState
from invoicing.models import Invoice
from mappings.rules import Period
from sync.models import Difference, TimeEntry
from tests.machine.desk import IN_TAIGA, ON_DRAFTS, ON_INVOICES
from tests.machine.years import Years, local

QUESTIONS = ("answer", "answer", "release")
MOST_QUESTIONS = 60  # that are answered in one round when the books are closed


class Words(Years):
    """Plays such months on an office; what chance decides is decided by its seed.

    On each of `days` a task is closed. `before`, `on_drafts`, `when_created` and `after` are the acts that people
    choose from: until the run, until the approval, until the mail, and then.
    """

    days: tuple[int, ...] = (3, 14, 25)
    before: tuple[str, ...] = (*IN_TAIGA, *QUESTIONS)
    on_drafts: tuple[str, ...] = ON_DRAFTS
    when_created: tuple[str, ...] = (*ON_INVOICES, *IN_TAIGA)
    after: tuple[str, ...] = (*IN_TAIGA, "cancel", *QUESTIONS)

    def play(self, period: Period) -> None:
        """Tasks are closed, billed on the 2nd of the next month, and talked about before and after."""
        for day in self.days:
            self.go_to(local(period.start + dt.timedelta(days=day), 14))
            self.close()
            self.office.deliver_all()
        self.office.settle()
        self.people_act(self.before, 4)
        self.go_to(local(period.end + dt.timedelta(days=1), 10))
        self.office.settle()
        self.bill_quietly(period)
        self.people_act(self.on_drafts, 4)
        if self.dice.random() < 0.5:
            self.bill_quietly(period)  # what was rejected is built anew
        self.office.approve_all()
        self.office.calm()
        self.people_act(self.when_created, 2)
        self.office.ask_for_mails()
        self.office.settle()
        self.people_act(self.after, 4)
        self.office.approve_all()
        self.office.calm()
        self.clients_act()
        self.played.append(period)

    def bill_quietly(self, period: Period) -> None:
        """The run of the period builds its drafts."""
        self.ask(period)
        self.office.calm()

    def end(self, invoice: Invoice) -> None:
        """In these months an invoice ends at the desk."""

    def close_the_books(self, period: Period) -> None:
        """All that is open is closed, held or asked is answered, and all is billed by the run of `period`."""
        office = self.office
        for typed in office.typed.values():
            if not typed.is_gone and not typed.is_closed:
                office.move(typed, is_closed=True)
        self.go_to(local(period.end + dt.timedelta(days=1), 10))
        office.settle()
        for _round in range(4):
            for _question in range(MOST_QUESTIONS):
                if self.is_asked():
                    self.people_act(QUESTIONS, 1)
            self.bill_quietly(period)
            office.approve_all()
            office.calm()
        assert not self.is_asked()
        assert not Invoice.objects.filter(state=InvoiceState.DRAFT).exists()
        assert not TimeEntry.objects.filter(state__in=("ready", "held", "claimed")).exists()

    def is_asked(self) -> bool:
        """Whether anything waits for a person's answer."""
        held = TimeEntry.objects.filter(state="held").exclude(reason="next_run")
        return held.exists() or Difference.objects.filter(state="open").exists()
