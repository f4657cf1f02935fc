"""import_config and export_config."""

from __future__ import annotations

import datetime as dt
import json
import time
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from mappings import hooks
from mappings.exporter import export_config, to_json, to_yaml
from mappings.importer import import_config
from mappings.models import Client, Company, Membership, NinjaProject, Person, ProjectMapping, Rate, Role, RuleSet
from tests.mappings.conftest import PROJECTS, RULES, USERS

pytestmark = pytest.mark.django_db
Files = list[tuple[str, str]]


def stored_rates() -> set[tuple[str, str, str, str]]:
    return {
        (rate.level, str(rate.person or rate.role or rate.project or rate.client), str(rate.amount), rate.currency)
        for rate in Rate.objects.select_related("person", "role", "project", "client")
    }


def faults_of(*texts: str, suffix: str = "yaml") -> list[str]:
    report = import_config([(f"file{n}.{suffix}", text) for n, text in enumerate(texts, 1)])
    return [str(fault) for fault in report.faults]


GUIDE_RATES = {
    ("project", "Website Redesign", "75.000", "EUR"),
    ("role", "senior_dev", "95.000", "EUR"),
    ("role", "mid_dev", "75.000", "EUR"),
    ("role", "junior_dev", "50.000", "EUR"),
    ("role", "designer", "70.000", "EUR"),
    ("role", "pm", "85.000", "EUR"),
}


def test_the_guides_files_as_printed(guide_files: Files) -> None:
    report = import_config(guide_files)
    assert report.faults == []
    project = ProjectMapping.objects.get()
    assert (project.taiga_project_id, project.taiga_project_name) == (1, "Website Redesign")
    assert (project.client.ninja_id, project.client.is_known) == ("client_abc123", False)
    assert project.ninja_project is not None
    assert (project.ninja_project.ninja_id, project.ninja_project.is_known) == ("proj_web001", False)
    assert stored_rates() == GUIDE_RATES
    rate = Rate.objects.get(level="project")
    assert (rate.valid_from, rate.valid_to, rate.source) == (None, None, "projects.json")
    rules = RuleSet.objects.get(is_current=True)
    assert (rules.client, rules.frequency, rules.generation_day, rules.min_billable_hours) == (
        None,
        "monthly",
        1,
        Decimal("0.25"),
    )
    assert (rules.rounding, rules.auto_send, rules.payment_terms) == ("quarter_hour", False, "net30")
    flagged = [change.sentence for change in report.changes if change.action == "flagged"]
    assert flagged[0] == "Client client_abc123 was not seen in Invoice Ninja yet; its work is held until it is."
    assert len(flagged) == 6  # nobody has the five roles yet


def test_fenced_blocks_of_a_markdown_file(guide_markdown: str) -> None:
    report = import_config([("guide.md", guide_markdown)])
    assert report.faults == []
    assert stored_rates() == GUIDE_RATES
    places = {change.sentence: change.place.line for change in report.changes}
    assert guide_markdown.splitlines()[places["Rate of pm: 85.00 EUR."] - 1] == '    "pm": 85.00'


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_fence_ends_at_the_next_one_that_is_the_same(newline: str) -> None:
    lines = ["````", "```yaml", "roles: {a: A}", "```", "~~~ YAML x", "user_rates:", "  pm: 85", "~~~ ", "```yaml"]
    report = import_config([("notes.md", newline.join([*lines, "roles: {open: never}"]))])
    assert report.faults == []
    assert sorted(Role.objects.values_list("key", flat=True)) == ["a", "pm"]
    assert {change.place.line for change in report.changes if change.action == "added"} == {3, 7}


@pytest.mark.parametrize(
    "text", ["~~~a\n" * 200_000, "".join("`" * n + "\n" for n in range(3, 1400)), "```\n" * 250_000]
)
def test_fences_that_never_end_take_no_time(text: str) -> None:
    began = time.process_time()
    report = import_config([("notes.md", text[: 1024 * 1024])])
    assert time.process_time() - began < 5  # a tenth of this text took 46 s
    assert "has no block with" in report.faults[0].sentence


