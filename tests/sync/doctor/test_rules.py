"""The doctor's pure rules beyond what the stand-ins show: addresses, log lines, attributes, silent parts."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_console.formats import time_of_day
from sync import attributes
from sync.clients.taiga_rows import CustomAttribute, TaigaId
from sync.doctor import attribute_rules, hook_logs, hook_rules, machine_rules
from sync.doctor.attribute_rules import Flaw
from sync.doctor.hook_logs import HookLog
from sync.doctor.hook_rules import Address, Hook, Listening
from sync.doctor.machine_rules import Pace
from sync.wanted import STATUS_OPTIONS, WANTED, missing_options

AT = dt.datetime(2026, 1, 12, 8, 12, tzinfo=dt.UTC)
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
ADDRESS = Address("https://bill.example", UUID)
NAMES = {
    "billable": "Billable",
    "hours": "Duration (Hours)",
    "rate": "Hourly Rate",
    "client": "Client Invoice ID",
    "status": "Invoice Status",
}


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://bill.example/webhooks/taiga", ""),
        ("https://bill.example/billing/webhooks/taiga", ""),
        ("https://bill.example/webhooks/taiga/", ""),
        (f"https://bill.example/webhooks/taiga/{UUID}", UUID),
        (f"https://bill.example/webhooks/taiga/{UUID.upper()}", UUID),
        ("https://bill.example/webhooks/taiga/not-a-uuid", None),
        ("https://bill.example/webhooks/taiga2", None),
        ("https://chat.example/hooks/abc", None),
        ("", None),
    ],
)
def test_an_address_of_ours_is_known_by_its_path(url: str, found: str | None) -> None:
    assert hook_rules.uuid_in(url) == found


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda text: f"http://[{text}/webhooks/taiga"))
def test_whatever_somebody_typed_as_an_address_is_read(url: str) -> None:
    seen = Listening("Web", "web", ADDRESS, (Hook(1, "h", url, hook_rules.KEY_RIGHT),), is_production=True)

    assert len(hook_rules.judge(seen)) >= 1


def hooks(*urls: str) -> list[Hook]:
    return [Hook(number, "h", url, hook_rules.KEY_RIGHT) for number, url in enumerate(urls)]


def test_another_console_on_another_host_is_not_ours_while_we_have_one() -> None:
    both = hooks("https://staging.example/webhooks/taiga", "https://bill.example/webhooks/taiga")

    assert [hook.id for hook in hook_rules.ours_among(both, ADDRESS)] == [1]


def test_an_inner_name_of_ours_counts_where_there_is_no_other() -> None:
    inner = hooks("http://console.internal:5000/webhooks/taiga", "https://chat.example/x")

    assert [hook.id for hook in hook_rules.ours_among(inner, ADDRESS)] == [0]


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        (202, "", None),
        (0, "error-in-request: Private IP Address not allowed", "hook_private"),
        (0, "error-in-request: Host access error", "hook_unknown_host"),
        (0, "HTTPConnectionPool(...NameResolutionError(... Name or service not known", "hook_unknown_host"),
        (0, "error-in-request: SSLError(SSLCertVerificationError", "hook_certificate"),
        (0, "error-in-request: ConnectionRefusedError(111, 'Connection refused')", "hook_unreachable"),
        (301, "Redirects are not allowed", "hook_redirect"),
        (302, "Redirects are not allowed", "hook_redirect"),
        (200, "", "hook_elsewhere"),
        (204, "", "hook_elsewhere"),
        (404, "", "hook_elsewhere"),
        (405, "", "hook_elsewhere"),
        (403, "", "hook_untested"),
        (500, "", "hook_fault"),
        (503, "", "hook_fault"),
        (413, "", "hook_refused"),
        (400, "", "hook_refused"),
    ],
)
def test_a_line_of_taigas_log_is_understood(status: int, text: str, code: str | None) -> None:
    judged = hook_logs.judge_log(HookLog(status, text, AT), ADDRESS.common, "Web")

    assert (judged[1] if judged else None) == code


def listening(**more: Any) -> Listening:
    hook = Hook(1, "h", ADDRESS.common, hook_rules.KEY_RIGHT, (HookLog(202, "", AT),))
    return Listening("Web", "web", ADDRESS, (hook,), is_production=True, **more)


@pytest.mark.parametrize(("minutes", "code"), [(-5, "hook"), (5, "hook"), (10, "hook"), (11, "hook_silent")])
def test_a_closing_is_missed_only_after_some_minutes(minutes: int, code: str) -> None:
    seen = listening(missed_at=AT + dt.timedelta(minutes=minutes))

    assert [finding.code for finding in hook_rules.judge(seen)] == [code]


@given(st.text(max_size=300), st.integers(0, 599))
def test_any_line_of_a_log_becomes_one_sentence_and_one_short_quote(text: str, status: int) -> None:
    log = HookLog(status, text, AT)

    [quoted] = hook_logs.quote([log], "UTC")

    assert "\n" not in quoted
    assert len(quoted) < 200
    judged = hook_logs.judge_log(log, ADDRESS.common, "Web")
    assert judged is None or judged[2].endswith((".", ").", "slash at the end)."))


@pytest.mark.parametrize(
    ("url", "is_private"),
    [
        ("http://127.0.0.1:5000/x", True),
        ("http://10.1.2.3/x", True),
        ("http://[::1]/x", True),
        ("http://localhost/x", True),
        ("http://console:5000/x", True),
        ("http://console.internal/x", True),
        ("http://bill.example/x", False),
        ("http://8.8.8.8/x", False),
    ],
)
def test_addresses_inside_are_told_from_public_ones(url: str, is_private: bool) -> None:
    assert hook_rules.is_private(url) == is_private


# --- attributes ---------------------------------------------------------------------------------------------------


def attribute(number: int, name: str, type: str, options: tuple[str, ...] = ()) -> CustomAttribute:
    return CustomAttribute("T", TaigaId(number), TaigaId(1), name, type, "", number, options, {})


def five(**changes: CustomAttribute | None) -> list[CustomAttribute]:
    rows: dict[str, CustomAttribute | None] = {
        "billable": attribute(1, "Billable", "checkbox"),
        "hours": attribute(2, "Duration (Hours)", "number"),
        "rate": attribute(3, "Hourly Rate", "number"),
        "client": attribute(4, "Client Invoice ID", "text"),
        "status": attribute(5, "Invoice Status", "dropdown", STATUS_OPTIONS),
    }
    return [row for row in {**rows, **changes}.values() if row is not None]


def test_five_right_attributes_have_no_flaw() -> None:
    assert attribute_rules.flaws(five(), NAMES) == []
    assert [flaw.what for flaw in attribute_rules.flaws([], NAMES)] == ["missing"] * 5


@pytest.mark.parametrize("field", attributes.FIELDS)
@pytest.mark.parametrize("kind", ["text", "multiline", "richtext", "date", "url", "dropdown", "checkbox", "number"])
def test_each_type_of_taiga_is_right_or_wrong_for_each_field(field: str, kind: str) -> None:
    name = {row.id: row.name for row in five()}[attributes.FIELDS.index(field) + 1]
    changed = attribute(9, name, kind, STATUS_OPTIONS)

    found = attribute_rules.flaws(five(**{field: changed}), NAMES)

    assert found == (
        [] if kind in (WANTED[field].type, *WANTED[field].readable) else [Flaw(field, "wrong_type", name, changed)]
    )


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        (("Not Billable", "Pending Invoice", "Invoiced"), ()),
        (("non-billable", "Pending Invoice", "Invoiced"), ()),
        (("non-billable", "pending", "invoiced"), ("Pending Invoice", "Invoiced")),
        (("INVOICED", "Pending invoice ", "not billable", "other"), ("Pending Invoice", "Invoiced")),
        (("Invoiced",), ("Not Billable", "Pending Invoice")),
        ((), ("Not Billable", "Pending Invoice", "Invoiced")),
    ],
)
def test_what_the_console_writes_is_an_option_spelled_so(options: tuple[str, ...], missing: tuple[str, ...]) -> None:
    assert missing_options("status", attribute(5, "Invoice Status", "dropdown", options)) == missing


def test_two_of_one_name_are_said_and_the_older_counts() -> None:
    twice = attribute(8, "hourly rate", "date")

    [flaw] = attribute_rules.flaws([twice, *five()], NAMES)

    assert (flaw.field, flaw.what, flaw.attribute) == ("rate", "duplicate", attribute(3, "Hourly Rate", "number"))


def test_the_guides_second_spelling_counts_where_the_configured_name_is_not_there() -> None:
    second = [
        attribute(1, "billable", "checkbox"),
        attribute(2, "duration_hours", "number"),
        attribute(3, "hourly_rate", "number"),
        attribute(4, "client_invoice_id", "text"),
        attribute(5, "invoice_status", "dropdown", STATUS_OPTIONS),
    ]

    assert attribute_rules.flaws(second, NAMES) == []


def test_a_kind_without_billable_is_left_alone() -> None:
    only_hours = [attribute(2, "Duration (Hours)", "date")]

    found = attribute_rules.judge("Web", "web", {"T": five(), "U": only_hours, "I": []}, NAMES)

    assert [(finding.severity, finding.subject) for finding in found] == [("ok", "T")]


# --- the machine --------------------------------------------------------------------------------------------------

PACE = Pace(60, 300, 600)
PARTS = ("worker", "sweep", "taiga", "invoice_ninja", "payments")


def seen(**minutes: float) -> dict[str, dt.datetime]:
    return {name: AT - dt.timedelta(minutes=ago) for name, ago in minutes.items()}


def test_all_parts_that_did_their_work_are_ok() -> None:
    found = machine_rules.judge(seen(worker=1, sweep=5, taiga=5, invoice_ninja=9, payments=9), AT, PACE, "UTC")

    assert [(finding.severity, finding.subject) for finding in found] == [("ok", name) for name in PARTS]


def test_a_part_that_did_its_work_in_the_future_is_an_error() -> None:
    found = machine_rules.judge(seen(worker=1, sweep=-60, taiga=-60, payments=-0.2), AT, PACE, "UTC")

    at = AT + dt.timedelta(hours=1)
    sentence = (
        f"its last work is noted at {time_of_day(at, 'UTC')}, which has not come yet. The clock of this machine "
        "went back. It is set right by itself within a minute; if not, look whether the console's processes run."
    )
    assert [(finding.severity, finding.subject) for finding in found] == [
        ("ok", "worker"),
        ("error", "sweep"),
        ("error", "taiga"),
        ("ok", "payments"),
    ]
    assert found[1].sentence == f"Sweep of Taiga: {sentence}"


@pytest.mark.parametrize(("hours", "severities"), [(1, ["warning"]), (25, [])])
def test_a_clock_that_went_back_is_told_for_a_day(hours: int, severities: list[str]) -> None:
    times = seen(worker=1, clock_failed=hours * 60)

    found = machine_rules.judge(times, AT, PACE, "UTC", {"clock": "It went back."})

    assert [row.severity for row in found if row.subject == "clock"] == severities


@pytest.mark.parametrize(("hours", "severities"), [(25, []), (49, ["error"])])
def test_open_invoices_that_are_not_read_again_are_an_error(hours: int, severities: list[str]) -> None:
    times = seen(worker=1, sweep=5, taiga=5, invoice_ninja=9, payments=9, open_invoices=hours * 60)

    found = machine_rules.judge(times, AT, PACE, "UTC", {"open_invoices": "It answers 503."})

    mine = [row for row in found if row.subject == "open_invoices"]
    assert [row.severity for row in mine] == severities
    assert all(row.sentence.endswith("which is done once a day. It answers 503.") for row in mine)


def test_a_silent_worker_is_the_only_thing_that_is_said() -> None:
    found = machine_rules.judge(seen(worker=60, sweep=60, taiga=60, invoice_ninja=60), AT, PACE, "UTC")

    assert [(f.severity, f.sentence) for f in found] == [
        (
            "error",
            "Worker and schedule: silent since 12 Jan 2026 07:12. Look whether the console's processes run.",
        )
    ]


def test_a_worker_that_hears_bells_without_beat_is_told_apart() -> None:
    found = machine_rules.judge(seen(worker=60, doctor=1), AT, PACE, "UTC")

    assert [(f.severity, f.sentence) for f in found] == [
        ("error", "The schedule (beat) has been silent since 12 Jan 2026 07:12, though a worker runs. Start beat.")
    ]


def test_nothing_was_reported_yet() -> None:
    found = machine_rules.judge({}, AT, PACE, "UTC")

    assert [(f.severity, f.sentence) for f in found] == [("warning", "Worker and schedule: has not reported yet.")]


@pytest.mark.parametrize(
    ("answered", "failure", "said"),
    [
        ({}, "", []),  # never asked
        ({"invoice_ninja": 600}, "", [("ok", "Invoice Ninja answered 11 Jan 2026 22:12")]),  # not asked since
        (
            {"invoice_ninja": 9},
            "It was full.",
            [("ok", "Invoice Ninja answered 12 Jan 2026 08:03")],
        ),  # not yet long ago
        (
            {"invoice_ninja": 600},
            "The last call failed with Unreachable.",
            [
                (
                    "error",
                    "Invoice Ninja has not answered since 11 Jan 2026 22:12. The last call failed with Unreachable.",
                )
            ],
        ),
        (
            {},
            "The last call failed with Unauthorized (HTTP 403).",
            [("error", "Invoice Ninja has not answered yet. The last call failed with Unauthorized (HTTP 403).")],
        ),
    ],
)
def test_a_server_is_silent_only_where_it_was_asked(
    answered: dict[str, float], failure: str, said: list[tuple[str, str]]
) -> None:
    failures = {"invoice_ninja": failure} if failure else {}

    found = machine_rules.judge(seen(worker=1, sweep=5, payments=9, **answered), AT, PACE, "UTC", failures)

    assert [(f.severity, f.sentence) for f in found if f.subject == "invoice_ninja"] == said


def test_a_server_that_answered_a_command_does_not_prove_a_worker() -> None:
    found = machine_rules.judge(seen(worker=60, invoice_ninja=0, taiga_failed=0), AT, PACE, "UTC")

    assert [f.sentence.split(":")[0] for f in found] == ["Worker and schedule"]


def test_payments_that_are_not_read_are_said_though_invoice_ninja_answers() -> None:
    found = machine_rules.judge(seen(worker=1, sweep=5, taiga=5, invoice_ninja=9, payments=90), AT, PACE, "UTC")

    assert [(f.severity, f.sentence) for f in found if f.severity != "ok"] == [
        ("error", "Payments read: silent since 12 Jan 2026 06:42. Look whether the console's processes run.")
    ]


def test_a_part_that_tried_and_could_not_says_why() -> None:
    beats = seen(worker=1, sweep=5, taiga=5, invoice_ninja=9, payments=90)

    found = machine_rules.judge(beats, AT, PACE, "UTC", {"payments": "Invoice 7 could not be taken over."})

    assert [(f.severity, f.sentence) for f in found if f.severity != "ok"] == [
        ("error", "Payments read: silent since 12 Jan 2026 06:42. Invoice 7 could not be taken over.")
    ]


def test_a_silent_server_is_said_beside_parts_that_are_well() -> None:
    beats = seen(worker=1, sweep=5, taiga=90, invoice_ninja=9, payments=9)

    found = machine_rules.judge(beats, AT, PACE, "UTC", {"taiga": "The last call failed with Unreachable."})

    assert [(f.severity, f.subject) for f in found if f.severity != "ok"] == [("error", "taiga")]
