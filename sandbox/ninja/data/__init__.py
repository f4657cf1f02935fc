"""What a fresh install has: the company with its default settings, and the lists of GET /statics.

The lists that no caller of the stand-in reads (countries, industries, languages …) have only a row or two.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


@cache
def statics() -> dict[str, Any]:
    """The lists of GET /statics."""
    return dict(json.loads((_HERE / "statics.json").read_text(encoding="utf-8")))


def default_company() -> dict[str, Any]:
    """A company as the installer makes it, without id and instants; a new copy on each call."""
    return dict(json.loads((_HERE / "company.json").read_text(encoding="utf-8")))


@cache
def currencies() -> dict[str, dict[str, Any]]:
    """Currencies by id."""
    return {row["id"]: row for row in statics()["currencies"]}


@cache
def currency_ids() -> dict[str, str]:
    """Ids of currencies by ISO code."""
    return {row["code"]: row["id"] for row in statics()["currencies"]}


@cache
def time_zones() -> dict[str, str]:
    """IANA names of time zones by id."""
    return {row["id"]: row["name"] for row in statics()["timezones"]}
