"""The page "Webhook coverage": do the webhooks tell what is closed, per project and day, and if not, why?"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import clock, formats
from billing_console.admin_base import PageView, site_page
from billing_console.plots import BarPlot, Column, Numbers, Series, numbers_of, stack_bars
from sync import coverage
from sync.coverage import ProjectCoverage

DAYS = 28


@site_page("sync/coverage/", "sync_coverage")
class CoveragePage(PageView):
    """The last four weeks, the worst project first."""

    template_name = "sync/coverage.html"
    permission = "sync.view_workitem"
    title = gettext_lazy("Webhook coverage")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        zone = settings.BILLING_TIMEZONE
        today = clock.today(zone)
        days = [today - dt.timedelta(days=DAYS - 1 - number) for number in range(DAYS)]
        projects = coverage.by_project(days[0], zone)
        plot, numbers = _plot(projects, days) if any(row.total for row in projects) else (None, None)
        return super().get_context_data(projects=projects, days=DAYS, zone=zone, plot=plot, numbers=numbers, **kwargs)


def _plot(projects: list[ProjectCoverage], days: list[dt.date]) -> tuple[BarPlot, Numbers]:
    series = (Series("paid", _("Told by the webhook")), Series("open", _("Found by a sweep")))
    columns = []
    for day in days:
        of_day = [row.days[day] for row in projects if day in row.days]
        told, found = sum(each.told for each in of_day), sum(each.found for each in of_day)
        columns.append(Column(formats.day(day), (Decimal(told), Decimal(found))))
    title = _("Closings noticed, by day")
    numbers = numbers_of(stack_bars(title, series, columns), _("Day"), lambda value: formats.number(value, 0), _("All"))
    short = [Column(str(day.day), column.values) for day, column in zip(days, columns, strict=True)]
    return stack_bars(title, series, short), numbers
