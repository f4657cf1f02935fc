"""Runs, invoices with their frozen lines, how they were sent, where they differ there, what was given back and paid."""

from invoicing.models.books import Closing, ClosingFile, Fact, Posting, Stage, UnbilledWork
from invoicing.models.credits import (
    Credit,
    CreditedPart,
    CreditMeaning,
    CreditProposal,
    CreditUse,
    OpenCredit,
    WriteOffCause,
)
from invoicing.models.deviations import Decision, Deviation, DoubleBilling
from invoicing.models.invoices import Became, Invoice, InvoiceLine, Meaning
from invoicing.models.pauses import ReminderPause
from invoicing.models.payments import Payment, PollCursor, UnappliedPayment
from invoicing.models.pdfs import InvoicePdf
from invoicing.models.readings import CountedInvoice, CountedItem, CountedLine, CountedPayment, Reading
from invoicing.models.reminders import Reminder, ReminderText
from invoicing.models.runs import ClientSchedule, InvoiceRun, RunClient, RunClientState, RunTrigger
from invoicing.models.sendings import ContactMail, Selection, Sending
from invoicing.models.twins import Twin

__all__ = [
    "Twin",
    "Became",
    "ClientSchedule",
    "Closing",
    "ClosingFile",
    "ContactMail",
    "CountedInvoice",
    "CountedItem",
    "CountedLine",
    "CountedPayment",
    "Credit",
    "CreditMeaning",
    "CreditProposal",
    "CreditUse",
    "CreditedPart",
    "Decision",
    "Deviation",
    "DoubleBilling",
    "Fact",
    "Invoice",
    "InvoiceLine",
    "InvoicePdf",
    "InvoiceRun",
    "Meaning",
    "OpenCredit",
    "Payment",
    "PollCursor",
    "Posting",
    "Reading",
    "Reminder",
    "ReminderPause",
    "ReminderText",
    "RunClient",
    "RunClientState",
    "RunTrigger",
    "Selection",
    "Sending",
    "Stage",
    "UnappliedPayment",
    "UnbilledWork",
    "WriteOffCause",
]
