"""Which currency a client of Invoice Ninja has at this moment, by the client as it was just read."""

from __future__ import annotations

from typing import Final

from mappings.models import Company
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import NinjaClient

# The number of a currency never changes within an installation: each process reads the list once.
_codes: Final[dict[str, dict[str, str]]] = {}


def code_of(ninja: InvoiceNinjaClient, client: NinjaClient) -> str:
    """The client's ISO code, its company's where it has none of its own; "" for a number that the server lacks.

    Calls the server where the number is not known yet. Raises UpstreamError.
    """
    return code_of_id(ninja, client.currency_id) if client.currency_id else Company.current().currency


def code_of_id(ninja: InvoiceNinjaClient, currency_id: str) -> str:
    """The ISO code of a currency's number there; "" for a number that the server lacks.

    Calls the server where the number is not known yet. Raises UpstreamError.
    """
    if currency_id not in _codes.get(ninja.base_url, {}):
        _codes[ninja.base_url] = {str(row.id): row.code for row in ninja.currencies()}
    return _codes[ninja.base_url].get(currency_id, "")
