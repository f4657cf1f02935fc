"""What each item must have cost, by what people typed and said: the oracle of random days and years. Pure.

It is written from the billing rules (What was billed; A person's word; Cancelled and billed again), not from the code.
It is told what people did as they do it, and reads what clients were asked for from the memory of Invoice Ninja. Hours
are billed hours, money is EUR before tax.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

from tests.machine.facts import CENT, COPY, QUARTER, WRITE_OFF, ZERO, Bill, Cycle, Item, Line, Seen, Word


class Ledger:
    """Everything that people typed and said, and what Invoice Ninja was seen to ask for."""

    def __init__(self) -> None:
        self.items: dict[int, Item] = {}
        self.rates: list[tuple[dt.date, Decimal]] = []  # from that day on
        self.step = QUARTER
        self.again: dict[str, str] = {}  # what a person wants of an invoice that ends
        self.ended: set[str] = set()
        self.bills: dict[str, Bill] = {}
        self.by_hand: dict[str, tuple[str, Decimal]] = {}  # text → client, amount
        self.given_by_hand: set[str] = set()
        self.asked_by_hand: dict[str, str] = {}  # text → invoice
        self.words = 0

    # --- what people say

    def write(self, number: int, key: str, word: Word | None) -> None:
        """A person wrote other figures over the line of a cycle; None takes that back."""
        item = self.items[number]
        cycle = item.cycles.setdefault(key, Cycle(key))
        cycle.word, cycle.copy = word, None
        self.words += 1

    def say_text(self, number: int, key: str, text: str) -> None:
        """A person wrote another text for the line of a cycle."""
        cycle = self.items[number].cycles.setdefault(key, Cycle(key))
        cycle.said_text = text
        if cycle.copy is not None:  # it is billed again as it was, but for its text
            cycle.copy = replace(cycle.copy, text=text)

    def adopt(self, number: int, key: str, word: Word | None) -> None:
        """Theirs was taken over: what stands printed is what a person said, over the first figures."""
        cycle = self.items[number].cycles[key]
        if word is not None:
            self.write(number, key, word)
        cycle.bill, cycle.is_reread = "", True

    def take_off(self, number: int, key: str) -> None:
        """Theirs has a line less: its hours wait for the next run."""
        self.items[number].cycles[key].bill = ""

    def leave_draft(self, number: int) -> None:
        """What waits of an item left its draft: held, put off, rejected, or reopened in Taiga."""
        for cycle in self.items[number].cycles.values():
            cycle.has_left = not cycle.bill

    def add_by_hand(self, text: str, client: str, amount: Decimal) -> None:
        """A line of one's own: it belongs to the client until it is billed or taken back."""
        self.by_hand[text] = (client, amount)
        self.words += 1

    def confirm(self, number: int) -> None:
        """A person wants billed what Taiga says now."""
        item = self.items[number]
        item.confirmed.add(item.inputs.raw)

    def credit(self, number: int, hours_now: Decimal) -> Decimal:
        """What is above `hours_now` is given back; returns how much money that is."""
        item = self.items[number]
        _hours, _amount, given = item.back(hours_now, is_done=True)
        item.credited += given
        return given

    def give_all_back(self, number: int) -> Decimal:
        """The same to a client who should never have been billed: whatever was meant by the hours."""
        for cycle in self.items[number].standing:
            cycle.waived = ZERO
        return self.credit(number, ZERO)

    def give_back(self, number: int, key: str, hours: Decimal | None, amount: Decimal) -> None:
        """A person credited `amount` of a line: so many `hours` of it were wrong; None for goodwill."""
        item = self.items[number]
        cycle = item.cycles[key]
        item.credited += amount
        cycle.asked -= amount
        if hours is not None:
            cycle.hours, cycle.is_said = cycle.hours - hours, True

    def give(self, number: int, hours: Decimal) -> None:
        """Hours that are given away: settled, and nobody is asked for them."""
        item = self.items[number]
        key = f"given {len(item.cycles)}"
        item.cycles[key] = Cycle(key, hours=hours, is_given=True, step=self.step)

    def leave(self, number: int) -> None:
        """A person leaves it at what was billed, as long as Taiga says this."""
        item = self.items[number]
        item.left.add((item.inputs, item.settled))
        for cycle in item.standing:
            cycle.left_for.add(item.inputs.client)

    # --- what Invoice Ninja holds

    def observe(self, bills: Iterable[Bill], *, is_exact: bool) -> None:
        """Take over every invoice as it is there now. Fails where a line is not what people said.

        `is_exact`: nothing was typed between the approvals and now.
        """
        known = set(self.bills)
        for bill in bills:
            if bill.has_ended:
                self._end(bill)
        for bill in bills:
            if bill.has_ended or bill.id in self.ended:
                continue
            for line in bill.lines:
                if line.task:
                    self._bill(bill, line, is_exact=is_exact)
                else:
                    assert line.text in self.by_hand, ("a line that nobody wrote", bill, line)
                    assert self.by_hand[line.text] == (bill.client, line.amount), (self.by_hand[line.text], bill, line)
                    assert self.asked_by_hand.get(line.text, bill.id) == bill.id, ("asked for twice", line)
                    self.asked_by_hand[line.text] = bill.id
            self.bills[bill.id] = bill
        assert known <= set(self.bills)

    def _end(self, bill: Bill) -> None:
        again = self.again.get(bill.id)
        if again is None or bill.id in self.ended:
            return  # nobody said yet what becomes of its lines: they stand on it
        self.ended.add(bill.id)
        for item in self.items.values():
            for cycle in item.cycles.values():
                if cycle.bill == bill.id:
                    cycle.bill = ""
                    cycle.is_given = again == WRITE_OFF
                    if again == COPY:
                        cycle.copy = Line(cycle.key, cycle.text, cycle.hours, cycle.rate)
                    if cycle.is_given and cycle.key == list(item.cycles)[-1]:
                        item.is_final = True
        for text, where in list(self.asked_by_hand.items()):
            if where == bill.id:
                del self.asked_by_hand[text]
                if again == WRITE_OFF:
                    self.given_by_hand.add(text)

    def _bill(self, bill: Bill, line: Line, *, is_exact: bool) -> None:
        item = self.items[int(line.task.removeprefix("TAIGA-T").partition("-")[0])]
        cycle = item.cycles.setdefault(line.task, Cycle(line.task))
        if cycle.bill:
            assert cycle.bill == bill.id, ("billed twice", item, bill, line)
            assert (cycle.text, cycle.client) == (line.text, bill.client)
            return
        figures, word = (line.hours, line.rate), cycle.word
        is_last = cycle.key == list(item.cycles)[-1]
        is_same = is_exact and (cycle.inputs == item.inputs or not is_last)
        # What left the draft of a copy, or was refreshed on it, is billed by the rules of that moment.
        is_anew = cycle.step != self.step and (cycle.has_left or bill.was_refreshed)
        if cycle.copy is not None and is_same and not is_anew:
            assert figures == (cycle.copy.hours, cycle.copy.rate), ("not billed again as it was", item, line)
            assert line.text == cycle.copy.text, ("another text than it was billed with", item, line)
        if word is not None:
            is_same = is_exact and (word.inputs, word.step) == (item.inputs, self.step)
            if cycle.is_reread or (cycle.copy is None and is_same):
                assert figures == word.said, ("a person's word is forgotten", item, line)
            if figures != word.said:
                cycle.word = None  # Taiga changed since: it was asked, and what was written no longer holds
        assert cycle.said_text in ("", line.text), ("a text that a person wrote is forgotten", item, line)
        if is_exact and not cycle.is_reread:
            self._check_asked(item, cycle, line)
        if cycle.word is None and cycle.copy is None:
            assert line.rate in {self.rate_of(day) for day in item.days}, ("not the rate of its days", item, line)
        cycle.is_said = cycle.word is not None
        cycle.waived = cycle.word.waived if cycle.word else ZERO
        cycle.hours, cycle.rate, cycle.asked, cycle.text = line.hours, line.rate, line.amount, line.text
        is_copied = cycle.copy is not None and figures == (cycle.copy.hours, cycle.copy.rate)
        if not cycle.is_reread and not is_copied:
            cycle.inputs, cycle.step = (item.inputs if is_exact else None), self.step
        cycle.bill, cycle.client, cycle.is_given, cycle.copy, cycle.is_reread = bill.id, bill.client, False, None, False
        cycle.has_left = False

    def _check_asked(self, item: Item, cycle: Cycle, line: Line) -> None:
        """What comes after a person's word is billed only where another one said so."""
        earlier = [one for one in item.standing if one.key != cycle.key]
        if any(one.is_said for one in earlier) and cycle.copy is None and cycle.word is None:
            assert item.inputs.raw in item.confirmed, ("billed by itself after a person's word", item, line)

    def rate_of(self, day: dt.date) -> Decimal:
        """The rate of a day."""
        return max((row for row in self.rates if row[0] <= day), default=self.rates[0])[1]

    # --- what must be so

    @property
    def asked(self) -> Decimal:
        """What clients are asked for in all: work less credits, and lines by hand."""
        by_hand = sum((self.by_hand[text][1] for text in self.asked_by_hand), ZERO)
        return by_hand + sum((item.asked for item in self.items.values()), ZERO)

    def is_plain(self, number: int) -> bool:
        """Whether nobody said anything about the money of this item, and it has one payer and one rounding."""
        item = self.items[number]
        rows = list(item.cycles.values())
        is_said = any(row.word or row.is_given or row.copy or row.step != self.step for row in rows)
        clients = {item.inputs.client, *(row.client for row in rows if row.client)}
        return not (is_said or item.credited or item.left or item.is_final or len(clients) > 1)

    def check(self, seen: dict[int, Seen], credits: dict[int, Decimal], waiting: dict[str, Decimal]) -> None:
        """Nothing is lost and nothing is billed twice: what was asked for, waived, given, offered and asked about is
        what Taiga says. `credits` is what Invoice Ninja holds by item, `waiting` the lines by hand on drafts or none.
        """
        for item in self.items.values():
            assert credits.get(item.number, ZERO) == item.credited, ("credited", item, credits.get(item.number))
            if item.is_closed and not item.is_gone and not item.is_final:
                steps = {self.step, *(cycle.step for cycle in item.cycles.values())}
                found = [self._wrong(item, item.hours_now(step), seen.get(item.number, Seen())) for step in steps]
                assert "" in found, (found, item, seen.get(item.number))
        open_ones = {text: row[1] for text, row in self.by_hand.items() if text not in self.asked_by_hand}
        open_ones = {text: amount for text, amount in open_ones.items() if text not in self.given_by_hand}
        assert waiting == open_ones, ("a line by hand is lost, or there twice", waiting, open_ones)

    def _wrong(self, item: Item, hours: Decimal, seen: Seen) -> str:
        """Why the books of an item do not add up when it has `hours` now; "" where they do."""
        more = hours - item.settled
        is_left = (item.inputs, item.settled) in item.left
        payers = {cycle.client for cycle in item.standing if not cycle.is_given and cycle.hours}
        payers -= {cycle.client for cycle in item.standing if item.inputs.client in cycle.left_for}
        if payers - {item.inputs.client} and not is_left:
            is_asked = seen.question == (ZERO, -item.printed) and not seen.offered
            return "" if is_asked else "what the wrong client was asked for is not asked about"
        if seen.offered == more and more >= 0 and seen.question is None:
            return ""
        if is_left and not seen.offered and seen.question is None:
            return ""
        if self._is_answered_by_word(item) and not seen.offered and seen.question is None:
            return ""
        if more > 0:
            is_asked = seen.question is not None and seen.question[0] == hours and not seen.offered
            return "" if is_asked else f"{more} h are neither billed nor offered nor asked about"
        _hours, money, _left = item.back(hours)
        if not money:
            return "" if not seen.offered and seen.question is None else "something is asked that is settled"
        is_asked = seen.question == (hours, -money) and not seen.offered
        return "" if is_asked else f"{-more} h, {money} too much are not asked about"

    def _is_answered_by_word(self, item: Item) -> bool:
        """A person wrote that Taiga is wrong, and Taiga says still what it said then."""
        last = next((cycle for cycle in reversed(item.standing) if cycle.word is not None), None)
        return last is not None and last.word is not None and last.word.inputs == item.inputs

    def wanted(self, item: Item) -> Decimal | None:
        """What the item must cost in the end: its hours at the rates of its days, except what a person said, line by
        line. None where a person's last word leaves it at what was asked for, or it is open.
        """
        is_left = (item.inputs, item.settled) in item.left or self._is_answered_by_word(item)
        if not item.is_closed or item.is_gone or item.is_final or is_left:
            return None
        steps = {self.step, *(cycle.step for cycle in item.cycles.values())}
        total = ZERO
        hours = min((item.hours_now(step) for step in steps), key=lambda one: abs(one - item.settled))
        gone = item.settled - hours  # only waived hours can be: nothing is given back for them
        for cycle in reversed(item.standing):
            waived = cycle.waived - min(max(gone, ZERO), max(cycle.waived, ZERO))
            gone -= cycle.waived - waived
            first = cycle.word.first[1] if cycle.word else cycle.rate
            hours_of_it = cycle.settled - (cycle.waived - waived)
            hours -= hours_of_it
            total += ZERO if cycle.is_given else hours_of_it * first - waived * first
            total += ZERO if cycle.is_given else (cycle.rate - first) * cycle.hours  # another rate was said
            total -= ZERO if cycle.is_given else cycle.printed - cycle.asked  # goodwill
        assert not hours, ("hours that nobody billed", item)
        return total.quantize(CENT, ROUND_HALF_UP)
