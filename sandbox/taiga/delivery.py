"""Sending webhooks: signed, once, without a time-out of its own; each attempt leaves a log row, ten a hook are kept."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import json
import socket
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sandbox.memory import Row
from sandbox.taiga.call import Event
from sandbox.taiga.payloads import build_payload
from sandbox.taiga.store import Store

LOGS_KEPT = 10
USER_AGENT = "python-urllib3/2.5.0"


class WorkerKilled(Exception):
    """The receiver took longer than a web worker of Taiga may live: the user gets a 500, nothing is logged."""


@dataclass
class Outcome:
    """What came back: `status` 0 where nothing did, with the reason in `data`."""

    status: int
    data: str
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def send_events(store: Store, events: list[Event], *, timeout: float | None) -> None:
    """Sends each event to the project's hooks, in the order of their names.

    Raises NoStory at the first task without a user story, WorkerKilled after `timeout` seconds (None waits for ever).
    """
    for event in events:
        hooks = event.row.get("hooks") if event.type == "project" else None
        hooks = store.webhooks.find(project=event.project) if hooks is None else hooks
        for hook in sorted(hooks, key=lambda row: (row["name"], row["id"])):
            with store.memory.lock:
                payload = build_payload(store, event)
            send(store, hook, payload, timeout=timeout)


def send(store: Store, hook: Row, payload: dict[str, Any], *, timeout: float | None = None) -> Row:
    """One attempt; answers the log row. Raises WorkerKilled."""
    body = json.dumps(payload, ensure_ascii=False).encode()
    signature = hmac.new(hook["key"].encode(), body, hashlib.sha1).hexdigest()
    headers = {
        "X-TAIGA-WEBHOOK-SIGNATURE": signature,
        "X-Hub-Signature": f"sha1={signature}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    refusal = None if store.settings.allow_private_address else refuse_private(hook["url"])
    if refusal is None:
        outcome = _post(hook["url"], body, headers, timeout)
    else:
        outcome, headers = Outcome(0, f"error-in-request: {refusal}"), {}
    if 300 <= outcome.status < 400:
        outcome = Outcome(outcome.status, "Redirects are not allowed", outcome.headers, outcome.seconds)
    return _log(store, hook, payload, headers, outcome)


def _post(url: str, body: bytes, headers: dict[str, str], timeout: float | None) -> Outcome:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    begun = time.monotonic()
    try:
        connection.putrequest("POST", parts._replace(scheme="", netloc="").geturl() or "/", True, True)
        for name, value in (("Host", parts.netloc), ("Accept-Encoding", "identity"), ("User-Agent", USER_AGENT)):
            connection.putheader(name, value)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
        content = json.dumps({"content": text})
        return Outcome(response.status, content, dict(response.getheaders()), time.monotonic() - begun)
    except TimeoutError as error:
        raise WorkerKilled from error
    except (OSError, http.client.HTTPException) as error:
        return Outcome(0, f"error-in-request: {error!r}")
    finally:
        connection.close()


def refuse_private(url: str) -> str | None:
    """Why a server that shuns private addresses does not send to this one; None if it does."""
    try:
        address = socket.gethostbyname(urlsplit(url).hostname or "")
    except OSError:
        return "Host access error"
    return "Private IP Address not allowed" if ipaddress.ip_address(address).is_private else None


def _log(store: Store, hook: Row, payload: dict[str, Any], headers: dict[str, str], outcome: Outcome) -> Row:
    with store.memory.transaction():
        row = store.webhooklogs.insert(
            {
                "webhook": hook["id"],
                "url": hook["url"],
                "status": outcome.status,
                "request_data": payload,
                "request_headers": headers,
                "response_data": outcome.data,
                "response_headers": outcome.headers,
                "duration": round(outcome.seconds, 6),
                "created": store.now(),
            }
        )
        for old in store.webhooklogs.find(webhook=hook["id"])[:-LOGS_KEPT]:
            store.webhooklogs.delete(old["id"])
        about = payload["data"] or {}
        store.deliveries.insert(
            {
                "webhook": hook["id"],
                "url": hook["url"],
                "action": payload["action"],
                "type": payload["type"],
                "object_id": about.get("id"),
                "subject": about.get("subject"),
                "status": outcome.status,
                "at": store.now(),
            }
        )
    return row
