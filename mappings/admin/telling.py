"""What every form of set-up has in common: whoever depends on a row hears that it changed."""

from __future__ import annotations

from typing import Any

from django.db.models import Model, QuerySet
from django.http import HttpRequest

from mappings import hooks


class TellsChanges:
    """Calls `hooks.changed` after the admin saved or deleted a row. Goes before the console's ModelAdmin."""

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """Store the row and tell."""
        super().save_model(request, obj, form, change)  # type: ignore[misc]
        hooks.changed(obj)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Delete the row and tell."""
        super().delete_model(request, obj)  # type: ignore[misc]
        hooks.changed(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete the chosen rows and tell of each."""
        rows = list(queryset)
        super().delete_queryset(request, queryset)  # type: ignore[misc]
        for row in rows:
            hooks.changed(row)
