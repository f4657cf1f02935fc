"""Outgoing webhooks: the bare record, unsigned, sent after the commit inside the call; 404, 405, 410 end the hook."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from sandbox.memory import Row
from sandbox.ninja.call import Call
from sandbox.ninja.errors import Refusal, invalid, missing, unauthorized
from sandbox.ninja.filters import select
from sandbox.ninja.store import Store
from sandbox.ninja.transformers import answer_bulk, answer_one, answer_page, transform
from sandbox.ninja.values import as_text

EVENTS = {
    "client_create": "1",
    "invoice_create": "2",
    "payment_create": "4",
    "invoice_update": "8",
    "invoice_delete": "9",
    "client_update": "10",
    "client_delete": "11",
    "payment_delete": "12",
    "task_create": "18",
    "task_update": "19",
    "task_delete": "20",
    "project_create": "25",
    "project_update": "26",
    "credit_create": "27",
    "credit_update": "28",
    "credit_delete": "29",
    "project_delete": "30",
    "payment_update": "31",
    "payment_archive": "32",
    "invoice_archive": "33",
    "task_archive": "36",
    "client_archive": "37",
    "payment_restore": "40",
    "invoice_restore": "41",
    "task_restore": "44",
    "client_restore": "45",
    "product_create": "50",
    "product_update": "51",
    "invoice_sent": "60",
    "credit_sent": "62",
}
KNOWN_EVENTS = {str(number) for number in range(1, 65)}
WITH: dict[str, tuple[str, ...]] = {
    "invoices": ("client",),
    "payments": ("invoices", "client"),
    "projects": ("client",),
}
SECONDS = 5.0
GONE = (404, 405, 410)


def fire(call: Call, event: str, table: str, row: Row) -> None:
    """Notes an event; after the commit every hook that waits for it gets the record as it is now."""
    hooks = [
        hook
        for hook in call.store["webhooks"].find(event_id=EVENTS.get(event, ""))
        if not hook["is_deleted"] and not hook["archived_at"]
    ]
    if not hooks:
        return
    body = json.dumps(transform(call.store, table, row, WITH.get(table, ()))).encode()
    for hook in sorted(hooks, key=lambda found: found["_pk"]):
        call.after_commit.append(lambda hook=hook: _deliver(call.store, hook, event, body))  # type: ignore[misc]


def list_webhooks(call: Call) -> dict[str, Any]:
    """GET /webhooks"""
    return answer_page(call, "webhooks", select(call, "webhooks", {}))


def get_webhook(call: Call, webhook_id: str) -> dict[str, Any]:
    """GET /webhooks/{id}"""
    return answer_one(call, "webhooks", _webhook(call, webhook_id))


def create_webhook(call: Call) -> dict[str, Any]:
    """POST /webhooks, for administrators."""
    if not call.may():
        raise unauthorized()
    values = _read(call)
    own = {"company_id": call.store.company()["id"], "user_id": call.user["id"]}
    return answer_one(call, "webhooks", call.store.insert("webhooks", {**own, **values}))


def update_webhook(call: Call, webhook_id: str) -> dict[str, Any]:
    """PUT /webhooks/{id}"""
    hook = _webhook(call, webhook_id)
    call.body = {**{name: hook[name] for name in ("target_url", "event_id", "rest_method")}, **call.body}
    return answer_one(call, "webhooks", call.store.save("webhooks", hook["id"], **_read(call)))


def delete_webhook(call: Call, webhook_id: str) -> dict[str, Any]:
    """DELETE /webhooks/{id}"""
    hook = _webhook(call, webhook_id)
    now = call.store.now()
    return answer_one(call, "webhooks", call.store.save("webhooks", hook["id"], archived_at=now, is_deleted=True))


def bulk_webhooks(call: Call) -> dict[str, Any]:
    """POST /webhooks/bulk: archive, restore, delete."""
    now = call.store.now()
    changes: dict[str, Row] = {
        "archive": {"archived_at": now},
        "delete": {"archived_at": now, "is_deleted": True},
        "restore": {"archived_at": 0, "is_deleted": False},
    }
    change = changes.get(as_text(call.body.get("action")), {})
    rows = [row for row in map(call.store["webhooks"].get, call.body.get("ids") or []) if row is not None]
    return answer_bulk(call, "webhooks", [call.store.save("webhooks", row["id"], **change) for row in rows])


def _read(call: Call) -> Row:
    body = call.body
    event, method = as_text(body.get("event_id")), as_text(body.get("rest_method")) or "post"
    url = urlsplit(as_text(body.get("target_url")))
    errors: dict[str, Any] = {}
    if url.scheme not in ("http", "https") or not url.netloc:
        errors["target_url"] = ["The target url must be a valid URL."]
    if method not in ("post", "put"):
        errors["rest_method"] = ["The selected rest method is invalid."]
    if errors:
        raise invalid(errors)
    if event not in KNOWN_EVENTS:
        raise Refusal(400, "Invalid event")
    headers = body.get("headers")
    return {
        "target_url": as_text(body["target_url"]),
        "event_id": event,
        "format": as_text(body.get("format")) or "JSON",
        "rest_method": method,
        "headers": headers if isinstance(headers, dict) and headers else [],
    }


def _webhook(call: Call, webhook_id: str) -> Row:
    hook = call.store["webhooks"].get(webhook_id)
    if hook is None:
        raise missing("Webhook", webhook_id)
    return hook


def _deliver(store: Store, hook: Row, event: str, body: bytes) -> None:
    status, problem = _send(hook, body)
    with store.memory.transaction():
        told = {"event": event, "target_url": hook["target_url"], "status": status, "problem": problem}
        store["deliveries"].insert({**told, "at": store.moment(), "body": json.loads(body)})
        if status in GONE and store["webhooks"].get(hook["id"]) is not None:
            store.save("webhooks", hook["id"], archived_at=store.now())


def _send(hook: Row, body: bytes) -> tuple[int | None, str]:
    """The status that the receiver answered, or None and why there was none."""
    url = urlsplit(hook["target_url"])
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=SECONDS)
    headers = {
        "Accept": "application/json",
        **(hook["headers"] if isinstance(hook["headers"], dict) else {}),
        "User-Agent": "GuzzleHttp/7",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    try:
        path = url.path or "/"
        target = f"{path}?{url.query}" if url.query else path
        connection.putrequest(hook["rest_method"].upper(), target, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        return connection.getresponse().status, ""
    except (OSError, http.client.HTTPException) as error:
        return None, f"{type(error).__name__}: {error}"
    finally:
        connection.close()
