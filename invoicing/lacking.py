"""What a draft lacks: entries of its client, currency and time that are on no draft, and the ready ones taken along."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Q, QuerySet, Sum
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console import formats
from billing_console.errors import NotAllowed, StaleRevision
from billing_console.money import ZERO
from billing_console.states import EntryState, Reason
from invoicing import guards
from invoicing.models import Invoice
from invoicing.run import UNAPPROVED, refresh_draft
from mappings.models import Grouping
from sync.models import TimeEntry

if TYPE_CHECKING:
    from accounts.models import User

PUT_OFF = Q(state=EntryState.HELD, reason=Reason.NEXT_RUN)
HELD = Q(state=EntryState.HELD) & ~Q(reason=Reason.NEXT_RUN)
READY = Q(state=EntryState.READY)


@dataclass(frozen=True)
class Part:
    """Some of the entries that are missing: how many, what they come to before tax, how many have no price yet."""

    count: int
    amount: Decimal
    unpriced: int


@dataclass(frozen=True)
class Lacking:
    """Entries that wait for a person, for the next run, or for nothing but a refresh; amounts in the draft's currency.

    `ready` counts what is still on its way to Invoice Ninja too: a refresh waits for it.
    """

    held: Part
    put_off: Part
    ready: Part

    def __bool__(self) -> bool:
        return bool(self.held.count or self.put_off.count or self.ready.count)


def entries_of(invoice: Invoice) -> QuerySet[TimeEntry]:
    """Held and ready entries that would belong on this draft: worked before its period's end, late ones too.

    Those without a currency have no price yet; they are the client's, and the draft's as soon as they have one.
    """
    rows = TimeEntry.objects.filter(
        client=invoice.client_id,
        currency__in=(invoice.currency, ""),
        work_date__lt=invoice.period_end,
        state__in=(EntryState.HELD, EntryState.READY),
    )
    if invoice.rule_set.grouping == Grouping.PROJECT or invoice.group_key:
        rows = rows.filter(project=int(invoice.group_key) if invoice.group_key else None)
    return rows


def of(invoice: Invoice) -> Lacking:
    """What the draft lacks now: one query."""
    parts = {"held": HELD, "put_off": PUT_OFF, "ready": READY}
    sums: dict[str, Any] = {}
    for name, which in parts.items():
        sums[f"{name}_count"] = Count("pk", filter=which)
        sums[f"{name}_amount"] = Sum("amount", filter=which, default=ZERO)
        sums[f"{name}_unpriced"] = Count("pk", filter=which & Q(amount__isnull=True))
    found = entries_of(invoice).order_by().aggregate(**sums)
    return Lacking(
        **{name: Part(found[f"{name}_count"], found[f"{name}_amount"], found[f"{name}_unpriced"]) for name in parts}
    )


def as_seen(part: Part) -> str:
    """What a question showed of the ready entries, as text for its form."""
    return f"{part.count}:{part.amount.normalize():f}"


def take_along(invoice: Invoice, *, revision: int, seen: str, user: User) -> Part:
    """Refresh the draft so that what is ready joins it; returns what that is. `seen` is what the question showed.

    The drafts are built by the worker, a moment later, and only they lock. Raises NotAllowed where the draft moved on,
    nothing is ready, or something else than was shown; StaleRevision where the draft is another one by now.
    """
    now = Invoice.objects.select_related("client", "rule_set", "run").get(pk=invoice.pk)
    if now.state not in UNAPPROVED:
        raise NotAllowed(guards.moved_on(now))
    if now.revision != revision:
        raise StaleRevision
    ready = of(now).ready
    if not ready.count:
        raise NotAllowed(_("Nothing is ready any more that this draft could take along."))
    if as_seen(ready) != seen:
        raise NotAllowed(
            _("Something else is ready by now: %(now)s. Look again.") % {"now": in_words(ready, now.currency)}
        )
    refresh_draft(now, user=user)
    return ready


def in_words(part: Part, currency: str) -> str:
    """For example "2 entries, 2,002.00 EUR"."""
    text = ngettext("%(count)d entry, %(money)s", "%(count)d entries, %(money)s", part.count)
    return text % {"count": part.count, "money": formats.money(part.amount, currency)}
