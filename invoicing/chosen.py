"""Acts on chosen lines of a draft at once: another rate, per cent on the rate, another text, off to the next run.

What each line becomes is planned first, and shown. Carried out, each line is compared with what was shown of it: those
that another person or Taiga changed meanwhile are left and named, all others are saved in one transaction. Rates and
amounts are in the invoice's currency before tax. The number of statements does not grow with the lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import models, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing_console import formats, money, shown
from billing_console.errors import NotAllowed
from billing_console.reason import reason_of
from billing_console.states import Reason
from billing_console.values import number_of
from invoicing import adjusting, as_shown, claim, content, guards
from invoicing.models import Invoice, InvoiceLine
from sync import reasons
from sync.models import TimeEntry
from sync.transitions import record

if TYPE_CHECKING:
    from accounts.models import User

MOST = 1000
OLD_TEXT = "{text}"
NAMED = 20
_WRITTEN = (
    "notes", "original_notes", "edit_reason", "edited_by", "edited_at", "rate", "amount", "original_hours",
    "original_rate", "original_amount", "meaning", "adjust_reason", "adjusted_by", "adjusted_at", "dropped_sentence",
    "is_voided", "void_reason", "voided_by", "voided_at",
)  # fmt: skip


class Act(models.TextChoices):
    RATE = "rate", gettext_lazy("Write another rate")
    PERCENT = "percent", gettext_lazy("Add or take off per cent")
    TEXT = "text", gettext_lazy("Write another text")
    PUT_OFF = "put-off", gettext_lazy("Put off to the next run")


@dataclass(frozen=True)
class Planned:
    """One line and what it becomes; `why_not` says why it is left as it is."""

    line: InvoiceLine
    text: str
    rate: Decimal
    amount: Decimal
    why_not: str = ""


def found(lines: QuerySet[InvoiceLine], text: str) -> QuerySet[InvoiceLine]:
    """The lines whose text, person, project or reference is searched for; "#45" and "45" are a reference."""
    text = text.strip()[:100]
    if not text:
        return lines
    words = Q(notes__icontains=text) | Q(person_name__icontains=text) | Q(project_name__icontains=text)
    if (number := number_of(text.removeprefix("#"))) is not None:
        words |= Q(ref=number)
    return lines.filter(words)


def plan(invoice: Invoice, lines: Iterable[InvoiceLine], act: str, value: Any) -> list[Planned]:
    """What `act` makes of each line. `value` is a rate, a per cent (−10 is a tenth less), a text; None to put off.

    Per cent go on the rate, which is rounded half up to the currency's decimals, so that the printed rate times the
    printed hours stay the amount. Raises NotAllowed for a value that no line could take.
    """
    if act == Act.TEXT and not adjusting.clean_text(str(value).replace(OLD_TEXT, "")):
        raise NotAllowed(_("A line needs a text."))
    return [_planned(invoice.currency, line, act, value) for line in lines]


def _planned(currency: str, line: InvoiceLine, act: str, value: Any) -> Planned:
    text, rate, why_not = line.notes, line.rate, ""
    if act == Act.TEXT:
        text = adjusting.clean_text(str(value).replace(OLD_TEXT, line.notes))
    elif act == Act.PUT_OFF:
        why_not = _("It was added by hand; remove it by itself.") if line.is_manual else ""
        return Planned(line, text, rate, money.ZERO, why_not)
    else:
        rate = value if act == Act.RATE else money.quantize(line.rate * (100 + value) / 100, currency)
        if line.change_sentence:
            why_not = _("Taiga changed this line. Refresh the draft first.")
        elif act == Act.RATE and line.is_manual:
            why_not = _("It was added by hand and has a price of its own.")
        else:
            why_not = _why_not(line, rate, currency)
    return Planned(line, text, rate, money.line_amount(line.billed_hours, rate, currency), why_not)


def _why_not(line: InvoiceLine, rate: Decimal, currency: str) -> str:
    try:
        adjusting.check_figures(line.billed_hours, rate, currency, is_manual=line.is_manual)
    except NotAllowed as refusal:
        return refusal.sentence
    return ""


@dataclass(frozen=True)
class Done:
    """The draft afterwards, the lines that were saved, and those that were left, each with why."""

    invoice: Invoice
    saved: list[Planned]
    left: list[tuple[InvoiceLine, str]]


def carry_out(
    invoice: Invoice, act: str, value: Any, *, seen: Mapping[str, Mapping[str, Any]], user: User, reason: str
) -> Done:
    """Do it with every line that is still what was `seen` of it, by its id. Locks the work, then the draft.

    Raises NotAllowed without a reason, where the draft moved on, and where it would come to nothing.
    """
    reason = reason_of(reason)
    ids = [int(pk) for pk in seen]
    with transaction.atomic():
        if act == Act.PUT_OFF:
            claim.lock_work(InvoiceLine.objects.filter(pk__in=ids).values_list("entry__item_id", flat=True))
        row = guards.lock_draft(invoice.pk)
        lines = {line.pk: line for line in row.lines.filter(pk__in=ids).select_related("entry")}
        same, left = _compared(lines, seen)
        planned = plan(row, same, act, value)
        left += [(one.line, one.why_not) for one in planned if one.why_not]
        saved = [one for one in planned if not one.why_not]
        if saved:
            _save(row, saved, act, user, reason)
            guards.need_money(row)
    return Done(row, saved, left)


def _compared(
    lines: Mapping[int, InvoiceLine], seen: Mapping[str, Mapping[str, Any]]
) -> tuple[list[InvoiceLine], list[tuple[InvoiceLine, str]]]:
    same: list[InvoiceLine] = []
    left: list[tuple[InvoiceLine, str]] = []
    for pk, line in sorted(lines.items(), key=lambda pair: (pair[1].position, pair[0])):
        if line.is_voided:
            left.append((line, _("This line is not on the draft any more.")))
        elif sentence := shown.difference(seen[str(pk)], as_shown.line(line)):
            left.append((line, sentence))
        else:
            same.append(line)
    return same, left


def _save(invoice: Invoice, saved: list[Planned], act: str, user: User, reason: str) -> None:
    before = invoice.net
    for one in saved:
        if act == Act.PUT_OFF:
            one.line.is_voided, one.line.void_reason = True, reason
            one.line.voided_by, one.line.voided_at = user, timezone.now()
        elif act == Act.TEXT:
            _write_text(one, user, reason)
        else:
            _write_rate(one, user, reason)
    if act == Act.PUT_OFF:
        _put_off(invoice, saved, user, reason)
    InvoiceLine.objects.bulk_update([one.line for one in saved], _WRITTEN)
    if act == Act.PUT_OFF:
        content.retotal_without(invoice)
    else:
        content.retotal(invoice)
    words = ngettext(
        "%(act)s, %(count)d line (%(lines)s): %(before)s → %(after)s: %(reason)s",
        "%(act)s, %(count)d lines (%(lines)s): %(before)s → %(after)s: %(reason)s",
        len(saved),
    )
    named = [f"#{one.line.ref}" if one.line.ref else one.line.notes for one in saved[:NAMED]]
    why = words % {
        "act": Act(act).label,
        "count": len(saved),
        "lines": ", ".join(named) + (", …" if len(saved) > NAMED else ""),
        "before": formats.money(before, invoice.currency),
        "after": formats.money(invoice.net, invoice.currency),
        "reason": reason,
    }
    record(invoice, invoice.state, invoice.state, why=why, user=user)


def _write_text(one: Planned, user: User, reason: str) -> None:
    line = one.line
    first = line.original_notes or line.notes
    is_back = one.text == first
    line.notes, line.original_notes = one.text, "" if is_back else first
    line.edit_reason = "" if is_back else reason
    line.edited_by, line.edited_at = (None, None) if is_back else (user, timezone.now())


def _write_rate(one: Planned, user: User, reason: str) -> None:
    line = one.line
    marks = adjusting.marks_of(line, line.billed_hours, one.rate, user, reason, line.meaning)
    line.rate, line.amount = one.rate, one.amount
    for name, value in marks.items():
        setattr(line, name, value)


def _put_off(invoice: Invoice, saved: list[Planned], user: User, reason: str) -> None:
    """Their entries wait for the next run. Raises NotAllowed where no work would be left on the draft."""
    ids = [one.line.pk for one in saved]
    if not invoice.lines.filter(is_voided=False).exclude(pk__in=ids).exists():
        raise NotAllowed(_("These are all its lines. Reject the draft instead."))
    claim.release_entries(ids, why=reason, user=user, hold=Reason.NEXT_RUN, note=reason)
    entries = [TimeEntry(pk=one.line.entry_id) for one in saved]
    for entry, one in zip(entries, saved, strict=True):
        entry.reason_sentence = reasons.sentence(Reason.NEXT_RUN, {"ref": one.line.ref})
    TimeEntry.objects.bulk_update(entries, ["reason_sentence"])
