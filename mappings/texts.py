"""Sentences about schedules and rates, for forms and messages."""

from __future__ import annotations

import datetime as dt

from django.utils.translation import gettext as _

from billing_console import clock, formats
from mappings import rules
from mappings.lookups import zone_of
from mappings.models import RuleSet


def next_run_sentence(rule_set: RuleSet, today: dt.date | None = None) -> str:
    """What the next run does, e.g. "Next run 1 Jan 2026 → bills 1–31 Dec 2025".

    `today` is the local date to count from, by default the business date in the rules' zone.
    """
    return _("Next run %(day)s → bills %(period)s") % _next_run(rule_set, today)


def next_run_words(rule_set: RuleSet, today: dt.date | None = None) -> str:
    """The same for a column that is called "next run", e.g. "1 Jan 2026 → bills 1–31 Dec 2025"."""
    return _("%(day)s → bills %(period)s") % _next_run(rule_set, today)


def _next_run(rule_set: RuleSet, today: dt.date | None) -> dict[str, str]:
    run_on, period = rules.next_run_after(rule_set, today or clock.today(zone_of(rule_set)))
    return {"day": formats.day(run_on), "period": formats.period(period.start, period.end)}
