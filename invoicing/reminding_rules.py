"""Who may be reminded when: of what is owed, not too soon after the last mail, and never beside the schedule's own.

Reading only. Amounts are gross, days are those of the business clock in the invoice's zone.
"""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.utils.translation import gettext as _

from billing_console import clock, formats
from billing_console.states import ReminderState
from invoicing import late_mails, pausing, receivers
from invoicing.models import Invoice, Reminder, ReminderPause, ReminderText
from invoicing.payments import OWED
from invoicing.sending_checks import not_these, other_currency
from sync.clients.ninja_rows import PARTIAL, SENT, NinjaClient, NinjaInvoice

TONIGHT = dt.timedelta(days=1)
OPEN_STATES = (ReminderState.PENDING, ReminderState.SENDING, ReminderState.ATTENTION)
TEXTS = (ReminderText.FIRST, ReminderText.SECOND, ReminderText.THIRD)


def next_text(invoice: Invoice) -> ReminderText:
    """The first of the three texts that neither the schedule nor a person used for it yet, else the further one."""
    by_schedule = {text for text, day in zip(TEXTS, invoice.reminded_on, strict=False) if day}
    by_hand = {row.text for row in invoice.reminders.all() if row.state != ReminderState.REFUSED}
    return next((text for text in TEXTS if text not in by_schedule | by_hand), ReminderText.FURTHER)


def why_not(invoice: Invoice, text: str) -> str:
    """Why this invoice may not be reminded now, as our own rows have it; "" when it may."""
    if text not in ReminderText.values:
        return _("Choose one of the reminder texts.")
    if invoice.state not in OWED or not invoice.balance or invoice.balance <= 0:
        return _("%(invoice)s is not reminded: it is “%(state)s”, nothing is owed.") % {
            "invoice": invoice,
            "state": invoice.get_state_display(),
        }
    if pause := pausing.of(invoice):
        return paused(pause)
    if invoice.reminders.filter(state__in=OPEN_STATES).exists():
        return already(invoice)
    if why := too_early(invoice) or other_currency(invoice, invoice.client.currency):
        return why
    return not_these(receivers.known(invoice), ())


def paused(pause: ReminderPause) -> str:
    """The sentence for an invoice whose reminders are paused."""
    return _("%(pause)s Lift the pause first.") % {"pause": pausing.sentence(pause)}


def already(invoice: Invoice) -> str:
    """The sentence for a second click."""
    return _("A reminder of %(invoice)s is on its way, or waits for a decision.") % {"invoice": invoice}


def too_early(invoice: Invoice, *, besides: Reminder | None = None) -> str:
    """Why it is too early for another mail: one left a few days ago, or the schedule sends one tonight; "" if not."""
    last = last_mail_on(invoice, besides=besides)
    today = clock.today(invoice.timezone)
    gap = settings.REMINDER_GAP_DAYS
    if last is not None and (today - last).days < gap:
        return _("The last mail about it left on %(day)s. Another one may leave from %(from)s on.") % {
            "day": formats.day(last),
            "from": formats.day(last + dt.timedelta(days=gap)),
        }
    if is_tonight(invoice):
        return _("Invoice Ninja reminds of it by itself, %(when)s.") % {
            "when": formats.moment(invoice.next_reminder_at, invoice.timezone)
        }
    return ""


def last_mail_on(invoice: Invoice, *, besides: Reminder | None = None) -> dt.date | None:
    """The day of the last mail about it: the invoice's own, a reminder of the schedule, or one by hand."""
    days = [dt.date.fromisoformat(day) for day in invoice.reminded_on if day]
    days += [invoice.last_mail_on] if invoice.last_mail_on else []
    for row in invoice.reminders.all():
        is_mailed = row.reminded_at and row.state != ReminderState.REFUSED
        if is_mailed and row.reminded_at and (besides is None or row.pk != besides.pk):
            days.append(clock.local_date(row.reminded_at, invoice.timezone))
    return max(days, default=None)


def is_tonight(invoice: Invoice) -> bool:
    """Whether Invoice Ninja's own schedule mails it within a day, or should just have and was not seen to yet."""
    at = invoice.next_reminder_at
    return at is not None and abs(at - clock.now()) <= TONIGHT


def refusal(reminder: Reminder, there: NinjaInvoice, client: NinjaClient, *, currency: str) -> str:
    """Why a reminder must not leave, by what was just read there (and taken over); "" when it may.

    `currency` is the client's of this moment. Whom it would reach is judged as before the invoice's own mail.
    """
    invoice, number = reminder.invoice, there.number or there.id
    if there.is_deleted or there.status_id not in (SENT, PARTIAL) or there.balance <= 0:
        return _("Invoice %(number)s is paid, cancelled or deleted in Invoice Ninja by now; nobody was reminded.") % {
            "number": number
        }
    if pause := pausing.of(invoice):
        return _("%(pause)s Nobody was reminded.") % {"pause": pausing.sentence(pause)}
    if there.balance != reminder.balance:
        return _("%(open)s of invoice %(number)s is open by now; nobody was reminded. Look at it again.") % {
            "open": formats.money(there.balance, invoice.currency),
            "number": number,
        }
    if late := late_mails.too_late(reminder.asked_at, invoice.timezone):
        return late
    if early := too_early(invoice, besides=reminder):
        return early
    if why := other_currency(invoice, currency):
        return why
    return not_these(receivers.of(there, client), reminder.shown_to)
