"""What people do at a desk, in the console and in Invoice Ninja: over lines, drafts, invoices and questions.

Each act is done on what has come to rest, as a person does who looks before acting, and tells the ledger what was said.
What the console refuses with a sentence is not done and not told. `dice` decides what is left open.
"""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from billing_console.errors import NotAllowed, StaleRevision
from billing_console.states import InvoiceState
from invoicing import adjusting, adopting, crediting, ending, payments, releasing, review, run
from invoicing.credit_offer import offer
from invoicing.models import Deviation, Invoice, InvoiceLine, Meaning
from mappings.lookups import new_rule_set_version
from sandbox import scenario
from sync import attention, decisions, supplements
from sync.models import Difference, TimeEntry
from tests.invoicing.world import on_screen
from tests.machine import giving, rest
from tests.machine.facts import HALF, QUARTER, Word
from tests.machine.ledger import Ledger
from tests.machine.lines import first_of, key_of, lines_of, number_of

if TYPE_CHECKING:
    from tests.machine.office import Office

WHY = "as agreed"
PRICES = (Decimal("12.34"), Decimal("250.00"), Decimal("4000.00"))
MORE = (Decimal("-0.5"), Decimal("-0.25"), Decimal("0.25"), Decimal(1))
AGAIN = (releasing.Again.COPY, releasing.Again.COPY, releasing.Again.ANEW, releasing.Again.WRITE_OFF)
CLIENTS = (scenario.WEBSITE.client_id, scenario.MOBILE.client_id)
REFUSED = (NotAllowed, StaleRevision)
ASKED_TO_CONFIRM = ("said_otherwise", "brake_client", "brake_late")
# Acts on a draft, on an invoice in Invoice Ninja that was not sent, on one that may be ended, and in Taiga.
ON_DRAFTS = ("write", "write", "write_text", "add_by_hand", "put_off", "hold", "reject", "reopen", "refresh")
ON_INVOICES = ("change_there", "change_there", "cancel")
IN_TAIGA = ("correct", "correct", "rehome", "reopen_one", "change_rules")
ON_MONEY = ("credit", "use_open_credit")
ACTS = sorted({*ON_DRAFTS, *ON_INVOICES, *IN_TAIGA, *ON_MONEY, "answer", "release"})


