"""The settings of Invoice Ninja that change what the console writes, of the company and of clients. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _

from sync.doctor.findings import NINJA, Finding, Place, error, ok, warning

CREDITS, TASKS, PROJECTS, INVOICES = 2, 8, 32, 4096
REMINDERS: Final = (1, 2, 3)
_WORKFLOW: Final = Place(NINJA, "#/settings/workflow_settings")
_TASKS: Final = Place(NINJA, "#/settings/task_settings")
_PRODUCTS: Final = Place(NINJA, "#/settings/product_settings")
_TAXES: Final = Place(NINJA, "#/settings/tax_settings")
_LOCALIZATION: Final = Place(NINJA, "#/settings/localization")
_PAYMENTS: Final = Place(NINJA, "#/settings/online_payments")
_MAILS: Final = Place(NINJA, "#/settings/email_settings")
_NUMBERS: Final = Place(NINJA, "#/settings/generated_numbers")
_REMINDERS: Final = Place(NINJA, "#/settings/templates_and_reminders")
_MODULES: Final = Place(NINJA, "#/settings/account_management/enabled_modules")


@dataclass(frozen=True)
class CompanyFacts:
    """The company as `GET /companies` shows it, and what the health check says of making PDFs (`pdf_engine` None:
    not told). `product` is the product of our lines."""

    settings: Mapping[str, Any]
    invoice_task_lock: bool = False
    update_products: bool = False
    enabled_modules: int | None = None
    pdf_engine: str | None = None
    may_execute: bool = True
    product: str = "Consulting"


def judge(facts: CompanyFacts) -> list[Finding]:
    """Every setting of the company that stands in the way, or the one sentence that none does."""
    settings = facts.settings
    found = [*judge_settings(settings), *_judge_pdf(settings, facts), *_judge_reminders(settings)]
    if facts.update_products:
        sentence = _(
            "Invoice Ninja takes prices of lines over into its products (update_products): a line typed there by hand "
            "with the product “%(product)s” changes that product's price. Switch it off."
        ) % {"product": facts.product}
        found.append(warning("update_products", sentence, _PRODUCTS))
    if facts.invoice_task_lock:
        sentence = _(
            "Invoice Ninja locks tasks that are on an invoice (invoice_task_lock), so the hours of a cancelled invoice "
            "cannot be set free. Switch it off."
        )
        found.append(error("invoice_task_lock", sentence, _TASKS))
    found += _judge_modules(facts.enabled_modules)
    if all(finding.severity == "ok" for finding in found):
        found.append(
            ok("settings", _("The settings of the company in Invoice Ninja leave our hours and amounts alone."))
        )
    return found


def judge_settings(settings: Mapping[str, Any], *, client: str = "", subject: str = "") -> list[Finding]:
    """The settings that a client may have of its own as well; `client` is its name, "" for the company.

    A setting that is absent says nothing: the company's counts.
    """
    found: list[Finding] = []
    whose = {"whose": client or _("the company")}

    def say(severity: Any, code: str, sentence: str, place: Place, **words: object) -> None:
        where = Place(NINJA, f"#/clients/{subject}/edit") if client else place
        found.append(severity(code, sentence % {**whose, **words}, where, subject=subject))

    seconds = _whole(settings.get("task_round_to_nearest"))
    if seconds is not None and seconds > 1:
        say(
            error,
            "task_round_to_nearest",
            _(
                "Invoice Ninja rounds the times of tasks of %(whose)s to %(seconds)d seconds (task_round_to_nearest), "
                "so it stores other hours than the console bills. Set it to 1 second."
            ),
            _TASKS,
            seconds=seconds,
        )
    if _is_on(settings.get("inclusive_taxes")):
        say(
            error,
            "inclusive_taxes",
            _(
                "Amounts of %(whose)s include the tax in Invoice Ninja (inclusive_taxes), so an invoice would come to "
                "less than was approved. Switch inclusive taxes off."
            ),
            _TAXES,
        )
    if _is_on(settings.get("enable_rappen_rounding")):
        say(
            error,
            "rappen_rounding",
            _(
                "Invoice Ninja rounds the totals of %(whose)s to five cents (enable_rappen_rounding), so an invoice "
                "would come to another total than was approved; one that would is not approved. Switch it off."
            ),
            _LOCALIZATION,
        )
    if _is_on(settings.get("auto_bill_standard_invoices")):
        say(
            warning,
            "auto_bill",
            _(
                "Invoice Ninja charges the stored cards of %(whose)s for invoices by itself "
                "(auto_bill_standard_invoices), which nobody approves here. Switch it off."
            ),
            _PAYMENTS,
        )
    lock = settings.get("lock_invoices")
    if lock in ("when_sent", "when_paid", "end_of_month"):
        say(warning, "lock_invoices", _lock_words(str(lock)), _WORKFLOW, lock=lock)
    if settings.get("counter_number_applied") == "when_sent":
        say(
            warning,
            "counter_number",
            _(
                "Invoice Ninja gives invoices of %(whose)s their number only when they are sent "
                "(counter_number_applied), so those that are created have none yet. Set it to “when saved”."
            ),
            _NUMBERS,
        )
    return found


def _lock_words(lock: str) -> str:
    if lock == "end_of_month":
        return _(
            "Invoice Ninja locks invoices of %(whose)s at the end of the month (lock_invoices), so a draft of an "
            "earlier month cannot get a new date. Set it to “when sent”, or off."
        )
    return _(
        "Invoice Ninja locks invoices of %(whose)s once they are out (lock_invoices: %(lock)s): a mistake in one is "
        "then put right by a credit, not by a change. Leave it if that is what you want."
    )


def _judge_pdf(settings: Mapping[str, Any], facts: CompanyFacts) -> list[Finding]:
    if not _is_on(settings.get("pdf_email_attachment")) or facts.pdf_engine is None:
        return []
    if not facts.pdf_engine or not facts.may_execute:
        sentence = _(
            "Invoice Ninja attaches the PDF to its mails (pdf_email_attachment) but cannot make one, so every mail "
            "fails although the invoice is marked as sent. Mend its PDF engine, or switch the attachment off."
        )
        return [error("pdf", sentence, _MAILS)]
    sentence = _(
        "Invoice Ninja attaches the PDF to its mails (pdf_email_attachment), and its health check does not try its "
        "engine (%(engine)s). Download one PDF there: if that fails, no mail leaves though invoices are marked as sent."
    ) % {"engine": facts.pdf_engine}
    return [warning("pdf", sentence, _MAILS)]


def _judge_reminders(settings: Mapping[str, Any]) -> list[Finding]:
    """Reminders are Invoice Ninja's own: whether it sends any, and whether one would never go or changes an amount."""
    on = [number for number in REMINDERS if _is_on(settings.get(f"enable_reminder{number}"))]
    is_endless = _is_on(settings.get("enable_reminder_endless"))
    if not _is_on(settings.get("send_reminders", True)) or not (on or is_endless):
        sentence = _(
            "Invoice Ninja reminds nobody of an overdue invoice: no reminder is switched on there, and the console "
            "leaves reminders to it. Switch one on, or remind by hand."
        )
        return [warning("reminders", sentence, _REMINDERS)]
    found = []
    for number in on:
        words = {"number": number}
        if not settings.get(f"schedule_reminder{number}"):
            sentence = _(
                "Reminder %(number)d of Invoice Ninja is on but has no schedule, so it never goes out. Choose after "
                "how many days."
            )
            found.append(warning("reminders", sentence % words, _REMINDERS, subject=str(number)))
        if _amount(settings.get(f"late_fee_amount{number}")) or _amount(settings.get(f"late_fee_percent{number}")):
            sentence = _(
                "Reminder %(number)d of Invoice Ninja adds a late fee to the invoice, so more is owed than was "
                "approved here. Set the fee to 0."
            )
            found.append(warning("late_fee", sentence % words, _REMINDERS, subject=str(number)))
    if not found:
        found.append(ok("reminders", _("Invoice Ninja reminds of overdue invoices by itself.")))
    return found


def _judge_modules(enabled: int | None) -> list[Finding]:
    if enabled is None:
        return []
    found = []
    for bit, code, sentence in (
        (
            TASKS,
            "tasks",
            _(
                "The module Tasks is off in Invoice Ninja, so the hours that the console writes are not shown there. "
                "Switch it on."
            ),
        ),
        (
            INVOICES,
            "invoices",
            _("The module Invoices is off in Invoice Ninja, so invoices are not shown there. Switch it on."),
        ),
        (
            CREDITS,
            "credits",
            _(
                "The module Credits is off in Invoice Ninja, so a credit cannot be looked at or used there. "
                "Switch it on."
            ),
        ),
    ):
        if not enabled & bit:
            found.append(warning("module", sentence, _MODULES, subject=code))
    return found


def _is_on(value: object) -> bool:
    return value is True or (isinstance(value, (int, str)) and str(value).lower() in ("1", "true", "on"))


def _whole(value: object) -> int | None:
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _amount(value: object) -> bool:
    return str(value or 0).strip("0. ") != ""
