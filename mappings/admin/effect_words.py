"""The effect of a change in words and tables, for the form and for the page that asks before a save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console import formats
from billing_console.states import EntryState, Reason
from mappings.effects import Effect, Move, Priced


@dataclass(frozen=True)
class ShownEffect:
    """A heading with a sentence, facts as (label, value), and a table of the largest moves."""

    heading: str
    sentence: str
    facts: Sequence[tuple[str, str]]
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    more: str
    is_for_information: bool
    numeric_columns: frozenset[int] = frozenset({1, 2, 3, 4})


def shown_all(effects: Sequence[Effect]) -> list[ShownEffect]:
    """Every effect, in the order in which they came; months in which nothing was billed share one sentence."""
    empty = [effect for effect in effects if effect.period is not None and not effect.billed and not effect.count]
    found = [shown(effect) for effect in effects if effect not in empty]
    return [*found, _nothing_in(empty)] if empty else found


def shown(effect: Effect) -> ShownEffect:
    """One effect as a page prints it."""
    is_month = effect.period is not None
    count = effect.count - len(effect.largest)
    more = ngettext("and %(count)d smaller one", "and %(count)d smaller ones", count) % {"count": count}
    return ShownEffect(
        heading=_month_name(effect) if is_month else _("Not billed yet"),
        sentence=_month_sentence(effect) if is_month else _unclaimed_sentence(effect),
        facts=[] if is_month or not effect.count else _facts(effect),
        columns=[_("Entry"), _("Hours"), _("Now") if not is_month else _("Billed"), _("Would be"), _("Change")],
        rows=[_row(move) for move in effect.largest],
        more=more if count else "",
        is_for_information=is_month,
    )


def _nothing_in(months: Sequence[Effect]) -> ShownEffect:
    named = ", ".join(_month_name(effect) for effect in months)
    sentence = _("Nothing was billed that could differ.")
    return ShownEffect(named, sentence, facts=[], columns=[], rows=[], more="", is_for_information=True)


def headline(effect: Effect) -> str:
    """The effect on a button: "+232.50 EUR on 31 entries"."""
    count = ngettext("%(count)d entry", "%(count)d entries", effect.count) % {"count": effect.count}
    if not (amounts := amounts_of(effect)):
        return _("%(count)s without a change of money") % {"count": count}
    return _("%(amounts)s on %(count)s") % {"amounts": amounts, "count": count}


def amounts_of(effect: Effect) -> str:
    """The change of money, currency by currency, signed; "" where none."""
    moved = sorted((currency, amount) for currency, amount in effect.money.items() if amount)
    return ", ".join(formats.money(amount, currency, is_signed=True) for currency, amount in moved)


def _facts(effect: Effect) -> list[tuple[str, str]]:
    return [
        (_("Entries"), f"{effect.count}"),
        (_("Hours"), formats.hours(effect.hours, is_signed=True)),
        (_("Money before tax"), amounts_of(effect) or _("no change")),
        (_("New holds"), f"{effect.new_holds}"),
        (_("Freed holds"), f"{effect.freed_holds}"),
    ]


def _unclaimed_sentence(effect: Effect) -> str:
    if not effect.count:
        return _("Nothing that is not billed yet moves.")
    return ngettext("%(count)d entry moves.", "%(count)d entries move.", effect.count) % {"count": effect.count}


def _month_name(effect: Effect) -> str:
    assert effect.period is not None
    return date_format(effect.period.start, "F Y")


def _month_sentence(effect: Effect) -> str:
    facts: dict[str, Any] = {"month": _month_name(effect), "count": effect.count}
    if not effect.count:
        return _("%(month)s would have been the same.") % facts
    sentences = []
    for currency in sorted(set(effect.billed) | set(effect.money)):
        was, would = effect.billed.get(currency, 0), effect.would_be(currency)
        facts |= {
            "would": formats.money(would, currency),
            "was": formats.money(was, currency),  # type: ignore[arg-type]
            "change": formats.money(would - was, currency, is_signed=True),
        }
        sentences.append(
            ngettext(
                "%(month)s would have been %(would)s instead of %(was)s, %(change)s, %(count)d line.",
                "%(month)s would have been %(would)s instead of %(was)s, %(change)s, %(count)d lines.",
                effect.count,
            )
            % facts
        )
    return " ".join(sentences)


def _row(move: Move) -> list[Any]:
    changes = [formats.money(amount, currency, is_signed=True) for currency, amount in sorted(move.money.items())]
    return [
        _name(move),
        formats.raw_to_billed(move.before.hours, move.after.hours)
        if move.after.hours is not None
        else formats.hours(move.before.hours),
        _priced(move.before),
        _priced(move.after),
        ", ".join(changes) or formats.NOTHING,
    ]


def _name(move: Move) -> SafeString:
    try:
        address = reverse("admin:sync_timeentry_change", args=[move.entry_id])
    except NoReverseMatch:
        return format_html('{}<span class="bc-sub">{}</span>', move.name, move.below)
    return format_html('<a href="{}">{}</a><span class="bc-sub">{}</span>', address, move.name, move.below)


def _priced(priced: Priced) -> SafeString:
    """The amount, and below it why it waits, where it does."""
    below = ""
    if priced.hold:
        below = _("held: %(reason)s") % {"reason": Reason(priced.hold).label}
    elif priced.state == EntryState.BELOW_MINIMUM:
        below = str(EntryState.BELOW_MINIMUM.label)
    amount = formats.money(priced.amount, priced.currency)
    return format_html('{}<span class="bc-sub">{}</span>', amount, below) if below else format_html("{}", amount)
