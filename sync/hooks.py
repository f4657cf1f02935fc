"""What sync asks of a later step without knowing it: where a claimed entry stands, and that its item changed.

Invoicing registers both in `AppConfig.ready`. Callbacks run in the caller's transaction and call no server.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from sync.models import RemoteRecord, TimeEntry

DRAFT: Final = "draft"

OnClaimedEntryChanged = Callable[[TimeEntry, str], str]
OnClaimedEntryRestored = Callable[[TimeEntry], None]
FindInvoiceStage = Callable[[TimeEntry], str]
FindLeftInvoices = Callable[[TimeEntry], set[str]]
AskQuestions = Callable[[], "list[Question]"]


@dataclass(frozen=True)
class Question:
    """Something only a person can decide, for the page "Needs attention"; `amount` is money before tax, as text."""

    what: str
    sentence: str
    url: str
    verb: str
    amount: str = ""
    since: dt.datetime | None = None


@dataclass(frozen=True)
class Billed:
    """The living line of an entry: which invoice bills it, here and in Invoice Ninja. All times are real time.

    `hours` and `rate` are the line's, as printed; `state` is our word for how far the invoice is, `there` Invoice
    Ninja's, as of `read_at`, and `differs` whether it means something else; `remote_id` is "" until it is made there
    (`made_at`).
    """

    name: str
    number: str
    url: str
    state: str
    hours: Decimal
    rate: Decimal
    remote_id: str = ""
    there: str = ""
    differs: bool = False
    made_at: dt.datetime | None = None
    read_at: dt.datetime | None = None


@dataclass(frozen=True)
class Printed:
    """What a line says of its entry: `hours` × `rate` = `amount` before tax, in the currency of its invoice.

    `is_living`: an invoice or draft bills it so; else it is what a person wrote on the last draft that held it, which
    the next line takes over. `is_said`: a person wrote hours or rate, over `first_hours` and `first_rate`, for
    `reason`. `waived`: hours left out on purpose; negative for hours that were added on purpose.
    """

    hours: Decimal
    rate: Decimal
    amount: Decimal
    is_living: bool = True
    is_said: bool = False
    first_hours: Decimal | None = None
    first_rate: Decimal | None = None
    waived: Decimal = Decimal(0)
    who: str = ""
    reason: str = ""


FindBilled = Callable[[TimeEntry], "Billed | None"]
FindRecordPages = Callable[[Sequence[RemoteRecord]], dict[int, str]]
FindPrinted = Callable[[Collection[int]], "dict[int, Printed]"]

_on_changed: Final[list[OnClaimedEntryChanged]] = []
_on_restored: Final[list[OnClaimedEntryRestored]] = []
_find_stage: Final[list[FindInvoiceStage]] = []
_find_left: Final[list[FindLeftInvoices]] = []
_ask: Final[list[AskQuestions]] = []
_find_billed: Final[list[FindBilled]] = []
_find_pages: Final[list[FindRecordPages]] = []
_find_printed: Final[list[FindPrinted]] = []


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


def on_left_invoices(callback: FindLeftInvoices) -> FindLeftInvoices:
    """Register the one who knows which invoices a person set an entry free from. Usable as a decorator."""
    _find_left[:] = [callback]
    return callback


def left_invoices(entry: TimeEntry) -> set[str]:
    """Invoice Ninja's ids of the ended invoices that the entry was set free from: its task may still name one."""
    return _find_left[0](entry) if _find_left else set()


def on_questions(callback: AskQuestions) -> AskQuestions:
    """Register one who has questions for a person; see `questions`. Usable as a decorator."""
    if callback not in _ask:
        _ask.append(callback)
    return callback


def questions() -> list[Question]:
    """Everything that a later step wants a person to decide, oldest first; a constant number of queries."""
    return [question for callback in _ask for question in callback()]


def on_record_pages(callback: FindRecordPages) -> FindRecordPages:
    """Register the one who knows on which page the write of a later step is mended. Usable as a decorator."""
    _find_pages[:] = [callback]
    return callback


def record_pages(records: Sequence[RemoteRecord]) -> dict[int, str]:
    """Addresses of the pages of later steps where these writes are mended, by the id of the record."""
    return _find_pages[0](records) if _find_pages else {}


def on_billed(callback: FindBilled) -> FindBilled:
    """Register the one who knows the living line of an entry. Usable as a decorator."""
    _find_billed[:] = [callback]
    return callback


def billed_of(entry: TimeEntry) -> Billed | None:
    """The living line of `entry`, None where no invoice bills it."""
    for find in _find_billed:
        return find(entry)
    return None


def on_printed(callback: FindPrinted) -> FindPrinted:
    """Register the one who knows what the lines of entries say. Usable as a decorator."""
    _find_printed[:] = [callback]
    return callback


def printed(entry_ids: Collection[int]) -> dict[int, Printed]:
    """What the line of each of these entries says, by entry id, where it has one: at most one query."""
    return _find_printed[0](entry_ids) if _find_printed and entry_ids else {}
