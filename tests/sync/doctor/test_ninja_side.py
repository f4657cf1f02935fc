"""What the doctor says of Invoice Ninja: each state is set in the stand-in, and the sentence is exact."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from mappings.models import Membership, Person, ProjectMapping, Rate
from sync.doctor import client_rules, ninja_rules, server_rules
from sync.doctor.client_rules import ClientFacts, OtherRate
from sync.doctor.ninja_rules import CompanyFacts
from sync.doctor.server_rules import NinjaHealth
from tests.sync.doctor.conftest import Ward


def settings_of(**values: Any) -> Any:
    return lambda ward: ward.company(settings=values)


def company(**fields: Any) -> Any:
    return lambda ward: ward.company(**fields)


def switch(**switches: Any) -> Any:
    return lambda ward: ward.switch(**switches)


def attached(**switches: Any) -> Any:
    def act(ward: Ward) -> None:
        ward.company(settings={"pdf_email_attachment": True})
        ward.switch(**switches)

    return act


def bits(*off: int) -> int:
    return 65535 & ~sum(off)


COMPANY = [
    pytest.param(
        settings_of(task_round_to_nearest=900),
        "error",
        "task_round_to_nearest",
        "Invoice Ninja rounds the times of tasks of the company to 900 seconds (task_round_to_nearest), so it stores "
        "other hours than the console bills. Set it to 1 second.",
        id="rounding",
    ),
    pytest.param(
        settings_of(inclusive_taxes=True),
        "error",
        "inclusive_taxes",
        "Amounts of the company include the tax in Invoice Ninja (inclusive_taxes), so an invoice would come to less "
        "than was approved. Switch inclusive taxes off.",
        id="inclusive",
    ),
    pytest.param(
        settings_of(enable_rappen_rounding=True),
        "error",
        "rappen_rounding",
        "Invoice Ninja rounds the totals of the company to five cents (enable_rappen_rounding), so an invoice would "
        "come to another total than was approved; one that would is not approved. Switch it off.",
        id="five-cents",
    ),
    pytest.param(
        settings_of(auto_bill_standard_invoices=True),
        "warning",
        "auto_bill",
        "Invoice Ninja charges the stored cards of the company for invoices by itself (auto_bill_standard_invoices), "
        "which nobody approves here. Switch it off.",
        id="auto-bill",
    ),
    pytest.param(
        settings_of(lock_invoices="when_sent"),
        "warning",
        "lock_invoices",
        "Invoice Ninja locks invoices of the company once they are out (lock_invoices: when_sent): a mistake in one is "
        "then put right by a credit, not by a change. Leave it if that is what you want.",
        id="lock",
    ),
    pytest.param(
        settings_of(lock_invoices="end_of_month"),
        "warning",
        "lock_invoices",
        "Invoice Ninja locks invoices of the company at the end of the month (lock_invoices), so a draft of an earlier "
        "month cannot get a new date. Set it to “when sent”, or off.",
        id="lock-month",
    ),
    pytest.param(
        settings_of(counter_number_applied="when_sent"),
        "warning",
        "counter_number",
        "Invoice Ninja gives invoices of the company their number only when they are sent (counter_number_applied), so "
        "those that are created have none yet. Set it to “when saved”.",
        id="number",
    ),
    pytest.param(
        company(update_products=True),
        "warning",
        "update_products",
        "Invoice Ninja takes prices of lines over into its products (update_products): a line typed there by hand with "
        "the product “Consulting” changes that product's price. Switch it off.",
        id="products",
    ),
    pytest.param(
        company(invoice_task_lock=True),
        "error",
        "invoice_task_lock",
        "Invoice Ninja locks tasks that are on an invoice (invoice_task_lock), so the hours of a cancelled invoice "
        "cannot be set free. Switch it off.",
        id="task-lock",
    ),
    pytest.param(
        company(enabled_modules=bits(2)),
        "warning",
        "module",
        "The module Credits is off in Invoice Ninja, so a credit cannot be looked at or used there. Switch it on.",
        id="credits",
    ),
    pytest.param(
        attached(can_execute=False),
        "error",
        "pdf",
        "Invoice Ninja attaches the PDF to its mails (pdf_email_attachment) but cannot make one, so every mail fails "
        "although the invoice is marked as sent. Mend its PDF engine, or switch the attachment off.",
        id="pdf",
    ),
    pytest.param(
        attached(),
        "warning",
        "pdf",
        "Invoice Ninja attaches the PDF to its mails (pdf_email_attachment), and its health check does not try its "
        "engine (SnapPDF PDF Generator). Download one PDF there: if that fails, no mail leaves though invoices are "
        "marked as sent.",
        id="pdf-unproven",
    ),
    pytest.param(
        settings_of(send_reminders=False),
        "warning",
        "reminders",
        "Invoice Ninja reminds nobody of an overdue invoice: no reminder is switched on there, and the console leaves "
        "reminders to it. Switch one on, or remind by hand.",
        id="no-reminder",
    ),
    pytest.param(
        settings_of(enable_reminder2=True),
        "warning",
        "reminders",
        "Reminder 2 of Invoice Ninja is on but has no schedule, so it never goes out. Choose after how many days.",
        id="reminder-schedule",
    ),
    pytest.param(
        settings_of(late_fee_amount1=5),
        "warning",
        "late_fee",
        "Reminder 1 of Invoice Ninja adds a late fee to the invoice, so more is owed than was approved here. Set the "
        "fee to 0.",
        id="late-fee",
    ),
    pytest.param(
        switch(version="5.12.3"),
        "warning",
        "version",
        "Invoice Ninja is version 5.12.3; the console was tested with 5.10. Every write is read back and compared, but "
        "look at the first invoice with care.",
        id="version",
    ),
    pytest.param(
        switch(pending_migrations=True),
        "error",
        "migrations",
        "Invoice Ninja was updated, but its database was not. Finish the update there (Settings, About).",
        id="migrations",
    ),
]


@pytest.mark.parametrize(("act", "severity", "code", "sentence"), COMPANY)
def test_each_setting_that_stands_in_the_way_is_said(
    ward: Ward, act: Any, severity: str, code: str, sentence: str
) -> None:
    act(ward)

    assert ward.look("invoice_ninja") == [(severity, code, sentence)]


@pytest.mark.parametrize(
    ("version", "expected"),
    [("5.10.17", ["migrations"]), ("5.10.41", ["migrations"]), ("5.10.42", []), ("v5.10.44", []), ("5.12.3", [])],
)
def test_what_newer_servers_say_of_their_database_is_no_error(version: str, expected: list[str]) -> None:
    """From 5.10.42 on its check counts files wrongly: every healthy fresh install says so."""
    found = server_rules.judge_health(NinjaHealth(version, has_pending_migrations=True), is_production=True)

    assert [finding.code for finding in found if finding.severity == "error"] == expected


def test_a_healthy_fresh_server_of_today_has_no_error(ward: Ward) -> None:
    ward.switch(version="5.10.42")

    assert ward.look("invoice_ninja") == []


def test_a_server_that_mails_nobody_is_an_error_in_production_only() -> None:
    health = NinjaHealth("5.10.17", mailer="log")

    assert [finding.severity for finding in server_rules.judge_health(health, is_production=False)] == ["ok", "ok"]
    [_version, mailer] = server_rules.judge_health(health, is_production=True)
    assert (mailer.severity, mailer.sentence) == (
        "error",
        (
            "Invoice Ninja writes its mails into a log and mails nobody (MAIL_MAILER=log), though it says that they "
            "are sent. Set up its mail."
        ),
    )


def test_a_token_of_no_administrator_is_an_error(ward: Ward, settings: Any) -> None:
    store = ward.world.ninja.store
    ward.world.ninja.seed({"users": [{"id": "helper", "email": "h@x.example", "permissions": "view_client"}]})
    ward.world.ninja.seed({"tokens": [{"token": "of-the-helper", "user_id": "helper"}]})
    assert store["users"].get("helper") is not None
    settings.INVOICE_NINJA_TOKEN = "of-the-helper"

    sentence = (
        "INVOICE_NINJA_TOKEN belongs to a user who is no administrator there: the company's settings cannot be read, "
        "and only that user's own clients and tasks are seen. Make a token for an administrator."
    )
    # Not a line for each client that this user does not see: the clients wait.
    assert ward.look("invoice_ninja", "clients") == [("error", "admin", sentence)]


def test_a_wrong_token_is_an_error_and_the_clients_wait(ward: Ward, settings: Any) -> None:
    settings.INVOICE_NINJA_TOKEN = "wrong"

    sentence = "Invoice Ninja did not accept our login. Check the token or the user and password in the settings."
    assert ward.look("invoice_ninja", "clients") == [("error", "login", sentence)]


# --- clients ------------------------------------------------------------------------------------------------------


def contact_without_mail(ward: Ward) -> None:
    contacts = ward.world.ninja.store["clients"].get(ward.world.client.ninja_id)["contacts"]
    ward.client(contacts=[{**contact, "email": " "} for contact in contacts])


def in_dollars(ward: Ward) -> None:
    row = ward.world.ninja.store["clients"].get(ward.world.client.ninja_id)
    ward.client(settings={**row["settings"], "currency_id": "1"})


def own_settings(**values: Any) -> Any:
    def act(ward: Ward) -> None:
        row = ward.world.ninja.store["clients"].get(ward.world.client.ninja_id)
        ward.client(settings={**row["settings"], **values})

    return act


CLIENTS = [
    pytest.param(
        lambda ward: ward.client(is_deleted=True, archived_at=1),
        "error",
        "client_deleted",
        "Acme Corp is deleted in Invoice Ninja, so the hours of Website Redesign are held. Restore the client, or map "
        "the project to another one.",
        id="deleted",
    ),
    pytest.param(
        lambda ward: ward.client(archived_at=1),
        "warning",
        "client_archived",
        "Acme Corp is archived in Invoice Ninja and is billed all the same. Restore it, or set Website Redesign "
        "inactive here.",
        id="archived",
    ),
    pytest.param(
        contact_without_mail,
        "warning",
        "client_email",
        "No contact of Acme Corp has an address and gets mail, so its invoices cannot be mailed. Add an address in "
        "Invoice Ninja.",
        id="no-email",
    ),
    pytest.param(
        in_dollars,
        "error",
        "client_currency",
        "Acme Corp is invoiced in USD, but these have a rate in EUR, so their hours are held: Website Redesign "
        "(Website Redesign). Add rates in USD.",
        id="currency",
    ),
    pytest.param(
        own_settings(task_round_to_nearest=60),
        "error",
        "task_round_to_nearest",
        "Invoice Ninja rounds the times of tasks of Acme Corp to 60 seconds (task_round_to_nearest), so it stores "
        "other hours than the console bills. Set it to 1 second.",
        id="own-rounding",
    ),
    pytest.param(
        own_settings(send_reminders=False),
        "warning",
        "client_reminders",
        "Acme Corp is never reminded of an overdue invoice: its own settings say so. Leave it if you want it.",
        id="own-reminders",
    ),
]


@pytest.mark.parametrize(("act", "severity", "code", "sentence"), CLIENTS)
def test_each_client_that_cannot_be_billed_well_is_said(
    ward: Ward, act: Any, severity: str, code: str, sentence: str
) -> None:
    act(ward)

    assert ward.look("clients") == [(severity, code, sentence)]


def test_a_client_that_invoice_ninja_does_not_have(ward: Ward) -> None:
    ward.world.client.ninja_id = "nobody"
    ward.world.client.save()

    sentence = (
        "Invoice Ninja has no client Acme Corp, so the hours of Website Redesign are held. Correct the project, or our "
        "token sees only some of the clients."
    )
    assert ward.look("clients") == [("error", "client_unknown", sentence)]


def test_the_rate_that_applies_is_what_counts_not_every_rate(ward: Ward) -> None:
    """Ann's own rate in dollars comes before the project's in euro; Bob has none and the project's counts."""
    ann, bob = (
        Person.objects.create(taiga_user_id=number, username=name) for number, name in ((91, "ann"), (92, "bob"))
    )
    for person in (ann, bob):
        Membership.objects.create(person=person, taiga_project_id=1, role_name="Dev", role_key="dev")
    Rate.objects.create(level="user", person=ann, amount=Decimal(90), currency="USD")
    in_dollars(ward)

    [(_severity, _code, sentence)] = ward.look("clients")

    assert "bob (Website Redesign)" in sentence
    assert "ann" not in sentence


