"""Amounts in words of the server: with the separators of the currency, its symbol where the country has it."""

from __future__ import annotations

from typing import Any

from sandbox.memory import Row
from sandbox.ninja.data import currencies
from sandbox.ninja.store import Store
from sandbox.ninja.values import as_text, rounded

# `swap_currency_symbol` in the countries of GET /statics (recording 380): Austria, Germany, France, Spain …
SYMBOL_LAST = (
    *("40", "100", "191", "203", "233", "246", "250", "276", "300", "348", "352"),
    *("380", "392", "440", "616", "620", "642", "703", "705", "724", "740", "752"),
)


def money_text(store: Store, client: Row | None, amount: Any) -> str:
    """An amount in the client's currency: `$1,075.00` in America, `1.075,00 €` in Germany (recordings 495, 728)."""
    currency = currencies().get(as_text(store.setting("currency_id", client)), {})
    places = currency.get("precision", 2)
    digits = f"{rounded(amount, places):,.{places}f}".translate(
        {ord(","): currency.get("thousand_separator", ","), ord("."): currency.get("decimal_separator", ".")}
    )
    symbol = currency.get("symbol", "")
    country = (client or {}).get("country_id") or store.company()["settings"].get("country_id")
    return f"{digits} {symbol}" if as_text(country) in SYMBOL_LAST else f"{symbol}{digits}"
