"""Webhooks and their logs, for administrators of the project; testing and resending wait for the receiver."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from sandbox.memory import Row
from sandbox.taiga.call import Call, Result
from sandbox.taiga.delivery import send
from sandbox.taiga.errors import invalid, not_found
from sandbox.taiga.payloads import test_payload
from sandbox.taiga.store import wire_time


def _show(call: Call, row: Row) -> dict[str, Any]:
    counter = len(call.store.webhooklogs.find(webhook=row["id"]))
    shown = {field: row[field] for field in ("id", "project", "name", "url", "key")}
    return {**shown, "logs_counter": counter}


def _show_log(row: Row) -> dict[str, Any]:
    return {**{field: row[field] for field in _LOG_FIELDS}, "created": wire_time(row["created"])}


_LOG_FIELDS = [
    "id",
    "webhook",
    "url",
    "status",
    "request_data",
    "request_headers",
    "response_data",
    "response_headers",
    "duration",
]


def list_webhooks(call: Call) -> Result:
    """GET /webhooks?project=: [] for one who does not administer the project; the key in clear for one who does."""
    wanted = call.request.args.get("project", "")
    rows = [
        row
        for project in call.store.projects.all()
        if (not wanted or wanted == str(project["id"])) and call.is_admin(project)
        for row in call.store.webhooks.find(project=project["id"])
    ]
    return call.paginate(rows, lambda row: _show(call, row))


def _check(call: Call, data: dict[str, Any]) -> None:
    url = str(data.get("url", "http://localhost"))
    if len(url) > 200:
        raise invalid(url=f"Ensure this value has at most 200 characters (it has {len(url)}).")
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        is_name = host == "localhost" or re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", host)
        if parts.scheme not in ("http", "https", "ftp", "ftps") or not is_name:
            raise invalid(url="Invalid value.") from None
    else:
        if address.is_private and not call.store.settings.allow_private_address:
            raise invalid(url="Not allowed IP Address")


def create_webhook(call: Call) -> Result:
    """POST /webhooks {project, name, url, key}; there is no selection of events."""
    data = call.data
    missing = {f: "This field is required." for f in ("project", "name", "url", "key") if not data.get(f)}
    if missing:
        raise invalid(**missing)
    project = call.store.projects.get(data["project"])
    if project is None:
        raise invalid(project=f"Invalid pk '{data['project']}' - object does not exist.")
    call.require_admin(project)
    call.require_open(project)
    _check(call, data)
    fields = {field: data[field] for field in ("project", "name", "url", "key")}
    return Result(201, _show(call, call.store.webhooks.insert(fields)), {"Location": str(data["url"])})


def _webhook(call: Call, number: int, *, is_change: bool = True) -> Row:
    row = call.store.webhooks.get(number)
    project = call.store.projects.get(row["project"]) if row else None
    if row is None or project is None or not call.is_admin(project):
        raise not_found()
    if is_change:
        call.require_open(project)
    return row


def get_webhook(call: Call, number: int) -> Result:
    """GET /webhooks/{id}."""
    return Result(200, _show(call, _webhook(call, number, is_change=False)))


def change_webhook(call: Call, number: int) -> Result:
    """PATCH /webhooks/{id}: name, url, key."""
    row = _webhook(call, number)
    if call.data.get("key", "x") == "":
        raise invalid(key="This field cannot be blank.")
    _check(call, call.data)
    changes = {field: call.data[field] for field in ("name", "url", "key") if field in call.data}
    return Result(200, _show(call, call.store.webhooks.update(row["id"], **changes)))


def delete_webhook(call: Call, number: int) -> Result:
    """DELETE /webhooks/{id}."""
    row = _webhook(call, number)
    for log in call.store.webhooklogs.find(webhook=number):
        call.store.webhooklogs.delete(log["id"])
    call.store.webhooks.delete(row["id"])
    return Result(204, None)


def test_webhook(call: Call, number: int) -> Result:
    """POST /webhooks/{id}/test: 200 with the log row, however the receiver answered; 404 for other than admins."""
    row = _webhook(call, number)
    payload = test_payload(call.store, call.signed_in())
    return Result(200, None, later=lambda: Result(200, _show_log(send(call.store, row, payload))))


def list_logs(call: Call) -> Result:
    """GET /webhooklogs?webhook=: newest first; [] for other than administrators."""
    wanted = call.request.args.get("webhook", "")
    rows = []
    for log in call.store.webhooklogs.all():
        hook = call.store.webhooks.get(log["webhook"])
        project = call.store.projects.get(hook["project"]) if hook else None
        if project is not None and wanted in ("", str(log["webhook"])) and call.is_admin(project):
            rows.append(log)
    rows.sort(key=lambda log: (log["created"], log["id"]), reverse=True)
    return call.paginate(rows, _show_log)


def _log(call: Call, number: int, *, is_change: bool) -> tuple[Row, Row]:
    log = call.store.webhooklogs.get(number)
    if log is None:
        raise not_found()
    return log, _webhook(call, log["webhook"], is_change=is_change)


def get_log(call: Call, number: int) -> Result:
    """GET /webhooklogs/{id}."""
    return Result(200, _show_log(_log(call, number, is_change=False)[0]))


def _reordered(value: Any) -> Any:
    """Keys in the order PostgreSQL's jsonb gives them back: by length, then by bytes."""
    if isinstance(value, dict):
        return {key: _reordered(value[key]) for key in sorted(value, key=lambda key: (len(key.encode()), key))}
    if isinstance(value, list):
        return [_reordered(part) for part in value]
    return value


def resend_log(call: Call, number: int) -> Result:
    """POST /webhooklogs/{id}/resend: the stored body, its old date, other key order, the hook's present address."""
    log, hook = _log(call, number, is_change=True)
    payload = _reordered(log["request_data"])
    return Result(200, None, later=lambda: Result(200, _show_log(send(call.store, hook, payload))))
