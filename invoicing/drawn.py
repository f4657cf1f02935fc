"""Which currency a plot draws where its numbers are in several: the company's, unless another was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mappings.models import Company


@dataclass(frozen=True)
class Drawn:
    """The currency that is drawn ("" where there is nothing to draw), and those that can be asked for instead."""

    currency: str
    others: tuple[str, ...] = ()

    @property
    def in_order(self) -> tuple[str, ...]:
        """All of them, the drawn one first."""
        return (self.currency, *self.others) if self.currency else ()


def choose_currency(currencies: Iterable[str], asked: str = "") -> Drawn:
    """The currency to draw: `asked` where the numbers have it, else the company's, else the first by its code.

    Amounts of two currencies are not compared: 96,000 JPY are not more than 5,000 EUR. One query.
    """
    codes = sorted(set(currencies))
    if not codes:
        return Drawn("")
    company = Company.objects.values_list("currency", flat=True).first()
    main = next((code for code in (asked, company) if code in codes), codes[0])
    return Drawn(main, tuple(code for code in codes if code != main))
