"""The start page: what waits, how much money, how old, and whether the machine is well."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The kit's context of the start page with what the work list shows."""
    return context
