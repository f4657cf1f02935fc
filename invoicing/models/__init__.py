"""Runs, invoices with their frozen lines, how they were sent, what was given back and paid."""

from invoicing.models.credits import Credit
from invoicing.models.invoices import Invoice, InvoiceLine
from invoicing.models.payments import Payment, PollCursor
from invoicing.models.runs import ClientSchedule, InvoiceRun, RunClient, RunClientState, RunTrigger
from invoicing.models.sendings import ContactMail, Selection, Sending

__all__ = [
    "ClientSchedule",
    "ContactMail",
    "Credit",
    "Invoice",
    "InvoiceLine",
    "InvoiceRun",
    "Payment",
    "PollCursor",
    "RunClient",
    "RunClientState",
    "RunTrigger",
    "Selection",
    "Sending",
]
