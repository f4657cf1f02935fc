"""More hours of an item billed at once: its next cycle, and a supplement run for the period of the invoice."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console.errors import NotAllowed
from invoicing.models import InvoiceLine, RunTrigger
from invoicing.run import start_run
from mappings.rules import Period
from sync import supplements
from sync.models import Difference, TimeEntry


def bill_at_once(difference: Difference, *, mark: str, user: User, note: str) -> TimeEntry:
    """Let the next cycle bill what came to the item, and start a supplement of the invoice's run for its client.

    Both or neither. Raises NotAllowed, StaleRevision, and IllegalTransition on a second click.
    """
    with transaction.atomic():
        entry = supplements.supplement(difference, mark=mark, user=user, note=note)
        lines = InvoiceLine.objects.filter(entry=difference.entry_id, is_voided=False)
        line = lines.select_related("invoice__client", "invoice__run").first()
        if line is None or entry.client_id != line.invoice.client_id:
            raise NotAllowed(_("There is no invoice of this client to supplement. Bill it with the next run."))
        run = line.invoice.run
        start_run(
            run.frequency,
            Period(run.period_start, run.period_end),
            timezone=run.timezone,
            trigger=RunTrigger.PERSON,
            user=user,
            reason=note.strip(),
            clients=[line.invoice.client],
            is_supplement=True,
            is_early=True,
        )
    return entry
