"""The five attributes that a billed project needs in Taiga, and by what one that is there is recognised. Pure.

One place for whoever makes them (`provision_plan`) and whoever looks after them (`doctor`), so that both mean the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from billing_console.states import ItemKind
from sync import attributes
from sync.clients.taiga_rows import CustomAttribute

STATUS_OPTIONS: Final = ("Not Billable", "Pending Invoice", "Invoiced")
_NOUNS: Final = {ItemKind.TASK: "task", ItemKind.STORY: "user story", ItemKind.ISSUE: "issue"}


@dataclass(frozen=True)
class Wanted:
    """One attribute as the team guide asks for it; `readable` are the other types in which people can type it."""

    field: str
    type: str
    description: str
    options: tuple[str, ...] | None = None
    readable: tuple[str, ...] = ()


WANTED: Final[Mapping[str, Wanted]] = {
    each.field: each
    for each in (
        Wanted(attributes.BILLABLE, "checkbox", "Mark if this {item} should be invoiced"),
        Wanted(attributes.HOURS, "number", "Time spent on this {item} in hours", readable=("text",)),
        Wanted(attributes.RATE, "number", "Billing rate for this {item} (overrides default)", readable=("text",)),
        Wanted(attributes.CLIENT, "text", "InvoiceNinja client ID for billing", readable=("dropdown",)),
        Wanted(attributes.STATUS, "dropdown", "Current invoice status", STATUS_OPTIONS, readable=("text",)),
    )
}


def description_of(field: str, kind: str) -> str:
    """The text that people see in Taiga beside the attribute."""
    return WANTED[field].description.format(item=_NOUNS[ItemKind(kind)])


def named(field: str, name: str, there: Iterable[CustomAttribute]) -> list[CustomAttribute]:
    """The attributes that go by the name of `field`, the one that is read first, as `attributes.find_attributes`.

    `name` is the configured one; without it the guide's second spelling counts, and of two the smaller id.
    """
    by_id = sorted(there, key=lambda row: row.id)
    configured = [row for row in by_id if attributes.fold(row.name) == attributes.fold(name)]
    alias = [row for row in by_id if attributes.fold(row.name) == attributes.ALIASES[field]]
    return configured + [row for row in alias if row not in configured]


def can_hold(field: str, type: str) -> bool:
    """Whether people can type what we read as `field` into an attribute of this type of Taiga's."""
    return type == WANTED[field].type or type in WANTED[field].readable


def missing_options(field: str, row: CustomAttribute) -> tuple[str, ...]:
    """The options that a dropdown of ours lacks. Words that the console writes must be there exactly so: Taiga shows an
    empty field for any other. What only people choose counts in each spelling that is read."""
    if row.type != "dropdown":
        return ()
    read = {attributes.parse_status(option) for option in row.options}
    return tuple(
        option
        for option in WANTED[field].options or ()
        if option not in row.options
        and not (attributes.parse_status(option) == attributes.NOT_BILLABLE and attributes.NOT_BILLABLE in read)
    )
