"""What beat rings, and how often. A row that an administrator edited is left as it is."""

from __future__ import annotations

from django.conf import settings
from django_celery_beat.models import IntervalSchedule, PeriodicTask


def _entries() -> dict[str, tuple[str, float]]:
    tick = settings.TICK_SECONDS
    return {
        "Worker heartbeat": ("sync.tasks.beat", tick),
        "Process deliveries": ("sync.tasks.process_deliveries", tick),
        "Read changed items": ("sync.tasks.read_items", tick),
        "Push to Invoice Ninja": ("sync.tasks.push_tasks", tick),
        "Write back to Taiga": ("sync.tasks.write_statuses", tick),
        "Sweep timelines": ("sync.tasks.sweep_projects", settings.SWEEP_SECONDS),
        "Connect projects": ("sync.tasks.provision_projects", tick),
        "Import files": ("sync.tasks.import_files", tick),
        "Ask servers that were away": ("sync.tasks.probe_upstreams", min(tick, settings.BREAKER_PROBE_SECONDS)),
        "Watch and alarm": ("sync.tasks.watch", tick),
        "Doctor": ("sync.tasks.look_around", tick),
        "Throw away what is old": ("sync.tasks.keep_house", 24 * 3600),
        "Start due runs": ("invoicing.tasks.build_runs", tick),
        "Create approved invoices": ("invoicing.tasks.create_invoices", tick),
        "Send invoices": ("invoicing.tasks.send_invoices", tick),
        "Mark invoices as sent": ("invoicing.tasks.mark_invoices", tick),
        "Fetch PDFs": ("invoicing.tasks.fetch_pdfs", tick),
        "Look for tasks on two invoices": ("invoicing.tasks.check_invoices", 24 * 3600),
        "Send reminders": ("invoicing.tasks.send_reminders", tick),
        "Read both servers for the reconciliation": ("invoicing.tasks.read_both_servers", tick),
        "Ask for a reading of both servers": ("invoicing.tasks.ask_for_a_reading", 24 * 3600),
        "Keep the books": ("invoicing.tasks.keep_books", settings.POLL_SECONDS),
        "Poll payments": ("invoicing.tasks.poll_payments", settings.POLL_SECONDS),
    }


def set_up() -> list[str]:
    """Make the missing schedules; returns their names. Existing ones keep their interval and their switch."""
    made = []
    for name, (task, seconds) in _entries().items():
        interval, _created = IntervalSchedule.objects.get_or_create(
            every=max(1, round(seconds)), period=IntervalSchedule.SECONDS
        )
        row, is_new = PeriodicTask.objects.get_or_create(
            name=name,
            defaults={
                "task": task,
                "interval": interval,
                # A ring that nobody heard is worth nothing later: the next one finds the same rows.
                "expire_seconds": max(5, round(seconds * 2)),
            },
        )
        if is_new:
            made.append(name)
        elif row.task != task:
            row.task = task
            row.save(update_fields=["task"])
    return made