def test_importing_again_changes_nothing(guide_files: Files, django_assert_max_num_queries: Any) -> None:
    import_config(guide_files)
    before = (Rate.history.count(), ProjectMapping.history.count(), RuleSet.objects.count())
    with django_assert_max_num_queries(19):
        report = import_config(guide_files)
    assert report.faults == []
    assert (report.count("added"), report.count("changed"), report.count("unchanged")) == (0, 0, 8)
    assert (Rate.history.count(), ProjectMapping.history.count(), RuleSet.objects.count()) == before


def test_a_changed_file_changes_what_it_names(guide_files: Files) -> None:
    import_config(guide_files)
    report = import_config(
        [
            ("projects.json", PROJECTS.replace("75.00", "80.00").replace("Website Redesign", "Website")),
            ("rules.yaml", RULES.replace("net30", "net14")),
        ]
    )
    assert (report.count("added"), report.count("changed")) == (0, 3)
    assert ("project", "Website", "80.000", "EUR") in stored_rates()
    assert RuleSet.objects.get(is_current=True).payment_terms == "net14"
    assert list(RuleSet.objects.order_by("version").values_list("version", "is_current")) == [(1, False), (2, True)]


def test_a_dry_run_stores_nothing_and_tells_nobody(
    guide_files: Files, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(hooks, "_callbacks", [heard.append])
    with django_capture_on_commit_callbacks(execute=True):
        report = import_config(guide_files, is_dry_run=True)
    assert report.count("added") == 14
    assert not Client.objects.exists()
    assert not Rate.objects.exists()
    assert heard == []
    with django_capture_on_commit_callbacks(execute=True):
        import_config(guide_files)
    assert {type(row) for row in heard} == {Client, NinjaProject, ProjectMapping, Rate, Role}


def test_one_fault_and_nothing_is_stored(guide_files: Files) -> None:
    report = import_config([*guide_files, ("more.yaml", "billing_rules:\n  generation_day: 32\n")])
    assert [str(fault) for fault in report.faults] == [
        "more.yaml, line 2: generation_day must be a whole number from 1 to 31, not “32”."
    ]
    assert report.changes == []
    assert not Client.objects.exists()
    assert not RuleSet.objects.exists()


def test_two_files_with_rules_contradict_each_other(guide_files: Files) -> None:
    report = import_config([*guide_files, ("users2.json", USERS), ("more.yaml", RULES)])
    assert [str(fault) for fault in report.faults][:2] == [
        "more.yaml, line 1: billing_rules already stands in rules.yaml, line 1.",
        "users2.json, line 3: senior_dev already stands in users.json, line 3.",
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("generation_day: 0", "generation_day must be a whole number from 1 to 31, not “0”."),
        ("generation_day: 32", "generation_day must be a whole number from 1 to 31, not “32”."),
        ("generation_day: 1.5", "generation_day must be a whole number from 1 to 31, not “1.5”."),
        (
            "payment_terms: net-5",
            "“net-5” is no payment term. Write it like net30, net 30 end of month, or due_on_receipt.",
        ),
        ("frequency: yearly", "frequency must be one of weekly, biweekly, monthly, not “yearly”."),
        ("rounding: third", "rounding must be one of none, quarter_hour, half_hour, hour, not “third”."),
        ("auto_send: maybe", "auto_send must be true or false, not “maybe”."),
        (
            "min_billable_hours: -1",
            "min_billable_hours must be a number from 0 to 9999.99 with at most 2 decimals, not “-1”.",
        ),
        (
            "min_billable_hours: 0,25",
            "min_billable_hours must be a number from 0 to 9999.99 with at most 2 decimals, not “0,25”.",
        ),
        ("anchor_date: tomorrow", "anchor_date must be a date like 2025-12-31, not “tomorrow”."),
        ("billing_timezone: Mars", "billing_timezone must be a time zone like Europe/Brussels, not “Mars”."),
        ("footer: [1]", "footer must be a text."),
        ("tax_name: VAT", "tax_name and tax_rate belong together."),
    ],
)
def test_bad_rules_name_their_line(line: str, sentence: str) -> None:
    text = f"# ours\nbilling_rules:\n  name: Ours\n  {line}\n"
    expected = 2 if line.startswith("tax_name") else 4
    assert faults_of(text) == [f"file1.yaml, line {expected}: {sentence}"]
    assert not RuleSet.objects.exists()


