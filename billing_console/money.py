"""The one place where an amount is rounded. Money is Decimal in the currency's own unit (not cents).

Rounding is ROUND_HALF_UP, always written out: Python's default is HALF_EVEN, Invoice Ninja rounds half up
(billing-rules: What is charged, exactly).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

ZERO = Decimal(0)
HUNDREDTH = Decimal("0.01")
_EIGHT_DECIMALS = Decimal("0.00000001")

# ISO 4217 currencies whose exponent is not 2.
_EXPONENTS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
}


def exponent(currency: str) -> int:
    """Number of decimals of `currency` (ISO 4217 code): EUR 2, JPY 0."""
    return _EXPONENTS.get(currency, 2)


@cache
def unit(currency: str) -> Decimal:
    """Smallest amount of `currency`: EUR 0.01, JPY 1."""
    return Decimal(1).scaleb(-exponent(currency))


def to_five_cents(amount: Decimal) -> Decimal:
    """`amount` as a server that rounds totals to five cents makes it: 21.66 is 21.65, 10.03 is 10.05 (half up)."""
    return (amount * 20).quantize(Decimal(1), rounding=ROUND_HALF_UP) / 20


def quantize(amount: Decimal, currency: str) -> Decimal:
    """`amount` rounded half up to the decimals of `currency`."""
    return amount.quantize(unit(currency), rounding=ROUND_HALF_UP)


def from_binary(value: Decimal) -> Decimal:
    """The decimal number that a server meant which counts in binary: `value` at 8 decimals, half up.

    43.294999999999995, its 3.5 × 12.37, is 43.295 and rounds to 43.30, as the server's own sum does. A number that has
    no more decimals stays as it is. To be done before any rounding to a currency (billing-rules: Decimals of a
    currency; recordings 758 to 774). Raises decimal.InvalidOperation above 20 digits before the point.
    """
    rounded = value.quantize(_EIGHT_DECIMALS, rounding=ROUND_HALF_UP)
    if rounded == value:
        return value
    whole = rounded.to_integral_value()
    return whole if rounded == whole else rounded.normalize()


def quantize_hours(hours: Decimal) -> Decimal:
    """Hours rounded half up to 2 decimals, the precision that an invoice line prints."""
    return hours.quantize(HUNDREDTH, rounding=ROUND_HALF_UP)


def round_to(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    """`value` as a multiple of `step`, by one of decimal's rounding modes; exact multiples stay as they are."""
    return (value / step).to_integral_value(rounding=rounding) * step


def line_amount(hours: Decimal, rate: Decimal, currency: str) -> Decimal:
    """Amount of one invoice line: quantize(billed hours × rate) in `currency` (billing-rules: Order of calculation)."""
    return quantize(hours * rate, currency)


def tax_amount(net: Decimal, percent: Decimal) -> Decimal:
    """Tax on a net total at invoice level: net × percent / 100, half up at two decimals whatever the currency.

    So Invoice Ninja counts it, also in yen or dinars (billing-rules: Tax; recordings 776 to 791, up to 5.12).
    """
    return (net * percent / 100).quantize(HUNDREDTH, rounding=ROUND_HALF_UP)


def gross_amount(net: Decimal, tax: Decimal, currency: str) -> Decimal:
    """What the client pays: net + tax, rounded half up to the decimals of `currency` (10626 + 1062.60 JPY is 11689)."""
    return quantize(net + tax, currency)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Sum of amounts of one currency; 0 for none."""
    return sum(amounts, ZERO)


def exact(amount: Decimal, currency: str) -> Decimal:
    """With the decimals of `currency`, or all it has where it is finer: a difference is never rounded away."""
    rounded = quantize(amount, currency)
    return rounded if rounded == amount else amount.normalize()
