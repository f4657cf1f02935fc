"""Amounts of two currencies are never compared: the company's is drawn, others when they are asked for."""

from __future__ import annotations

import pytest

from invoicing.drawn import choose_currency
from mappings.models import Company

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("codes", "asked", "order"),
    [
        (["JPY", "EUR", "CHF"], "", ("EUR", "CHF", "JPY")),
        (["JPY", "EUR", "CHF"], "JPY", ("JPY", "CHF", "EUR")),
        (["JPY", "EUR"], "USD", ("EUR", "JPY")),
        (["JPY", "CHF"], "", ("CHF", "JPY")),
        (["JPY"], "", ("JPY",)),
        ([], "EUR", ()),
    ],
)
def test_the_companys_currency_comes_first_unless_another_is_asked_for(
    codes: list[str], asked: str, order: tuple[str, ...]
) -> None:
    Company.objects.update_or_create(pk=1, defaults={"currency": "EUR"})

    assert choose_currency(codes, asked).in_order == order