def test_every_fault_of_every_file_is_named() -> None:
    assert faults_of(
        "billing_rules:\n  colour: red\n  generation_day: 40\n",
        "user_rates:\n  pm: lots\n  pm: 5\n",
        "project_mappings:\n  - taiga_project_id: x\n    invoiceninja_client_id: c\n",
        "nonsense: 1\n",
        "- a\n",
        "a: [\n",
    )[1:] == [
        "file1.yaml, line 3: generation_day must be a whole number from 1 to 31, not “40”.",
        "file2.yaml, line 2: pm must be a number from 0.001 to 999999.999 with at most 3 decimals, not “lots”.",
        "file2.yaml, line 3: “pm” stands here twice.",
        "file3.yaml, line 2: taiga_project_id must be a whole number from 1 to 9223372036854775807, not “x”.",
        "file3.yaml, line 2: taiga_project_name is missing.",
        (
            "file4.yaml, line 1: “nonsense” is not known here. Known are: billing_rules, client_billing_rules, "
            "company, project_mappings, rates, roles, user_rates."
        ),
        "file5.yaml, line 1: The file must be a list of keys and values.",
        "file6.yaml, line 2: This is no valid YAML: expected the node content, but found '<stream end>'.",
    ]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ('{"user_rates": {"a": NaN}}', "file1.json, line 1: This cannot be read"),
        ('{"user_rates": {\n"a": 1,}}', "file1.json, line 2: This is no valid JSON"),
        ("[" * 100_000, "file1.json, line 1: This cannot be read"),
        ('{"user_rates": {"a": ' + "9" * 5000 + "}}", "file1.json, line 1: "),
        ('{"user_rates": {"\\ud800": 5}}', "file1.json, line 1: "),
        ('{"user_rates": {"a\\u0000": 5}}', "file1.json, line 1: "),
        ("", "file1.json, line 1: "),
        ("\x00", "file1.json, line 1: "),
    ],
)
def test_hostile_files_are_faults(text: str, start: str) -> None:
    faults = faults_of(text, suffix="json")
    assert faults
    assert all(fault.startswith(start) for fault in faults)


def test_tabs_in_json_and_a_byte_order_mark_are_fine() -> None:
    assert faults_of('\ufeff{\n\t"user_rates": {\n\t\t"pm":\t85.5\n\t}\n}', suffix="json") == []
    assert stored_rates() == {("role", "pm", "85.500", "EUR")}


def test_yaml_references_are_refused() -> None:
    assert faults_of("a: &a [1]\nb: *a\n") == [
        "file1.yaml, line 2: This is no valid YAML: references (*name) are not supported."
    ]


def test_user_rates_match_a_role_then_a_username_else_are_kept() -> None:
    alice = Person.objects.create(taiga_user_id=6, username="Alice")
    Membership.objects.create(person=alice, taiga_project_id=1, role_name="Senior Dev", role_key="senior_dev")
    report = import_config([("users.yaml", "user_rates:\n  Senior-Dev: 95\n  alice: 100\n  ghost: 10\n")])
    assert stored_rates() == {
        ("role", "Senior-Dev", "95.000", "EUR"),
        ("user", "Alice", "100.000", "EUR"),
        ("role", "ghost", "10.000", "EUR"),
    }
    assert Role.objects.get(name="Senior-Dev").key == "senior_dev"
    flagged = [change for change in report.changes if change.action == "flagged"]
    assert [(change.sentence.split()[0], change.place.line) for change in flagged] == [("ghost", 4)]


