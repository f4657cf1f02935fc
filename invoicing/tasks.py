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
def create_invoices() -> int:
    """Create approved invoices in Invoice Ninja; returns how many."""
    from invoicing import creating

    return creating.create_due()


@shared_task
def send_invoices() -> int:
    """Mail confirmed invoices and look for proof; returns how many were looked at."""
    from invoicing import by_rule, sending

    by_rule.send_created()
    return sending.send_due()


@shared_task
def poll_payments() -> int:
    """Read what changed in Invoice Ninja; returns how many of our invoices were looked at."""
    from invoicing import payments

    return payments.poll()
