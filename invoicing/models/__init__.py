"""Runs, invoices with their frozen lines, how they were sent, and what was paid."""

from invoicing.models.invoices import Invoice, InvoiceLine
from invoicing.models.payments import Payment, PollCursor
from invoicing.models.readings import CountedInvoice, CountedItem, CountedLine, Reading
from invoicing.models.reminders import Reminder, ReminderText
from invoicing.models.runs import ClientSchedule, InvoiceRun, RunClient, RunClientState, RunTrigger
from invoicing.models.sendings import ContactMail, Selection, Sending

__all__ = [
    "ClientSchedule",
    "ContactMail",
    "CountedInvoice",
    "CountedItem",
    "CountedLine",
    "Invoice",
    "InvoiceLine",
    "InvoiceRun",
    "Payment",
    "PollCursor",
    "Reading",
    "Reminder",
    "ReminderText",
    "RunClient",
    "RunClientState",
    "RunTrigger",
    "Selection",
    "Sending",
]