def test_two_people_of_one_username_are_a_fault() -> None:
    Person.objects.create(taiga_user_id=6, username="sam")
    Person.objects.create(taiga_user_id=7, username="Sam")
    assert faults_of("user_rates: {sam: 5}") == ["file1.yaml, line 1: More than one person has the username sam."]


def test_a_rate_has_the_decimals_of_its_currency() -> None:
    assert faults_of("user_rates: {pm: 85.005}") == ["file1.yaml, line 1: 85.005 has more decimals than EUR."]


def test_the_companys_currency_is_used() -> None:
    Company.objects.create(pk=1, currency="JPY")
    assert faults_of("user_rates: {pm: 9500}") == []
    assert stored_rates() == {("role", "pm", "9500.000", "JPY")}


def test_a_project_that_invoice_ninja_knows_under_another_client() -> None:
    other = Client.objects.create(ninja_id="client_other", is_known=True)
    NinjaProject.objects.create(ninja_id="proj_web001", client=other, is_known=True)
    assert faults_of(PROJECTS, suffix="json") == [
        "file1.json, line 3: Project proj_web001 belongs to client client_other in Invoice Ninja, not to client_abc123."
    ]
    assert not ProjectMapping.objects.exists()


def test_dated_rates_are_not_overwritten_by_one_without_days(guide_files: Files) -> None:
    import_config(guide_files)
    rate = Rate.objects.get(level="project")
    Rate.objects.filter(pk=rate.pk).update(valid_to=dt.date(2000, 1, 1))
    rate.pk, rate.amount, rate.valid_from = None, Decimal(80), dt.date(2000, 1, 1)
    rate.save(force_insert=True)
    assert faults_of(PROJECTS, suffix="json") == [
        "file1.json, line 3: Website Redesign has rates with dates already. Change them in Rates."
    ]
    assert faults_of(PROJECTS.replace("75.00", "80.00"), suffix="json") == []


FULL = """
project_mappings:
  - taiga_project_id: 1
    taiga_project_name: Website Redesign
    invoiceninja_client_id: client_abc123
    invoiceninja_project_id: proj_web001
    default_hourly_rate: 75.00
    taiga_slug: website
    active_from: 2025-01-01
  - taiga_project_id: 2
    taiga_project_name: "Café: \\u2013 2"
    invoiceninja_client_id: client_usd
    default_hourly_rate: 80
    currency: USD
    is_active: false
user_rates: {pm: 85, senior_dev: 95.5}
rates:
  - {level: user, person: alice, taiga_user_id: 6, amount: 90, valid_to: 2026-01-01}
  - {level: user, person: alice, taiga_user_id: 6, amount: 99.95, valid_from: 2026-01-01}
  - {level: user_in_project, person: alice, taiga_user_id: 6, project: 1, amount: 120}
  - {level: role, role: designer, amount: 70, valid_from: 2025-06-01}
  - {level: client, client: client_usd, amount: 60, currency: USD}
billing_rules:
  rounding: none
  rounding_mode: nearest
  tax_name: VAT
  tax_rate: 21
  billing_timezone: America/New_York
client_billing_rules:
  client_usd:
    frequency: biweekly
    anchor_date: 2026-01-05
    no_tax_text: VAT reverse charge
    footer: ""
"""


