"""Reminders: when the next one is due, and whether a mail sent by hand today is one. The stand-in sends none itself."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from sandbox.memory import Row
from sandbox.ninja.store import Store


def chosen_template(store: Store, invoice: Row) -> str:
    """What an e-mail without email_type says: the reminder whose day is today, else the invoice text."""
    for number in (1, 2, 3):
        if not invoice[f"reminder{number}_sent"] and _reminder_day(store, invoice, number) == store.today():
            return f"reminder{number}"
    return "invoice"


def next_send_date(store: Store, invoice: Row) -> str:
    """The next reminder's instant as UTC `YYYY-MM-DD HH:MM:SS`, or nothing."""
    hour = time(int(store.company()["settings"].get("entity_send_time") or 0) % 24)
    days = (_reminder_day(store, invoice, number) for number in (1, 2, 3))
    moments = [datetime.combine(day, hour, store.time_zone()).astimezone(UTC) for day in days if day is not None]
    coming = [moment for moment in moments if moment > store.clock.now()]
    return f"{min(coming):%Y-%m-%d %H:%M:%S}" if coming else ""


def _reminder_day(store: Store, invoice: Row, number: int) -> date | None:
    client = store["clients"].get(invoice["client_id"])
    if not store.setting(f"enable_reminder{number}", client):
        return None
    days = timedelta(days=int(store.setting(f"num_days_reminder{number}", client) or 0))
    schedule = store.setting(f"schedule_reminder{number}", client)
    try:
        day = date.fromisoformat(invoice["date"] if schedule == "after_invoice_date" else invoice["due_date"])
    except ValueError:
        return None
    return day - days if schedule == "before_due_date" else day + days
