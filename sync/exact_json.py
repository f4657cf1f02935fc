"""JSON columns that keep every digit: numbers with a fraction are Decimal on both sides of the database."""

from __future__ import annotations

import json
from typing import Any

from sync.clients.wire import decode_json, encode_json


class ExactEncoder(json.JSONEncoder):
    """Writes Decimal as the number it is; raises WireError for a float, which has lost digits already."""

    def encode(self, o: Any) -> str:
        return encode_json(o)


class ExactDecoder(json.JSONDecoder):
    """Reads numbers with a fraction as Decimal and whole numbers exactly."""

    def decode(self, s: str, _w: Any = None) -> Any:
        return decode_json(s)