@pytest.mark.parametrize("write", [to_yaml, to_json])
def test_export_is_read_back_to_the_same_rows(write: Any) -> None:
    assert faults_of(FULL) == []
    exported = export_config()
    text = write(exported)
    suffix = "json" if write is to_json else "yaml"
    again = import_config([(f"export.{suffix}", text)])
    assert again.faults == []
    assert (again.count("added"), again.count("changed")) == (0, 0)
    rates = stored_rates()
    rules = RuleSet.objects.get(client__ninja_id="client_usd")
    for model in (Rate, ProjectMapping, RuleSet, NinjaProject, Client, Role, Person):
        model.objects.all().delete()
    assert import_config([(f"export.{suffix}", text)]).faults == []
    assert export_config() == exported
    assert stored_rates() == rates
    restored = RuleSet.objects.get(client__ninja_id="client_usd")
    assert (restored.frequency, restored.anchor_date, restored.tax_decision, restored.no_tax_text) == (
        rules.frequency,
        dt.date(2026, 1, 5),
        "no_tax",
        "VAT reverse charge",
    )
    assert (restored.billing_timezone, restored.rounding) == ("America/New_York", "none")


def test_export_writes_the_guides_form(guide_files: Files) -> None:
    import_config(guide_files)
    exported = json.loads(to_json(export_config()))
    assert exported["user_rates"] == json.loads(USERS)["user_rates"]
    assert exported["project_mappings"] == json.loads(PROJECTS)["project_mappings"]
    assert "rates" not in exported
    assert '"default_hourly_rate": 75.00' in to_json(export_config())


def test_rates_name_exactly_their_level() -> None:
    assert faults_of(
        "rates:\n  - {level: user, role: pm, amount: 5}\n  - {level: project, project: 9, amount: 5}\n"
    ) == ["file1.yaml, line 2: A rate of level user names exactly: person."]
    assert faults_of("rates:\n  - {level: project, project: 9, amount: 5}\n") == [
        "file1.yaml, line 2: Taiga project 9 is not mapped."
    ]
    assert faults_of("rates:\n  - {level: user, person: zoe, amount: 5}\n") == [
        "file1.yaml, line 2: Nobody with the username zoe was seen in Taiga yet. Add taiga_user_id."
    ]


def test_overlapping_rates_are_a_fault() -> None:
    rates = ["{level: role, role: pm, amount: 5}", "{level: role, role: pm, amount: 6, valid_from: 2026-01-01}"]
    assert faults_of("rates:\n" + "".join(f"  - {rate}\n" for rate in rates)) == [
        "file1.yaml, line 3: Another rate of this kind is valid on some of these days. End that one first."
    ]


def test_commands(tmp_path: Path, guide_files: Files) -> None:
    names = []
    for name, text in guide_files:
        (tmp_path / name).write_text(text)
        names.append(str(tmp_path / name))
    out = StringIO()
    call_command("import_config", *names, "--dry-run", stdout=out)
    assert "Would add 14, change 0, leave 1 as they are; 6 to look at." in out.getvalue()
    assert not Rate.objects.exists()
    out = StringIO()
    call_command("import_config", *names, "--json", stdout=out)
    report = json.loads(out.getvalue())
    assert (report["ok"], report["dry_run"], report["added"], report["faults"]) == (True, False, 14, [])
    out = StringIO()
    call_command("export_config", stdout=out)
    (tmp_path / "export.yaml").write_text(out.getvalue())
    out = StringIO()
    call_command("import_config", str(tmp_path / "export.yaml"), stdout=out)
    assert out.getvalue().strip().endswith("Added 0, changed 0, 14 as they were; 6 to look at.")


def test_commands_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        call_command("import_config", str(tmp_path / "missing.json"))
    bad = tmp_path / "bad.yaml"
    bad.write_text("billing_rules:\n  generation_day: 0\n")
    with pytest.raises(CommandError, match=r"bad.yaml, line 2: generation_day .*\nNothing was imported."):
        call_command("import_config", str(bad))
    out = StringIO()
    with pytest.raises(CommandError, match="Nothing was imported: 1 mistakes"):
        call_command("import_config", str(bad), "--json", stdout=out)
    assert json.loads(out.getvalue())["faults"][0]["line"] == 2
    bad.write_bytes(b"\xff\xfe")
    with pytest.raises(CommandError, match="no UTF-8 text file"):
        call_command("import_config", str(bad))
