"""billing-rules: Rounding, Minimum, More hours later."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_console.money import line_amount
from mappings.rules import HourRules, bill_hours, cycle_hours

RATE = Decimal("95.00")
RAW = [Decimal(text) for text in ("0.10", "0.35", "1.05", "2.60")]
STEPS = {"0.25": "quarter_hour", "0.5": "half_hour", "1": "hour"}

FIXTURE = [
    # increment, minimum, mode, billed hours, amount
    ("0.25", "0", "up", "4.75", "451.25"),
    ("0.25", "0", "nearest", "3.75", "356.25"),
    ("0.25", "0", "down", "3.75", "356.25"),
    ("0.5", "0", "up", "5.50", "522.50"),
    ("0.5", "0", "nearest", "4.00", "380.00"),
    ("0.5", "0", "down", "3.50", "332.50"),
    ("1", "0", "up", "7.00", "665.00"),
    ("1", "0", "nearest", "4.00", "380.00"),
    ("1", "0", "down", "3.00", "285.00"),
    ("0.25", "0.25", "up", "4.75", "451.25"),
    ("0.25", "0.25", "nearest", "4.00", "380.00"),
    ("0.25", "0.25", "down", "4.00", "380.00"),
    ("0.5", "0.25", "up", "5.50", "522.50"),
    ("0.5", "0.25", "nearest", "4.25", "403.75"),
    ("0.5", "0.25", "down", "4.00", "380.00"),
    ("1", "0.25", "up", "7.00", "665.00"),
    ("1", "0.25", "nearest", "4.50", "427.50"),
    ("1", "0.25", "down", "3.50", "332.50"),
]


@pytest.mark.parametrize(("step", "minimum", "mode", "hours", "amount"), FIXTURE)
def test_rounding_fixture(step: str, minimum: str, mode: str, hours: str, amount: str) -> None:
    rules = HourRules(STEPS[step], mode, Decimal(minimum), "raise")
    billed = [bill_hours(raw, rules).billed for raw in RAW]
    assert sum(billed) == Decimal(hours)
    assert sum(line_amount(one, RATE, "EUR") for one in billed) == Decimal(amount)


@pytest.mark.parametrize(
    ("raw", "rules", "billed", "rounded", "below"),
    [
        ("0.25", HourRules(), "0.25", "0.25", False),  # an exact multiple stays
        ("0", HourRules(), "0.00", "0.00", False),  # 0 stays 0, and is not below the minimum
        ("0.10", HourRules("none", "up", Decimal("0.25"), "raise"), "0.25", "0.10", False),
        ("0.10", HourRules("none", "up", Decimal("0.25"), "skip"), "0.00", "0.10", True),
        ("0.25", HourRules("none", "up", Decimal("0.25"), "skip"), "0.25", "0.25", False),  # exactly m passes
        ("0.24", HourRules("none", "up", Decimal("0.25"), "skip"), "0.00", "0.24", True),
        ("0.10", HourRules("quarter_hour", "down", Decimal(0), "raise"), "0.00", "0.00", True),  # also with m = 0
        ("0.004", HourRules("none", "up", Decimal(0), "raise"), "0.00", "0.00", True),
        ("4.333333", HourRules("none", "up", Decimal(0), "raise"), "4.33", "4.33", False),
        ("0.125", HourRules("quarter_hour", "nearest", Decimal(0), "raise"), "0.25", "0.25", False),  # half up
        ("0.375", HourRules("quarter_hour", "nearest", Decimal(0), "raise"), "0.50", "0.50", False),
        ("0.005", HourRules("none", "down", Decimal(0), "raise"), "0.01", "0.01", False),  # none: always half up
        ("0.1", HourRules("quarter_hour", "up", Decimal("0.33"), "raise"), "0.33", "0.25", False),
    ],
)
def test_minimum_and_edges(raw: str, rules: HourRules, billed: str, rounded: str, below: bool) -> None:
    result = bill_hours(Decimal(raw), rules)
    assert (str(result.billed), str(result.rounded), result.is_below_minimum) == (billed, rounded, below)


def test_negative_hours_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        bill_hours(Decimal("-0.25"), HourRules())


@pytest.mark.parametrize(
    ("rounding", "minimum", "uneven"),
    [("quarter_hour", "0.25", False), ("half_hour", "0.25", True), ("none", "0.1", False), ("hour", "0", False)],
)
def test_a_minimum_that_is_no_multiple_is_noticed(rounding: str, minimum: str, uneven: bool) -> None:
    assert HourRules(rounding, "up", Decimal(minimum)).has_uneven_minimum is uneven


def test_four_cycles_bill_what_one_would() -> None:
    billed = Decimal(0)
    steps = []
    for total in ("2.10", "2.20", "2.30", "2.40"):
        added = cycle_hours(Decimal(total), billed, HourRules())
        steps.append(added)
        billed += added
    assert steps == [Decimal("2.25"), Decimal("0.00"), Decimal("0.25"), Decimal("0.00")]
    assert billed == Decimal("2.50")
    assert cycle_hours(Decimal("2.00"), billed, HourRules()) == Decimal("-0.50")


hours = st.decimals(min_value=0, max_value=9999, places=6)
any_rules = st.builds(
    HourRules,
    st.sampled_from(["none", "quarter_hour", "half_hour", "hour"]),
    st.sampled_from(["up", "nearest", "down"]),
    st.decimals(min_value=0, max_value=4, places=2),
    st.sampled_from(["raise", "skip"]),
)


@given(hours, any_rules)
def test_billing_billed_hours_again_changes_nothing(raw: Decimal, rules: HourRules) -> None:
    rounded = bill_hours(raw, rules).rounded
    assert bill_hours(rounded, rules).rounded == rounded


@given(hours, hours, any_rules)
def test_more_hours_never_bill_less(one: Decimal, other: Decimal, rules: HourRules) -> None:
    low, high = sorted((one, other))
    assert bill_hours(low, rules).billed <= bill_hours(high, rules).billed


@given(hours, st.sampled_from(["quarter_hour", "half_hour", "hour"]))
def test_rounding_up_never_bills_less_than_was_worked(raw: Decimal, rounding: str) -> None:
    result = bill_hours(raw, HourRules(rounding, "up"))
    assert raw <= result.billed < raw + 1 or raw == result.billed


@given(hours, any_rules)
def test_billed_hours_have_two_decimals_at_most(raw: Decimal, rules: HourRules) -> None:
    result = bill_hours(raw, rules)
    assert result.billed.as_tuple().exponent == -2
    assert result.is_below_minimum == (raw > 0 and result.billed == 0)


@given(hours, any_rules)
def test_raising_and_skipping_differ_only_below_the_minimum(raw: Decimal, rules: HourRules) -> None:
    raised = bill_hours(raw, HourRules(rules.rounding, rules.mode, rules.minimum, "raise"))
    skipped = bill_hours(raw, HourRules(rules.rounding, rules.mode, rules.minimum, "skip"))
    assert raised.rounded == skipped.rounded
    if raw == 0 or raised.rounded >= rules.minimum:
        assert raised.billed == skipped.billed == raised.rounded
    else:
        assert (raised.billed, skipped.billed) == (rules.minimum, Decimal(0))


@given(hours, st.sampled_from(["quarter_hour", "half_hour", "hour"]), st.sampled_from(["up", "nearest", "down"]))
def test_rounded_hours_are_a_multiple_less_than_a_step_away(raw: Decimal, rounding: str, mode: str) -> None:
    rules = HourRules(rounding, mode, Decimal(0))
    rounded, step = bill_hours(raw, rules).rounded, rules.increment
    assert step is not None
    assert rounded % step == 0
    away = rounded - raw
    assert {"up": 0 <= away < step, "down": -step < away <= 0, "nearest": -step / 2 < away <= step / 2}[mode]


@given(st.lists(hours, min_size=1, max_size=6), any_rules)
def test_cycles_bill_together_what_the_last_total_bills(totals: list[Decimal], rules: HourRules) -> None:
    billed = Decimal(0)
    for total in sorted(totals):
        added = cycle_hours(total, billed, rules)
        assert added >= 0
        billed += added
    assert billed == bill_hours(max(totals), rules).billed


@pytest.mark.parametrize("rounding", ["none", "quarter_hour", "half_hour", "hour"])
@pytest.mark.parametrize("mode", ["up", "nearest", "down"])
@pytest.mark.parametrize("raw", ["0", "1", "2.00", "24"])
def test_exact_multiples_stay_whatever_the_rounding(rounding: str, mode: str, raw: str) -> None:
    assert bill_hours(Decimal(raw), HourRules(rounding, mode, Decimal(0))).billed == Decimal(raw)