class Desk:
    """The people of an office, and its ledger."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.ledger = Ledger()
        self.dice = random.Random(0)
        self.done: list[str] = []

    def act(self, name: str, dice: random.Random) -> None:
        """Do one of ACTS, where there is something to do it on."""
        self.dice = dice
        self.office.pass_time()
        try:
            if getattr(self, name)():
                self.done.append(name)
        except REFUSED:
            return  # refused with a sentence, and nothing done

    # --- on a draft

    def draft(self) -> Invoice | None:
        drafts = list(Invoice.objects.filter(state=InvoiceState.DRAFT, is_stale=False).order_by("pk"))
        return self.dice.choice(drafts) if drafts else None

    def line(self, *, by_hand: bool = False) -> InvoiceLine | None:
        """A line of a draft, of work or also one by hand."""
        if (draft := self.draft()) is None:
            return None
        lines = draft.lines.filter(is_voided=False).select_related("entry__item", "entry__remote_task", "invoice")
        rows = list(lines.order_by("pk") if by_hand else lines.filter(entry__isnull=False).order_by("pk"))
        return self.dice.choice(rows) if rows else None

    def write(self) -> bool:
        """Other hours, with what they mean, another rate, or both; or the first figures again."""
        if (line := self.line()) is None:
            return False
        first = first_of(line)
        hours = max(line.billed_hours + self.dice.choice((*MORE, Decimal(0))), Decimal("0.25"))
        rate = self.dice.choice((first[1], first[1], first[1], Decimal(50)))
        if self.dice.random() < 0.1:
            hours, rate = first
        meaning = self.dice.choice(Meaning.values)
        said: dict[str, Any] = {"hours": hours, "rate": rate, "reason": WHY, "meaning": meaning}
        adjusting.adjust_line(line, seen=on_screen(line), user=rest.somebody(), **said)
        self._note_word(line, first, (hours, rate), meaning)
        return True

    def _note_word(
        self, line: InvoiceLine, first: tuple[Decimal, Decimal], said: tuple[Decimal, Decimal], meaning: str
    ) -> None:
        item = self.ledger.items[number_of(line)]
        on_purpose = meaning == Meaning.ON_PURPOSE and first[0] != said[0]
        word = Word(first, said, on_purpose, item.inputs, self.ledger.step) if first != said else None
        self.ledger.write(item.number, key_of(line), word)

    def write_text(self) -> bool:
        if (line := self.line()) is None:
            return False
        text = f"Work on #{line.ref}, part {self.dice.randrange(100)}"
        review.edit_text(line, seen=on_screen(line), user=rest.somebody(), text=text, reason=WHY)
        self.ledger.say_text(number_of(line), key_of(line), text)
        return True

    def add_by_hand(self) -> bool:
        if (draft := self.draft()) is None:
            return False
        text, price = f"By hand {self.ledger.words}", self.dice.choice(PRICES)
        what: dict[str, Any] = {"text": text, "quantity": Decimal(1), "price": price, "reason": WHY}
        adjusting.add_line(draft, user=rest.somebody(), **what)
        self.ledger.add_by_hand(text, draft.client.ninja_id, price)
        return True

    def put_off(self) -> bool:
        """To the next run; a line by hand is taken back."""
        if (line := self.line(by_hand=True)) is None:
            return False
        review.exclude_line(line, seen=on_screen(line), user=rest.somebody(), reason=WHY)
        if line.is_manual:
            del self.ledger.by_hand[line.notes]
        else:
            self.ledger.leave_draft(number_of(line))
        return True

    def hold(self) -> bool:
        if (line := self.line()) is None:
            return False
        review.hold_line(line, seen=on_screen(line), user=rest.somebody(), reason=WHY)
        self.ledger.leave_draft(number_of(line))
        return True

    def reject(self) -> bool:
        if (draft := self.draft()) is None:
            return False
        numbers = [number_of(line) for line in lines_of(draft) if line.entry is not None]
        review.reject_draft(draft, revision=draft.revision, user=rest.somebody(), reason=WHY)
        for number in numbers:
            self.ledger.leave_draft(number)
        return True

    def refresh(self) -> bool:
        if (draft := self.draft()) is None:
            return False
        run.refresh_draft(draft, user=rest.somebody())
        self.office.calm()
        return True

    def reopen(self) -> bool:
        """Somebody goes on with the work while it is on a draft: the draft must be refreshed."""
        if (line := self.line()) is None:
            return False
        self.office.move(self.office.typed[number_of(line)], is_closed=False)
        self.office.calm()
        return True

    # --- on an invoice in Invoice Ninja

    def change_there(self) -> bool:
        """Somebody changes an invoice in Invoice Ninja before it is sent, and an approver takes that over."""
        rows = Invoice.objects.filter(state=InvoiceState.CREATED).select_related("remote", "client").order_by("pk")
        if not rows:
            return False
        invoice = self.dice.choice(list(rows))
        assert invoice.remote is not None
        path = f"/invoices/{invoice.remote.remote_id}"
        lines = [dict(line) for line in self.office.ninja("GET", path)["data"]["line_items"]]
        tasks = [line for line in lines if line["task_id"]]
        how = self.dice.choice(("hours", "hours", "text", "by hand", "less"))
        text = f"By hand {self.ledger.words}"
        if how == "by hand":
            lines.append({"quantity": 1, "cost": Decimal(99), "notes": text, "type_id": "1"})
        elif not tasks or (how == "less" and len(lines) < 2):
            return False
        else:
            line = self.dice.choice(tasks)
            if how == "less":
                lines.remove(line)
            elif how == "text":
                line["notes"] += ", as discussed"
            else:
                line["quantity"] = Decimal(str(line["quantity"])) + self.dice.choice((Decimal("0.5"), Decimal(2)))
        self.office.ninja("PUT", path, {"line_items": lines})
        payments.poll()
        deviation = Deviation.objects.get(decision="")
        meaning = self.dice.choice(Meaning.values)
        ours = {row.pk: row for row in lines_of(invoice) if row.entry is not None}
        adopting.adopt(deviation, user=rest.somebody(), reason=WHY, meaning=meaning)
        if how == "by hand":
            self.ledger.add_by_hand(text, invoice.client.ninja_id, Decimal(99))
            return True
        changed = next(row for row in ours.values() if row.entry.remote_task.remote_id == line["task_id"])
        number, key = number_of(changed), key_of(changed)
        if how == "less":
            self.ledger.take_off(number, key)
        elif how == "text":
            self.ledger.say_text(number, key, line["notes"])
            self.ledger.adopt(number, key, None)
        else:
            first, item = first_of(changed), self.ledger.items[number]
            said = (Decimal(str(line["quantity"])), changed.rate)
            on_purpose = meaning == Meaning.ON_PURPOSE and first[0] != said[0]
            word = Word(first, said, on_purpose, item.inputs, self.ledger.step) if first != said else None
            self.ledger.write(number, key, word)
            self.ledger.adopt(number, key, None)
        return True

    def cancel(self) -> bool:
        """Cancel an invoice and bill its lines again: as they were, priced anew, or never."""
        rows = list(Invoice.objects.filter(state__in=ending.ENDABLE).select_related("remote").order_by("pk"))
        rows = [row for row in rows if not ending.why_not(row)]
        ended = [row for row in releasing.undecided().order_by("pk") if not releasing.why_not(row)]
        if not rows and not ended:
            return False
        again = self.dice.choice(AGAIN)
        if ended:
            invoice = self.dice.choice(ended)
            releasing.release(invoice, user=rest.somebody(), note=WHY, again=again)
        else:
            invoice = self.dice.choice(rows)
            ending.request_end(invoice, seal=invoice.seal, user=rest.somebody(), note=WHY, again=again)
        assert invoice.remote is not None
        self.ledger.again[invoice.remote.remote_id or ""] = str(again)
        self.office.calm()
        return True

    def credit(self) -> bool:
        """A line of an invoice is credited, because its hours were wrong or as goodwill."""
        return giving.credit(self)

    def use_open_credit(self) -> bool:
        """An open credit of the client is set against a draft."""
        return giving.use_open_credit(self)

    # --- in Taiga

    def task(self) -> Any:
        """One that was closed, and is not deleted."""
        rows = [typed for typed in self.office.typed.values() if not typed.is_gone]
        return self.dice.choice(rows) if rows else None

    def correct(self) -> bool:
        """Hours are corrected, with or without a closing; or it is closed again as it was."""
        if (typed := self.task()) is None:
            return False
        hours = self.dice.choice([None, *self.office.hours])
        if typed.is_closed and hours is not None and self.dice.random() < 0.5:
            self.office.type_hours(typed.task, hours)
        else:
            self.office.reopen_and_close(typed.task, hours)
        self.office.calm()
        return True

    def reopen_one(self) -> bool:
        """Somebody goes on with work that was billed; a later correction closes it."""
        if (typed := self.task()) is None or not typed.is_closed:
            return False
        self.office.move(typed, is_closed=False)
        self.office.calm()
        return True

    def rehome(self) -> bool:
        """Another client is named in Taiga's field, or the project's again; most people close it then once more."""
        if (typed := self.task()) is None:
            return False
        typed.client = CLIENTS[1] if typed.client in ("", CLIENTS[0]) else CLIENTS[0]
        self.office.set_values(typed)
        self.office.calm()
        return True

    def change_rules(self) -> bool:
        """The company rounds otherwise from now on; only while nothing is on a draft."""
        if Invoice.objects.filter(state__in=(InvoiceState.DRAFT, InvoiceState.APPROVED)).exists():
            return False
        self.ledger.step = HALF if self.ledger.step == QUARTER else QUARTER
        words = {HALF: "half_hour", QUARTER: "quarter_hour"}
        new_rule_set_version(None, {"rounding": words[self.ledger.step]}, rest.somebody())
        self.office.calm()
        return True

    # --- what is asked

    def answer(self) -> bool:
        """One of the open questions is answered: a credit, the next cycle, given away, or left as it is."""
        rows = list(Difference.objects.filter(state="open").select_related("item", "entry").order_by("pk"))
        held = TimeEntry.objects.filter(state="held", reason__in=ASKED_TO_CONFIRM)
        asked = list(held.select_related("item").order_by("pk"))
        if not rows and not asked:
            return False
        if asked and (not rows or self.dice.random() < 0.5):
            self._confirm(self.dice.choice(asked))
        else:
            self._decide(self.dice.choice(rows))
        self.office.calm()
        return True

    def _confirm(self, entry: TimeEntry) -> None:
        attention.confirm_entry(entry, user=rest.somebody())
        if entry.reason == "said_otherwise":
            self.ledger.confirm(entry.item.taiga_id)

    def _decide(self, row: Difference) -> None:
        number, what = row.item.taiga_id, {"mark": row.mark, "user": rest.somebody(), "note": WHY}
        offered, _why = offer(row)
        cycle, _why = supplements.preview(row)
        if self.dice.random() < 0.2 or (offered is None and cycle is None):
            decisions.ignore_difference(row, **what)
            self.ledger.leave(number)
        elif offered is not None:
            later = supplements.preview_after_credit(row)
            billed = str(later.amount) if later is not None else ""
            is_to_use = self.dice.random() < 0.5
            crediting.request_credit(row, gross=str(offered.gross), billed=billed, is_to_use=is_to_use, **what)
            is_wrong_client = row.payer_now is not None
            money = self.ledger.give_all_back(number) if is_wrong_client else self.ledger.credit(number, row.hours_now)
            assert offered.net == money, ("the credit comes to something else", offered, self.ledger.items[number])
            self.ledger.confirm(number)
        elif self.dice.random() < 0.8:
            supplements.supplement(row, **what)
            self.ledger.confirm(number)
        else:
            assert cycle is not None
            assert cycle.billed_hours is not None
            supplements.write_off(row, **what)
            self.ledger.give(number, cycle.billed_hours)

    def release(self) -> bool:
        """What a person holds is let go."""
        held = list(TimeEntry.objects.filter(state="held", held_by_person=True).select_related("item").order_by("pk"))
        if not held:
            return False
        attention.release_entry(self.dice.choice(held), user=rest.somebody())
        self.office.calm()
        return True


def day_of(now: dt.datetime) -> dt.date:
    """The local day of an instant, in Brussels."""
    return now.astimezone(rest.BRUSSELS).date()
