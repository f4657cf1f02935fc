"""Pausing the reminders of an invoice, or of all invoices of a client, until a day, with a reason.

A paused invoice is reminded by nobody here until somebody lifts the pause or its last day is over. Invoice Ninja's own
schedule knows nothing of it: what it still plans is told wherever a pause is shown. Days are those of the company's
zone, by the business clock.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console import clock, formats
from billing_console.errors import NotAllowed
from billing_console.reason import reason_of
from invoicing.models import Invoice, ReminderPause

if TYPE_CHECKING:
    from accounts.models import User

LONGEST = dt.timedelta(days=366)


def today() -> dt.date:
    """The day by which pauses begin and end."""
    return clock.today(settings.BILLING_TIMEZONE)


def of_many(invoices: Iterable[Invoice]) -> dict[int, ReminderPause]:
    """The pause in force of each of these invoices, by its id: one query. Of two it is the one that lasts longer."""
    rows = list(invoices)
    own = Q(invoice__in=[row.pk for row in rows])
    of_client = Q(invoice__isnull=True, client__in={row.client_id for row in rows})
    found = list(_in_force().filter(own | of_client).select_related("by", "client").order_by("until", "pk"))
    return {
        row.pk: pause
        for pause in found
        for row in rows
        if pause.invoice_id == row.pk or (pause.invoice_id is None and pause.client_id == row.client_id)
    }


def of(invoice: Invoice) -> ReminderPause | None:
    """The pause in force of this invoice, its own or its client's."""
    return of_many([invoice]).get(invoice.pk)


def is_paused() -> Exists:
    """The condition of an invoice that is paused, for lists."""
    of_invoice = Q(invoice=OuterRef("pk")) | Q(invoice__isnull=True, client=OuterRef("client"))
    return Exists(_in_force().filter(of_invoice))


def _in_force() -> QuerySet[ReminderPause]:
    return ReminderPause.objects.filter(lifted_at__isnull=True, until__gte=today())


def sentence(pause: ReminderPause) -> str:
    """What is paused until when, by whom and why."""
    words = {
        "client": pause.client,
        "day": formats.day(pause.until),
        "who": pause.by.get_full_name() or pause.by.get_username(),
        "reason": pause.reason.rstrip("."),
    }
    if pause.invoice_id is None:
        return _("Reminders of %(client)s are paused until %(day)s, by %(who)s: %(reason)s.") % words
    return _("Reminders of this invoice are paused until %(day)s, by %(who)s: %(reason)s.") % words


def still_planned(invoice: Invoice) -> str:
    """What Invoice Ninja's schedule mails although the invoice is paused here; "" where it plans nothing."""
    if invoice.next_reminder_at is None:
        return ""
    return _(
        "Invoice Ninja's own schedule does not know of the pause and mails it %(when)s. To stop that too, switch the "
        "client's reminders off there."
    ) % {"when": formats.moment(invoice.next_reminder_at, invoice.timezone)}


def pause(
    invoice: Invoice, *, until: dt.date, is_for_client: bool, reason: str, seen: str, user: User
) -> ReminderPause:
    """Pause the invoice, or all of its client, up to and with the day `until`; a pause of the same is replaced.

    `seen` is the id of the pause in force that was on screen, "" for none. Locks the invoice, so that no reminder is
    asked for meanwhile. Raises NotAllowed without a reason, for a day that is over or more than a year away, and where
    another pause is in force by now.
    """
    reason = reason_of(reason)
    if not today() <= until <= today() + LONGEST:
        raise NotAllowed(
            _("Choose a day from %(first)s to %(last)s; who must never be reminded again is not a matter of days.")
            % {"first": formats.day(today()), "last": formats.day(today() + LONGEST)}
        )
    with transaction.atomic():
        row = Invoice.objects.select_for_update(of=("self",)).select_related("client").get(pk=invoice.pk)
        now = of(row)
        if (str(now.pk) if now else "") != seen:
            raise NotAllowed(
                _("Somebody was faster. %(pause)s Look again.") % {"pause": sentence(now)}
                if now
                else _("The pause that you saw was lifted meanwhile. Look again.")
            )
        target = Q(invoice__isnull=True, client=row.client_id) if is_for_client else Q(invoice=row.pk)
        ReminderPause.objects.filter(target, lifted_at__isnull=True).update(
            lifted_at=timezone.now(), lifted_by=user, lifted_reason=_("replaced by another pause")
        )
        return ReminderPause.objects.create(
            client=row.client, invoice=None if is_for_client else row, until=until, reason=reason.strip(), by=user
        )


def over(pause: ReminderPause) -> str:
    """That the pause ended already, and how; "" where it lasts."""
    if pause.lifted_at is not None:
        who = pause.lifted_by.get_username() if pause.lifted_by else ""
        return _("%(who)s lifted this pause already: %(reason)s") % {"who": who, "reason": pause.lifted_reason}
    if pause.until < today():
        return _("This pause ended by itself on %(day)s.") % {"day": formats.day(pause.until)}
    return ""


def lift(pause_id: int, *, reason: str, user: User) -> ReminderPause:
    """End a pause before its day; the invoice may be reminded at once. Raises NotAllowed where it ended already."""
    reason = reason_of(reason)
    with transaction.atomic():
        rows = ReminderPause.objects.select_for_update(of=("self",)).select_related("by", "client", "lifted_by")
        found = rows.filter(pk=pause_id).first()
        if found is None:
            raise NotAllowed(_("This pause is not there. Open it from the list of reminders."))
        if why := over(found):
            raise NotAllowed(why)
        found.lifted_at, found.lifted_by, found.lifted_reason = timezone.now(), user, reason.strip()
        found.save(update_fields=["lifted_at", "lifted_by", "lifted_reason"])
    return found
