"""Every month of simulated years balances to the cent, on both servers and between them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.core.management import call_command

from billing_console.states import InvoiceState
from invoicing.models import Invoice, Payment
from mappings.rules import Period
from sync.models import Transition
from tests.machine.office import Office
from tests.machine.years import Years, months

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def play(office: Office, periods: list[Period], seed: int) -> Years:
    """Every month is played, billed, and must balance at once; in the end they all still do."""
    years = Years(office, seed)
    try:
        for period in periods:
            years.play(period)
            assert years.balance(period) == {}, period
            call_command("reconcile", f"--month={period.start:%Y-%m}", "--last-reading", verbosity=0)
        for period in periods:
            assert years.residues(period) == {}, period
        years.compare_with_what_people_did()
        assert office.desk.ledger.asked == years.asked_there()
    finally:
        office.clocks.close()
    return years


def test_the_months_around_a_leap_day_and_a_change_of_the_clocks_balance(office: Callable[[], Office]) -> None:
    years = play(office(), months((2028, 1), 3), seed=2)

    assert {dt.date(2028, 1, 31), dt.date(2028, 2, 29), dt.date(2028, 3, 26)} <= years.work_dates()
    assert Invoice.objects.count() >= 3


@pytest.mark.long
@pytest.mark.parametrize("seed", [2026, 2027])
def test_three_years_of_month_ends_balance_every_month(office: Callable[[], Office], seed: int) -> None:
    years = play(office(), months((2026, 1), 36), seed)

    trail = Transition.objects.filter(model="invoicing.invoice")
    assert set(trail.values_list("to_state", flat=True)) >= {
        *(InvoiceState.SENT, InvoiceState.PARTLY_PAID, InvoiceState.PAID, InvoiceState.CANCELLED)
    }
    assert Payment.objects.filter(refunded__gt=0).exists()
    assert Invoice.objects.count() >= 36
    assert years.kills > 300
    assert dt.date(2028, 2, 29) in years.work_dates()
