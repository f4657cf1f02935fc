"""Celery tasks of the sync: leafs that look for due rows. Safe to run twice, at once, or never for a while."""

from __future__ import annotations

from celery import shared_task


@shared_task
def process_deliveries() -> int:
    """Turn received deliveries into items to read; returns how many."""
    from sync import ingest

    return ingest.process_due()


@shared_task
def read_items(is_helper: bool = False) -> int:
    """Price again what a changed mapping or rate concerns, read what changed in Taiga; returns how many items."""
    from sync import fan_out, reevaluate, work_items

    priced = 0 if is_helper else reevaluate.evaluate_marked()
    due, busy, most = work_items.due(), work_items.readers(), fan_out.STAGE_HELPERS
    return priced + fan_out.drain_together("items", work_items.read_due, due, busy=busy, is_helper=is_helper, most=most)


@shared_task
def push_tasks(is_helper: bool = False) -> int:
    """Write due tasks into Invoice Ninja; returns how many."""
    from sync import fan_out, push

    kind, most = push.HANDLER.kind, fan_out.STAGE_HELPERS
    return fan_out.drain_records("push", kind, push.push_due, is_helper=is_helper, most=most)


@shared_task
def write_statuses(is_helper: bool = False) -> int:
    """Write due invoice statuses into Taiga; returns how many."""
    from sync import fan_out, writeback

    kind, most = writeback.HANDLER.kind, fan_out.STAGE_HELPERS
    return fan_out.drain_records("writeback", kind, writeback.write_due, is_helper=is_helper, most=most)


@shared_task
def sweep_projects() -> int:
    """Read the timelines of all mapped projects; returns how many were swept."""
    from sync import sweep

    return sweep.sweep_all()


@shared_task
def import_files() -> int:
    """Look through, or import, the configuration files that wait; returns how many imports."""
    from mappings import import_jobs

    return import_jobs.run_due()


@shared_task
def provision_projects() -> int:
    """Read the lists of both servers when they are old; make attributes and webhooks in Taiga; returns how many."""
    from sync import lists, provision_calls

    lists.ensure_lists()
    return provision_calls.provision_due()


@shared_task
def refresh_lists() -> int:
    """Read the lists of clients and projects of both servers where they are wanted or old; returns how many."""
    from sync import lists

    return lists.ensure_lists()


@shared_task
def probe_upstreams() -> int:
    """Ask servers that did not answer whether they are back; returns how many are."""
    from sync import gate

    return gate.probe_due()


@shared_task
def look_around() -> int:
    """Do the doctor's checks that are due or asked for; returns how many were done."""
    from sync.doctor import checking

    return checking.check_due()


@shared_task
def watch() -> int:
    """Look for what should alarm somebody, and mail it; returns how many mails left."""
    from sync import alarms, field_key, future_times, watching

    future_times.set_right()
    field_key.watch()
    watching.watch()
    return alarms.mail_due()


@shared_task
def keep_house() -> int:
    """Throw away what is old; returns how many calls were summed up."""
    from sync import housekeeping

    return housekeeping.keep_house().calls


@shared_task
def beat() -> None:
    """Note that beat rings and a worker answers."""
    from sync import heartbeats

    heartbeats.note("worker")
