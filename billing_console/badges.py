"""A state as a pill: word, shape and colour together, so that none of the three is needed alone."""

from __future__ import annotations

from typing import Final

from django.db.models import TextChoices
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _

from billing_console import states

# Each shape is drawn in a box of 12 × 12 and takes the colour of the text.
SHAPES: Final[dict[str, str]] = {
    "pencil": '<path d="M8.3 1.2 10.8 3.7 4.2 10.3 1.2 10.8 1.7 7.8Z"/>',
    "cross": '<path d="M2.5 2.5 9.5 9.5M9.5 2.5 2.5 9.5" fill="none" stroke="currentColor" stroke-width="2.2"/>',
    "ring": '<circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="2.2"/>',
    "square": '<path d="M2 2h8v8H2z"/>',
    "dot": '<circle cx="6" cy="6" r="4.5"/>',
    "half": '<circle cx="6" cy="6" r="4.3" fill="none" stroke="currentColor" stroke-width="1.6"/>'
    '<path d="M6 1.7a4.3 4.3 0 0 1 0 8.6z"/>',
    "seal": '<path fill-rule="evenodd" d="M6 .6 7.6 1.8l2-.1.5 1.9 1.5 1.2-.8 1.8.3 2-1.9.7-1.1 1.6L6 10.2l-1.9.7'
    'L3 9.3 1.1 8.6l.3-2-.8-1.8 1.5-1.2.5-1.9 2 .1zM5.4 7.9l3-3-.9-.9-2.1 2.1-1-1-.9.9z"/>',
    "arrow": '<path d="M1 5h5.2L4.1 2.9 5.5 1.5 10.5 6l-5 4.5-1.4-1.4L6.2 7H1z"/>',
    "check": '<path d="M1.5 6.3 4.6 9.4 10.5 2.8" fill="none" stroke="currentColor" stroke-width="2.3"/>',
    "pause": '<path d="M2.5 1.8h2.6v8.4H2.5zM6.9 1.8h2.6v8.4H6.9z"/>',
    "triangle": '<path d="M6 1.2 11.4 10.6H.6z"/>',
    "octagon": '<path d="M3.7.8h4.6l3 3v4.4l-3 3H3.7l-3-3V3.8z"/>',
    "back": '<path d="M11 5H5.8l2.1-2.1-1.4-1.4L1.5 6l5 4.5 1.4-1.4L5.8 7H11z"/>',
}

_CHOICES: Final[tuple[type[TextChoices], ...]] = (
    states.DeliveryState,
    states.ItemState,
    states.EntryState,
    states.RecordState,
    states.RunState,
    states.InvoiceState,
    states.ReminderState,
    states.DifferenceState,
)
# Conditions that are no state of a row, but are shown like one.
_EXTRA_WORDS: Final[dict[str, Promise]] = {
    "overdue": _("Overdue"),
    "late": _("Late"),
    "ok": _("OK"),
    "warning": _("Warning"),
    "error": _("Error"),
    "waiting": _("Waiting"),
    "built": _("Built"),
    "empty": _("Nothing to bill"),
}


def _words() -> dict[str, str | Promise]:
    words: dict[str, str | Promise] = dict(_EXTRA_WORDS)
    for choices in _CHOICES:
        words.update({value: label for value, label in choices.choices if value not in words})
    return words


WORDS: Final = _words()


def shape(name: str) -> SafeString:
    """The inline SVG of one shape, hidden from screen readers: the word beside it says the same."""
    return mark_safe(  # noqa: S308  (constants of this module)
        f'<svg class="bc-shape" viewBox="0 0 12 12" width="11" height="11" fill="currentColor" '
        f'aria-hidden="true" focusable="false">{SHAPES[name]}</svg>'
    )


def badge(state: str, label: str | Promise | None = None) -> SafeString:
    """`state` (any value of billing_console.states) as a pill with its shape and tone, escaped.

    `label` replaces the state's own word ("late: closed in November"). Raises KeyError for a state without a badge.
    """
    tone, shape_name = states.BADGES[state]
    return pill(tone, shape_name, label if label is not None else WORDS[state])


def pill(tone: str, shape_name: str, label: str | Promise) -> SafeString:
    """A pill of any tone (neutral, info, success, warning, danger, accent) and shape."""
    return format_html('<span class="bc-badge bc-{}">{}{}</span>', tone, shape(shape_name), label)
