"""Celery tasks of invoicing: leafs that look for due rows. Safe to run twice, at once, or never for a while."""

from __future__ import annotations

from celery import shared_task


@shared_task
def build_runs() -> int:
    """Start the runs that are due and build what waits; returns for how many clients drafts were built."""
    from invoicing import build, schedule

    schedule.tick()
    return build.build_due()


@shared_task
def create_invoices(is_helper: bool = False) -> int:
    """Create approved invoices in Invoice Ninja, end those that are to end, make and use credits; returns how many."""
    from invoicing import creating, crediting
    from sync import fan_out

    credited = 0 if is_helper else crediting.write_due()
    kind = creating.HANDLER.kind
    return credited + fan_out.drain_records("invoices", kind, creating.create_due, is_helper=is_helper)


@shared_task
def send_invoices(is_helper: bool = False) -> int:
    """Mail confirmed invoices and look for proof; returns how many were looked at."""
    from invoicing import by_rule, sending
    from sync import fan_out

    if not is_helper:
        by_rule.send_created()
    due, busy = sending.due(), sending.in_flight()
    return fan_out.drain_together("sendings", sending.send_due, due, busy=busy, is_helper=is_helper)


@shared_task
def mark_invoices(is_helper: bool = False) -> int:
    """Mark confirmed invoices as sent, without a mail; returns how many."""
    from invoicing import marking
    from sync import fan_out

    return fan_out.drain_records("marks", marking.HANDLER.kind, marking.mark_due, is_helper=is_helper)


@shared_task
def fetch_pdfs() -> int:
    """Keep the PDFs of invoices that were sent; returns how many were fetched."""
    from invoicing import pdfs

    return pdfs.fetch_due()


@shared_task
def check_invoices() -> int:
    """Look through all invoices in Invoice Ninja for tasks on two of them, and throw old PDFs away; every night."""
    from invoicing import double_billing, pdfs

    pdfs.forget_old()
    return double_billing.check()


@shared_task
def send_reminders(is_helper: bool = False) -> int:
    """Mail reminders that a person asked for and look for proof; returns how many were looked at."""
    from invoicing import reminding
    from sync import fan_out

    due, busy = reminding.due(), reminding.in_flight()
    return fan_out.drain_together("reminders", reminding.remind_due, due, busy=busy, is_helper=is_helper)


@shared_task
def read_both_servers() -> int:
    """Do the readings that were asked for; returns how many were done."""
    from invoicing import readings

    return readings.read_due()


@shared_task
def ask_for_a_reading() -> int:
    """Every night: both servers are read for the reconciliation, unless somebody just asked for it."""
    from invoicing import readings

    return int(readings.ask_for_one())


@shared_task
def keep_books() -> int:
    """Book what changed of invoices and unbilled work; returns how many changes."""
    from invoicing.books import keeping

    return keeping.keep()


@shared_task
def poll_payments() -> int:
    """Read what changed in Invoice Ninja, and once a day what is open; returns how many invoices were looked at."""
    from invoicing import payments, rereading

    return payments.poll() + rereading.read_due()
