"""What sync asks of a later step without knowing it: where a claimed entry stands, and that its item changed.

Invoicing registers both in `AppConfig.ready`. Callbacks run in the caller's transaction and call no server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sync.models import TimeEntry

DRAFT: Final = "draft"

OnClaimedEntryChanged = Callable[[TimeEntry, str], str]
OnClaimedEntryRestored = Callable[[TimeEntry], None]
FindInvoiceStage = Callable[[TimeEntry], str]

_on_changed: Final[list[OnClaimedEntryChanged]] = []
_on_restored: Final[list[OnClaimedEntryRestored]] = []
_find_stage: Final[list[FindInvoiceStage]] = []


def on_claimed_entry_changed(callback: OnClaimedEntryChanged) -> OnClaimedEntryChanged:
    """Register `callback(entry, sentence)`, called when Taiga changed an item whose entry is claimed or invoiced.

    The sentence says what changed. The callback returns "draft" when an unapproved draft holds the entry (it marks
    the draft stale), else "". Usable as a decorator.
    """
    if callback not in _on_changed:
        _on_changed.append(callback)
    return callback


def claimed_entry_changed(entry: TimeEntry, sentence: str) -> str:
    """Tell every callback; "draft" when an unapproved draft holds the entry, else ""."""
    answers = [callback(entry, sentence) for callback in _on_changed]
    return DRAFT if DRAFT in answers else ""


def on_claimed_entry_restored(callback: OnClaimedEntryRestored) -> OnClaimedEntryRestored:
    """Register `callback(entry)`, called when Taiga says (again) what a claimed entry was priced by."""
    if callback not in _on_restored:
        _on_restored.append(callback)
    return callback


def claimed_entry_restored(entry: TimeEntry) -> None:
    """Tell every callback that nothing is different (any more) from when the entry was claimed."""
    for callback in _on_restored:
        callback(entry)


def on_invoice_stage(callback: FindInvoiceStage) -> FindInvoiceStage:
    """Register the one who knows how far the invoice of a claimed entry is. Usable as a decorator."""
    _find_stage[:] = [callback]
    return callback


def invoice_stage(entry: TimeEntry) -> str:
    """How far the invoice of `entry` is: "" (none), "draft", "approved" or "sent" (paid included)."""
    return _find_stage[0](entry) if _find_stage else ""
