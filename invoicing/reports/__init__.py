"""What the office asks of its own numbers: each report is one question, a list of rows, a plot and two files.

`REPORTS` maps the name in the address to the report. Reading only: nothing is locked, nobody is called.
"""

from __future__ import annotations

from typing import Final

from invoicing.reports.after_closing import AfterClosing, LateWork
from invoicing.reports.ageing import Ageing
from invoicing.reports.base import Report
from invoicing.reports.estimates import Estimates
from invoicing.reports.hours import HoursPerPerson
from invoicing.reports.lines import Annex, OnInvoice
from invoicing.reports.listed import NinjaListed, TaigaListed, TaigaListedUnpaid
from invoicing.reports.revenue import Revenue, RevenueByWork
from invoicing.reports.rounding import Rounding
from invoicing.reports.unapplied import Unapplied
from invoicing.reports.unbilled import OpenHours, Unbilled

REPORTS: Final[dict[str, Report]] = {
    report.name: report
    for report in (
        *(Unbilled(), OpenHours(), HoursPerPerson(), Estimates()),
        *(Revenue(), RevenueByWork(), Ageing(), AfterClosing(), LateWork()),
        *(Unapplied(), OnInvoice(), Annex(), Rounding()),
        *(TaigaListed(), TaigaListedUnpaid(), NinjaListed()),
    )
}
