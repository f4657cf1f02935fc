"""The sidebar: four groups, only what the person may open, with what waits as numbers."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The navigation for the kit."""
    return []
