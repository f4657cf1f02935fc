"""What a person asks to credit on an invoice, and the lines that it comes to: by lines, by per cent, or by an amount.

Pure but for the rows that it is given. Amounts are before tax, in the invoice's currency, printed hours in hours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats, money
from billing_console.errors import NotAllowed
from billing_console.values import number_of
from invoicing.credit_left import CreditLine, Left, LineLeft, Sums, nothing_left, sum_up
from invoicing.models import CreditMeaning, Invoice
from invoicing.typed import number
from sync.clients.ninja_texts import neutralise

LINE = "line-"  # what a ticked line is sent as, with its id; its hours and amount end in -hours and -amount


class Way(TextChoices):
    """How a person says what is credited."""

    LINES = "lines", gettext_lazy("The hours or amounts of chosen lines")
    PER_CENT = "per_cent", gettext_lazy("Per cent of chosen lines, or of the whole invoice")
    AMOUNT = "amount", gettext_lazy("An amount before tax")


@dataclass(frozen=True)
class Typed:
    """What is typed beside one line; both empty is the whole line."""

    hours: str = ""
    amount: str = ""


@dataclass(frozen=True)
class Asked:
    """The form as it was typed: `lines` are the chosen ones by their id, `against` is an invoice's id, "" for none."""

    way: str = Way.LINES
    meaning: str = ""
    per_cent: str = ""
    amount: str = ""
    against: str = ""
    lines: Mapping[int, Typed] = field(default_factory=dict)

    @classmethod
    def read(cls, posted: Mapping[str, str]) -> Asked:
        """From a form, or from what was kept of one. A line counts where it is ticked, or has something beside it."""
        lines: dict[int, dict[str, str]] = {}
        for name, value in posted.items():
            pk, _dash, what = name.removeprefix(LINE).partition("-")
            if name.startswith(LINE) and (number := number_of(pk)) is not None and value.strip():
                lines.setdefault(number, {})[what or "chosen"] = value.strip()
        return cls(
            **{name: str(posted.get(name, "")).strip() for name in ("way", "meaning", "per_cent", "amount", "against")},
            lines={pk: Typed(some.get("hours", ""), some.get("amount", "")) for pk, some in sorted(lines.items())},
        )

    @property
    def fields(self) -> dict[str, str]:
        """The same as a form sends it, without what is empty."""
        found = {name: getattr(self, name) for name in ("way", "meaning", "per_cent", "amount", "against")}
        for pk, typed in self.lines.items():
            found |= {f"{LINE}{pk}": "1", f"{LINE}{pk}-hours": typed.hours, f"{LINE}{pk}-amount": typed.amount}
        return {name: value for name, value in found.items() if value}


def sums_of(asked: Asked, left: Left) -> Sums:
    """The lines of the credit, its tax and total. Raises NotAllowed with a sentence for what cannot be credited."""
    if asked.meaning not in CreditMeaning.values:
        raise NotAllowed(_("Say what it means for the work: the hours were wrong, a price was wrong, or goodwill."))
    ways = {Way.LINES: _by_lines, Way.PER_CENT: _by_per_cent, Way.AMOUNT: _by_amount}
    if asked.way not in ways:
        raise NotAllowed(_("Choose how the credit is given: by lines, by per cent, or by an amount."))
    if left.net <= 0 or left.gross <= 0:
        raise NotAllowed(nothing_left())
    found = sum_up(left, [row for row in ways[Way(asked.way)](asked, left) if row.amount])
    currency = left.invoice.currency
    if found.net <= 0:
        raise NotAllowed(_("This comes to nothing. Choose lines, or write how much is credited."))
    if found.net > left.net or found.gross > left.gross:
        words = {"wanted": formats.money(found.gross, currency), "left": formats.money(left.gross, currency)}
        raise NotAllowed(_("%(wanted)s with tax is more than the %(left)s that are left to credit of it.") % words)
    return found


def _by_lines(asked: Asked, left: Left) -> Iterator[CreditLine]:
    for pk, typed in _chosen(asked, left):
        line_left = left.lines[pk]
        if typed.hours:
            yield _of_hours(asked, line_left, number(typed.hours, 2), typed.amount)
        elif typed.amount:
            yield _of_amount(asked, line_left, number(typed.amount, money.exponent(left.invoice.currency)))
        else:
            yield _whole(line_left)


