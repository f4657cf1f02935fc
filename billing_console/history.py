"""Whether the page "History" of a row has anything to show: its versions, or else what was edited in the admin."""

from __future__ import annotations

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model


def has_history(row: Model) -> bool:
    """One query, and one more for the first row of a kind in a process."""
    versions = getattr(row, "history", None)  # of simple-history
    if versions is not None:
        return bool(versions.exists())
    kind = ContentType.objects.get_for_model(row, for_concrete_model=False)
    return LogEntry.objects.filter(content_type=kind, object_id=str(row.pk)).exists()
