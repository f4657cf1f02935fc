"""Safety brakes: what can be priced, but is so unlikely that a person looks at it before it is billed.

Each is a setting of the company. A brake asks once: a confirmed value passes until it is another one. Pure but for
`sync.past`, which answers what came before for a whole batch at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.utils.formats import date_format

from billing_console import money
from billing_console.states import Reason
from mappings.models import Client, ProjectMapping

if TYPE_CHECKING:
    from sync.models import WorkItem
    from sync.world import World


@dataclass(frozen=True)
class Priced:
    """What a cycle came to, as far as brakes look at it: hours in hours, money in `currency`, days local.

    `hours` are all hours typed on the item, `billed` what this cycle adds, `raw` the typed hours that it bills.
    """

    item: WorkItem
    mapping: ProjectMapping
    client: Client
    hours: Decimal
    raw: Decimal
    billed: Decimal
    rate: Decimal
    currency: str
    amount: Decimal
    work_date: dt.date
    closed_at: dt.datetime
    typed_at: dt.datetime | None


@dataclass(frozen=True)
class Brake:
    """Why it is held: `token` is what a confirmation remembers, `facts` make the sentence."""

    reason: str
    token: str
    facts: dict[str, Any]


def applied(priced: Priced, world: World) -> Iterator[Brake]:
    """The brakes that this price pulls, confirmed or not; those that need no reading first."""
    for brake in (_client(priced, world), _late(priced, world), _uplift(priced, world), _rate(priced, world)):
        if brake is not None:
            yield brake
    month = _month(priced, world)
    if month is not None:
        yield month


def _client(priced: Priced, world: World) -> Brake | None:
    """An item of one client in the project of another: Invoice Ninja would show it under neither's project."""
    if not world.company.brake_client or priced.client.pk == priced.mapping.client_id:
        return None
    facts = {"owner": str(priced.mapping.client), "client": str(priced.client), "typed": priced.client.ninja_id}
    return Brake(Reason.BRAKE_CLIENT, client_token(priced.client), facts)


def client_token(client: Client) -> str:
    """What is remembered when a person confirms that this client pays for an item in another one's project."""
    return f"client={client.pk}"


def _late(priced: Priced, world: World) -> Brake | None:
    """Hours that somebody typed (or changed) long after the work was closed."""
    limit = world.company.brake_late_days
    if limit is None or priced.typed_at is None:
        return None
    days = (priced.typed_at - priced.closed_at).days
    if days <= limit:
        return None
    facts = {"hours": plain(priced.hours), "days": str(days), "limit": str(limit)}
    return Brake(Reason.BRAKE_LATE, f"late={plain(priced.hours)}", facts)


def _uplift(priced: Priced, world: World) -> Brake | None:
    """Rounding and minimum that charge far more than was worked: mostly a slip in the rule set."""
    percent, least = world.company.brake_uplift_percent, world.company.brake_uplift_hours
    uplift = priced.billed - priced.raw
    if percent is None or uplift <= least or uplift * 100 <= priced.raw * percent:
        return None
    facts = {
        "raw": plain(priced.raw),
        "billed": plain(priced.billed),
        "uplift": plain(uplift),
        "percent": str(percent),
        "least": plain(least),
    }
    return Brake(Reason.BRAKE_UPLIFT, f"uplift={plain(priced.raw)}>{plain(priced.billed)}", facts)


def _rate(priced: Priced, world: World) -> Brake | None:
    """A rate far from what the same person's work in the same project was billed at before."""
    percent = world.company.brake_rate_percent
    if percent is None or priced.rate == 0:  # a rate of 0 is asked about as "free of charge?"
        return None
    before = world.past.previous_rate(priced.item)
    if before is None or before.currency != priced.currency:
        return None
    if abs(priced.rate - before.rate) * 100 <= before.rate * percent:
        return None
    facts = {
        "rate_now": _money(priced.rate, priced.currency),
        "rate_before": _money(before.rate, before.currency),
        "ref_before": str(before.ref),
        "percent": str(percent),
    }
    return Brake(Reason.BRAKE_RATE, f"rate={plain(priced.rate)}{priced.currency}", facts)


def _month(priced: Priced, world: World) -> Brake | None:
    """What lifts a client's month far above its usual one. The value confirmed is the entry's own amount."""
    factor = world.company.brake_month_factor
    if factor is None or priced.amount <= 0:
        return None
    month = priced.work_date.replace(day=1)
    usual = world.past.usual_month(priced.client, priced.currency, month)
    if usual is None:
        return None
    total = priced.amount + world.past.month_so_far(priced.item, priced.client, priced.currency, month)
    if total <= factor * usual:
        return None
    facts = {
        "month": date_format(month, "F Y"),
        "total": _money(total, priced.currency),
        "usual": _money(usual, priced.currency),
        "factor": plain(factor),
    }
    return Brake(Reason.BRAKE_MONTH, f"month={month:%Y-%m}:{plain(priced.amount)}", facts)


def _money(amount: Decimal, currency: str) -> str:
    return f"{money.quantize(amount, currency):f} {currency}"


def plain(number: Decimal) -> str:
    """The number without trailing zeros or exponent: 2.100000 is 2.1."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
