"""What Invoice Ninja says of itself beside its company: the health check of a self-hosted one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sync.clients.http import JsonClient
from sync.clients.wire import JsonObject, Row


@dataclass(frozen=True)
class NinjaSelfCheck:
    """The server's own health check. `pdf_engine` is only a name: the server does not try it. `queue_error` is the
    last failure of its queue, "" for none."""

    is_well: bool
    version: str
    mailer: str
    pdf_engine: str
    queue_error: str
    may_execute: bool
    has_pending_migrations: bool
    raw: JsonObject


def parse_self_check(data: object) -> NinjaSelfCheck:
    """Read the answer to a health check; what a version does not tell counts as well."""
    row = Row(data, "health check")
    raw: dict[str, Any] = row.raw
    queue = raw.get("queue_data")
    return NinjaSelfCheck(
        is_well=row.flag("system_health"),
        version=row.text("api_version"),
        mailer=row.text("mail_mailer"),
        pdf_engine=row.text("pdf_engine"),
        queue_error=str(queue.get("last_error") or "") if isinstance(queue, dict) else "",
        may_execute=raw.get("exec") is not False,
        has_pending_migrations=raw.get("pending_migrations") is True,
        raw=raw,
    )


class SelfCheck:
    """The part of the client that asks the server how it is."""

    _http: JsonClient

    def self_check(self) -> NinjaSelfCheck:
        """Return the server's health check; raises Forbidden on a hosted one, which tells nobody."""
        return self._http.read(self._http.call("GET", "/health_check"), parse_self_check)
