"""What a printed line says of the work behind it."""

from __future__ import annotations

from decimal import Decimal

from invoicing.models import Invoice, InvoiceLine


def number_of(line: InvoiceLine) -> int:
    """Taiga's id of the item of a line of work."""
    assert line.entry is not None
    return int(line.entry.item.taiga_id)


def key_of(line: InvoiceLine) -> str:
    """Our key of the line's task in Invoice Ninja: one for each cycle."""
    assert line.entry is not None
    assert line.entry.remote_task is not None
    return str(line.entry.remote_task.our_key)


def first_of(line: InvoiceLine) -> tuple[Decimal, Decimal]:
    """Hours and rate before a person wrote others."""
    if line.original_hours is None or line.original_rate is None:
        return line.billed_hours, line.rate
    return line.original_hours, line.original_rate


def lines_of(invoice: Invoice) -> list[InvoiceLine]:
    """The printed lines."""
    rows = invoice.lines.filter(is_voided=False).select_related("entry__item", "entry__remote_task")
    return list(rows.order_by("position", "pk"))