def _by_per_cent(asked: Asked, left: Left) -> Iterator[CreditLine]:
    """Per cent of what is printed on each line, at most what is left of it."""
    share = number(asked.per_cent, 3)
    if not 0 < share <= 100:
        raise NotAllowed(_("Write a per cent above 0 and up to 100."))
    chosen = [pk for pk, _typed in _chosen(asked, left)] if asked.lines else list(left.lines)
    for pk in chosen:
        line_left = left.lines[pk]
        line = line_left.line
        hours = min(money.quantize_hours(line.billed_hours * share / 100), line_left.hours)
        if asked.meaning == CreditMeaning.HOURS and line.entry_id is not None:
            yield _line(line_left, hours, line_left.amount_of(hours), f"{hours:f} h less")
        else:
            amount = money.quantize(line.amount * share / 100, left.invoice.currency)
            yield _line(line_left, money.ZERO, _closer(amount, line_left.amount), f"{formats_share(share)} %")


def _by_amount(asked: Asked, left: Left) -> Iterator[CreditLine]:
    """One amount off the invoice, or off one chosen line."""
    amount = number(asked.amount, money.exponent(left.invoice.currency))
    if asked.meaning == CreditMeaning.HOURS:
        raise NotAllowed(
            _("An amount does not say which hours were wrong. Choose lines and write their hours, or choose a price.")
        )
    if len(asked.lines) > 1:
        raise NotAllowed(_("One amount is credited of the invoice, or of one line. Write an amount beside each line."))
    for pk, _typed in _chosen(asked, left) if asked.lines else ():
        yield _of_amount(asked, left.lines[pk], amount)
        return
    if not 0 < amount <= left.net:
        raise NotAllowed(_above(amount, left.net, left.invoice))
    goodwill = "Goodwill on" if asked.meaning == CreditMeaning.GOODWILL else "Credit for"
    # Printed for clients: not translated.
    yield CreditLine(neutralise(f"{goodwill} invoice {left.invoice.number}"), Decimal(1), amount, amount)


def _chosen(asked: Asked, left: Left) -> list[tuple[int, Typed]]:
    if not asked.lines:
        raise NotAllowed(_("Choose at least one line."))
    if any(pk not in left.lines for pk in asked.lines):
        raise NotAllowed(_("A line that you chose is not on this invoice any more. Look again."))
    return list(asked.lines.items())


def _whole(left: LineLeft) -> CreditLine:
    return _line(left, left.hours, left.amount, "")


def _of_hours(asked: Asked, left: LineLeft, hours: Decimal, amount: str) -> CreditLine:
    if amount:
        raise NotAllowed(_("Write the hours or the amount of “%(line)s”, not both.") % {"line": left.line.notes})
    if left.line.entry_id is None:
        raise NotAllowed(_("“%(line)s” was added by hand: write its amount.") % {"line": left.line.notes})
    if not 0 < hours <= left.hours:
        words = {"line": left.line.notes, "left": formats.hours(left.hours), "hours": formats.hours(hours)}
        raise NotAllowed(_("“%(line)s”: of it %(left)s are left to credit, not %(hours)s.") % words)
    return _line(left, hours, left.amount_of(hours), f"{hours:f} h less")


def _of_amount(asked: Asked, left: LineLeft, amount: Decimal) -> CreditLine:
    if asked.meaning == CreditMeaning.HOURS and left.line.entry_id is not None:
        raise NotAllowed(
            _("“%(line)s”: an amount does not say which hours were wrong. Write its hours, or choose a price.")
            % {"line": left.line.notes}
        )
    wanted = -amount if left.amount < 0 else amount
    if amount <= 0 or _closer(wanted, left.amount) != wanted:
        raise NotAllowed(f"“{left.line.notes}”: {_above(amount, abs(left.amount), left.line.invoice)}")
    return _line(left, money.ZERO, wanted, "part" if wanted != left.amount else "")


def _above(amount: Decimal, left: Decimal, invoice: Invoice) -> str:
    words = {"amount": formats.money(amount, invoice.currency), "left": formats.money(left, invoice.currency)}
    return _("Credit more than nothing and at most what is left, %(left)s before tax, not %(amount)s.") % words


def _closer(amount: Decimal, bound: Decimal) -> Decimal:
    """The one nearer to nothing: a line that is negative gives its minus back."""
    return max(amount, bound) if bound < 0 else min(amount, bound)


def _line(left: LineLeft, hours: Decimal, amount: Decimal, words: str) -> CreditLine:
    """Printed for clients, so its words are not translated. Printed hours × rate is the amount, or it is 1 × it."""
    line, currency = left.line, left.line.invoice.currency
    notes = neutralise(f"{line.notes} ({words})" if words else line.notes)
    if hours and money.line_amount(hours, line.rate, currency) == amount:
        return CreditLine(notes, hours, line.rate, amount, line, hours)
    one = Decimal(1) if amount >= 0 else Decimal(-1)
    return CreditLine(notes, one, abs(amount), amount, line, hours)


def formats_share(share: Decimal) -> str:
    """A per cent as it is printed: no zeros behind."""
    return f"{share.normalize():f}"
