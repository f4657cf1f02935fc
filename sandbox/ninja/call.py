"""One API call as the handlers see it: who calls, what was sent, and what happens after the commit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.wrappers import Request

from sandbox.memory import Row
from sandbox.ninja.store import Store
from sandbox.ninja.values import is_on, trimmed


@dataclass
class Call:
    """`body` and `query` are what the server makes of the request: texts trimmed, empty ones null."""

    store: Store
    request: Request
    body: dict[str, Any]
    query: dict[str, Any]
    user: Row = field(default_factory=dict)
    after_commit: list[Callable[[], None]] = field(default_factory=list)

    def flag(self, name: str) -> bool:
        """Whether a flag is on in the query or the body."""
        return is_on(self.query.get(name)) or is_on(self.body.get(name))

    def value(self, name: str) -> Any:
        """A value from the body, else from the query."""
        return self.body.get(name) if name in self.body else self.query.get(name)

    def sent(self, *names: str) -> dict[str, Any]:
        """Those of these fields that the body has."""
        return {name: self.body[name] for name in names if name in self.body}

    def refuse_duplicate(self, what: str) -> None:
        """Raises Refusal where the same address asked for `what` within the last second."""
        key = f"{what} {self.request.remote_addr}"
        self.store.guard.refuse_duplicate(key, int(self.store.switch("duplicate_status", 400)))

    @property
    def base_url(self) -> str:
        """Where the caller reached the server, without a slash at the end."""
        return self.request.host_url.rstrip("/")

    def may(self, *permissions: str) -> bool:
        """Whether the caller is an administrator or has one of these permissions, e.g. `view_task`."""
        granted = str(self.user.get("_permissions", "")).split(",")
        return bool(self.user.get("_is_admin")) or any(name in granted for name in permissions)


def read_call(store: Store, request: Request) -> Call:
    """Reads a request as the server does: malformed JSON and JSON of another content type are an empty body."""
    body: Any = {}
    kind = request.mimetype
    if kind == "application/json":
        try:
            body = json.loads(request.get_data())
        except (ValueError, RecursionError):
            body = {}
    elif kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        body = _nested(request.form)
    cleaned = trimmed(body) if isinstance(body, dict) else {}
    return Call(store, request, cleaned, trimmed(request.args.to_dict()))


def _nested(form: ImmutableMultiDict[str, str]) -> dict[str, Any]:
    """Form fields, with `ids[]` as a list."""
    result: dict[str, Any] = {}
    for name in form:
        if name.endswith("[]"):
            result[name[:-2]] = form.getlist(name)
        else:
            result[name] = form[name]
    return result
