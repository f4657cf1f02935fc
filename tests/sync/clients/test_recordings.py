"""What the real servers answered, read by our clients: every row, and every error by its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from billing_console import errors
from sync.clients import invoice_ninja, ninja_parse, ninja_parse_invoices, taiga, taiga_parse
from sync.clients.answers import Answer, Request, error_from
from sync.clients.taiga_csv import read_csv
from sync.clients.wire import decode_json
from tests.contract.invoice_ninja.recording import SHORTENED_FROM

CUT = (752,)  # a company with the keys of its taxes alone
FOLDER = Path(__file__).parents[2] / "contract"
TAIGA_KINDS = {"tasks": "T", "userstories": "U", "issues": "I"}
NINJA_PARSERS: dict[str, Callable[[object], object]] = {
    "tasks": ninja_parse.parse_task,
    "invoices": ninja_parse_invoices.parse_invoice,
    "emails": ninja_parse_invoices.parse_invoice,
    "clients": ninja_parse.parse_client,
    "projects": ninja_parse.parse_project,
    "products": ninja_parse.parse_product,
    "payments": ninja_parse.parse_payment,
    "credits": ninja_parse_invoices.parse_credit,
    "companies": ninja_parse.parse_company,
    "tax_rates": ninja_parse.parse_tax_rate,
}


def answers(upstream: str) -> Iterator[tuple[str, Answer]]:
    """Yield each recorded answer with the path below the API's address."""
    for path in sorted((FOLDER / upstream / "recordings").glob("*.json")):
        recording = decode_json(path.read_text(encoding="utf-8"))
        number = int(path.name.split("-")[0])
        if upstream == "invoice_ninja" and (number >= SHORTENED_FROM or number in CUT):
            continue  # kept with the keys that matter alone: no whole row of the server
        request, response = recording["request"], recording["response"]
        below = request["path"].split("/api/v1", 1)[-1].partition("?")[0]
        call = Request(upstream, request["method"], below, is_read=request["method"] == "GET")
        body = response["body"]
        text = body if isinstance(body, str) else json.dumps(body, default=str)
        yield (
            below,
            Answer(call, response["status"], response["headers"], text, None if isinstance(body, str) else body),
        )


def taiga_parser(path: str) -> Callable[[object], object] | None:
    parts = path.strip("/").split("/")
    first = parts[0]
    if first in TAIGA_KINDS:
        if "custom-attributes-values" in parts:
            return taiga_parse.parse_values
        if len(parts) == 1 or (len(parts) == 2 and parts[1].isdigit()):
            return lambda row: taiga_parse.parse_item(row, TAIGA_KINDS[first])
    if first.endswith("-custom-attributes"):
        return lambda row: taiga_parse.parse_custom_attribute(row, "T")
    if first == "history":
        return taiga_parse.parse_history_entry if len(parts) == 3 else None
    if first == "projects":
        return taiga_parse.parse_project if len(parts) <= 2 else None
    if first == "webhooks":
        return taiga_parse.parse_webhook_log if parts[-1] == "test" else taiga_parse.parse_webhook
    return {
        "timeline": taiga_parse.parse_timeline_entry,
        "memberships": taiga_parse.parse_membership,
        "webhooklogs": taiga_parse.parse_webhook_log,
        "auth": taiga_parse.parse_session,
    }.get(first) or (taiga_parse.parse_user if path == "/users/me" else None)


def test_every_recorded_row_of_taiga_is_read():
    count = 0
    for path, answer in answers("taiga"):
        parse = taiga_parser(path)
        if parse is not None and 200 <= answer.status < 300 and isinstance(answer.data, (dict, list)):
            for row in answer.data if isinstance(answer.data, list) else [answer.data]:
                assert parse(row) is not None
                count += 1
    assert count > 1000


def test_every_recorded_row_of_invoice_ninja_is_read():
    count = 0
    for path, answer in answers("invoice_ninja"):
        parse = NINJA_PARSERS.get(path.split("/")[1])
        data = answer.data.get("data") if isinstance(answer.data, dict) else None
        if parse is not None and 200 <= answer.status < 300 and data is not None:
            for row in data if isinstance(data, list) else [data]:
                assert parse(row) is not None
                count += 1
    assert count > 800


