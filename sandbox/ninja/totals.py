"""What an invoice amounts to: lines cleaned and multiplied, taxes, discount, total."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.ninja.values import Number, as_number, as_text, is_on, rounded, whole

LINE_DEFAULTS: dict[str, Any] = {
    "quantity": 0,
    "cost": 0,
    "type_id": "1",
    "tax_id": "1",
    "product_key": "",
    "product_cost": 0,
    "notes": "",
    "discount": 0,
    "is_amount_discount": False,
    "tax_name1": "",
    "tax_rate1": 0,
    "tax_name2": "",
    "tax_rate2": 0,
    "tax_name3": "",
    "tax_rate3": 0,
    "sort_id": "0",
    "line_total": 0,
    "gross_line_total": 0,
    "tax_amount": 0,
    "date": "",
    "custom_value1": "",
    "custom_value2": "",
    "custom_value3": "",
    "custom_value4": "",
    "task_id": "",
    "expense_id": "",
    "unit_code": "C62",
}


NO_TAX: dict[str, Any] = {f"tax_{part}{n}": empty for part, empty in (("name", ""), ("rate", 0)) for n in (1, 2, 3)}
TAX_DECIMALS = 2  # whatever the currency (recordings 775 to 791; up to 5.12)


@dataclass(frozen=True)
class Totals:
    """Cleaned lines, `total_taxes` at two decimals and `amount` at the currency's."""

    lines: list[dict[str, Any]]
    total_taxes: Number
    amount: Number


def clean_line(line: dict[str, Any]) -> dict[str, Any]:
    """A sent line with every field the server has, values cast; keys it does not know are kept."""
    cleaned = {**line}
    for field, default in LINE_DEFAULTS.items():
        value = line.get(field)
        if value is None:
            cleaned[field] = default
        elif isinstance(default, bool):
            cleaned[field] = is_on(value)
        elif isinstance(default, str):
            cleaned[field] = as_text(value)
        else:
            cleaned[field] = as_number(value)
    return cleaned


def calculate(
    invoice: dict[str, Any],
    lines: list[dict[str, Any]],
    precision: int,
    *,
    has_five_cents: bool = False,
    is_exempt: bool = False,
    by_country: tuple[str, float] | None = None,
) -> Totals:
    """Line totals are unrounded doubles; the subtotal sums the lines rounded half up to `precision` decimals.

    `invoice` gives discount, is_amount_discount, uses_inclusive_taxes, tax_name1-3, tax_rate1-3 (percent) and the
    surcharges. Taxes of lines are rounded per line, taxes of the invoice once on the net sum, each to two decimals.
    has_five_cents: the total alone is rounded to five cents, in any currency (recordings 792 to 798, 5.10.42).
    is_exempt: the client pays no tax, and the lines lose theirs (750). by_country: name and percent of the tax that
    each line gets instead of the sent one; taxes of the invoice itself are left alone (753 to 756).
    """
    is_amount = bool(invoice.get("is_amount_discount"))
    is_inclusive = bool(invoice.get("uses_inclusive_taxes"))
    discount = as_number(invoice.get("discount"))
    own = NO_TAX if is_exempt else {}
    if by_country is not None:
        own = {**NO_TAX, "tax_name1": by_country[0], "tax_rate1": by_country[1]}
    cleaned = [{**clean_line(line), **own} for line in lines]
    subtotal: Number = 0
    for line in cleaned:
        _set_line_total(line, is_amount, precision)
        subtotal += rounded(line["line_total"], precision)
    share = _discounted_share(discount, subtotal, is_amount)
    taxes: Number = 0
    for line in cleaned:
        _set_line_taxes(line, share, is_inclusive)
        taxes += line["tax_amount"]
    net = subtotal - (discount if is_amount else rounded(subtotal * discount / 100, 2))
    for number in (1, 2, 3):
        if len(as_text(invoice.get(f"tax_name{number}"))) > 1 and not is_exempt:
            taxes += _tax(net, as_number(invoice.get(f"tax_rate{number}")), is_inclusive)
    surcharges = sum(as_number(invoice.get(f"custom_surcharge{n}")) for n in (1, 2, 3, 4))
    total = net + surcharges + (0 if is_inclusive else taxes)
    amount = rounded(total, precision)
    if has_five_cents:
        amount = whole(rounded(amount * 20, 0) / 20)
    return Totals(cleaned, rounded(taxes, TAX_DECIMALS), amount)


def _set_line_total(line: dict[str, Any], is_amount: bool, precision: int) -> None:
    total = line["cost"] * line["quantity"]
    if is_amount:
        total -= rounded(line["discount"], precision)
    elif line["discount"]:
        total = rounded(total - total * line["discount"] / 100, precision)
    line["line_total"] = whole(total)
    line["is_amount_discount"] = is_amount


def _set_line_taxes(line: dict[str, Any], share: float, is_inclusive: bool) -> None:
    net = line["line_total"] * share
    tax: Number = 0
    for number in (1, 2, 3):  # one after the other, as the server adds doubles: 7 − 6.33 is 0.6699999999999999
        tax += _tax(net, line[f"tax_rate{number}"], is_inclusive)
    line["tax_amount"] = whole(tax)
    line["gross_line_total"] = whole(line["line_total"] + (0 if is_inclusive else tax))


def _discounted_share(discount: Number, subtotal: Number, is_amount: bool) -> float:
    if not is_amount:
        return 1 - discount / 100
    return 1 - discount / subtotal if subtotal > 0 else 1.0


def _tax(net: Number, rate: Number, is_inclusive: bool) -> Number:
    """The tax on (or, inclusive, in) `net` at `rate` percent, rounded half up to two decimals."""
    if not rate:
        return 0
    return rounded(net - net / (1 + rate / 100) if is_inclusive else net * rate / 100, TAX_DECIMALS)