def test_projects_that_are_not_active_bring_no_client(ward: Ward) -> None:
    ProjectMapping.objects.update(is_active=False)

    sentence = "No Taiga project is mapped to a client yet, so nothing is billed. Connect one."
    assert ward.look("clients") == [("warning", "clients", sentence)]


# --- the rules alone ----------------------------------------------------------------------------------------------


def test_many_people_with_another_currency_are_counted() -> None:
    rates = tuple(OtherRate(f"Person {number}", "Web", "EUR") for number in range(8))
    client = ClientFacts("c", "Acme", ("Web",), emails=("a@b.example",), currency="USD", other_rates=rates)

    [finding] = client_rules.judge_one(client, {})

    assert "Person 4 (Web) and 3 more. Add rates in USD." in finding.sentence


def test_a_client_that_only_repeats_the_company_is_not_said_again() -> None:
    company = {"task_round_to_nearest": 900}
    client = ClientFacts("c", "Acme", ("Web",), emails=("a@b.example",), settings=dict(company))

    assert client_rules.judge_one(client, company) == []
    assert [f.code for f in ninja_rules.judge_settings(company)] == ["task_round_to_nearest"]


@pytest.mark.parametrize(
    ("value", "is_wrong"),
    [(1, False), ("1", False), (0, False), (None, False), ("", False), ("900", True), (2, True), (Decimal(60), True)],
)
def test_rounding_is_read_as_a_number_or_as_text(value: Any, is_wrong: bool) -> None:
    assert bool(ninja_rules.judge_settings({"task_round_to_nearest": value})) == is_wrong


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("5.10.17", (5, 10)), ("v5.10.1", (5, 10)), ("5", None), ("", None), ("5.x", None), ("6.0", (6, 0))],
)
def test_versions_are_read(text: str, numbers: Any) -> None:
    assert server_rules.version_of(text) == numbers


def test_an_engine_that_is_not_told_is_not_judged() -> None:
    facts = CompanyFacts(
        {"pdf_email_attachment": True, "enable_reminder1": True, "schedule_reminder1": "after_due_date"}
    )

    assert [finding.code for finding in ninja_rules.judge(facts)] == ["reminders", "settings"]


def test_a_skew_of_a_minute_is_the_limit() -> None:
    def severity(seconds: float) -> str:
        facts = server_rules.ServerFacts("taiga", "https://t", is_production=True, skew=dt.timedelta(seconds=seconds))
        return next(f.severity for f in server_rules.judge_server(facts) if f.code == "clock")

    assert [severity(s) for s in (0, 59.9, -59.9, 60, -60, 599, 600, -600)] == [
        "ok",
        "ok",
        "ok",
        "warning",
        "warning",
        "warning",
        "error",
        "error",
    ]