def test_the_recorded_csv_is_read():
    (answer,) = [answer for path, answer in answers("taiga") if path == "/tasks/csv" and answer.status == 200]
    rows = read_csv([answer.text.encode()])
    first = rows[0]
    assert len(rows) == 42
    assert (first["id"], first["subject"], first["Billable"], first["Duration (Hours)"]) == ("1", "v4", "True", "5.0")
    assert {tuple(row) for row in rows} == {tuple(first)}


TAIGA_ERRORS = {
    400: {errors.Rejected, errors.VersionConflict},
    401: {errors.Unauthorized},
    403: {errors.Forbidden},
    404: {errors.NotFound, errors.NotJson},
    405: {errors.Rejected},
    406: {errors.Rejected},
    415: {errors.Rejected},
    429: {errors.Throttled},
    451: {errors.Blocked},
    500: {errors.ServerFault},
}
NINJA_ERRORS = {
    302: {errors.Redirected},
    400: {errors.NotFound, errors.DuplicateRequest, errors.Rejected},
    401: {errors.Forbidden},
    403: {errors.Unauthorized, errors.Forbidden},
    404: {errors.UnexpectedAnswer},
    422: {errors.Rejected},
    429: {errors.Throttled},
    500: {errors.ServerFault, errors.NoPdfEngine},
    503: {errors.Maintenance},
}


@pytest.mark.parametrize(
    ("upstream", "classify", "expected"),
    [("taiga", taiga.classify, TAIGA_ERRORS), ("invoice_ninja", invoice_ninja.classify, NINJA_ERRORS)],
)
def test_every_recorded_error_has_a_name_and_a_sentence(upstream, classify, expected):
    seen: dict[int, set[type[errors.UpstreamError]]] = {}
    for _path, answer in answers(upstream):
        if answer.status >= 300:
            error = error_from(answer, classify, [])
            seen.setdefault(answer.status, set()).add(type(error))
            assert error.sentence
            assert "%(" not in error.sentence
            if answer.status == 422:
                assert isinstance(error, errors.Rejected)
                assert all(isinstance(text, str) for texts in error.fields.values() for text in texts)
    assert seen == expected


@pytest.mark.parametrize(
    ("upstream", "recording", "kind", "detail"),
    [
        ("taiga", "151", errors.VersionConflict, {"version": ["The version doesn't match with the current one"]}),
        ("taiga", "110", errors.Rejected, {"version": ["The version parameter is not valid"]}),
        ("taiga", "074", errors.Rejected, {"name": ["Already exists one with the same name."]}),
        ("taiga", "004", errors.Rejected, {}),
        ("taiga", "162", errors.NotFound, None),
        ("taiga", "399", errors.NotJson, None),
        ("taiga", "345", errors.Forbidden, None),
        ("taiga", "351", errors.Blocked, None),
        ("taiga", "360", errors.Throttled, 58),
        ("invoice_ninja", "032", errors.Rejected, {"number": ["The number has already been taken."]}),
        ("invoice_ninja", "270", errors.Rejected, {"number": ["This invoice is locked and unable to be modified"]}),
        ("invoice_ninja", "100", errors.NotFound, None),
        ("invoice_ninja", "102", errors.NotFound, None),
        ("invoice_ninja", "105", errors.Rejected, {}),
        ("invoice_ninja", "242", errors.DuplicateRequest, None),
        ("invoice_ninja", "265", errors.Forbidden, None),
        ("invoice_ninja", "002", errors.Unauthorized, None),
        ("invoice_ninja", "421", errors.Throttled, None),
        ("invoice_ninja", "453", errors.Maintenance, 60),
    ],
)
def test_recorded_errors_one_by_one(upstream, recording, kind, detail):
    (path,) = (FOLDER / upstream / "recordings").glob(f"{recording}-*.json")
    raw = json.loads(path.read_text(encoding="utf-8"))
    body = raw["response"]["body"]
    answer = Answer(
        Request(upstream, raw["request"]["method"], "/x", is_read=False),
        raw["response"]["status"],
        raw["response"]["headers"],
        str(body),
        None if isinstance(body, str) else body,
    )
    error = error_from(answer, taiga.classify if upstream == "taiga" else invoice_ninja.classify, [])
    assert type(error) is kind
    if isinstance(error, errors.Rejected):
        assert {name: error.fields.get(name) for name in detail} == detail
    else:
        assert error.wait_seconds == detail
