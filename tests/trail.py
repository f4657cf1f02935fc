"""The moment at which an arrow of a row is written and not yet committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Told = Callable[[str, str, str], None]


def watcher(told: Told) -> Callable[..., Any]:
    """A wrapper for a connection's statements that calls `told(model, from, to)` after each arrow that was recorded."""

    def watch(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        result = execute(sql, params, many, context)
        if isinstance(params, dict) and "from_state" in params and "INSERT INTO sync_transition" in sql:
            told(params["model"], params["from_state"], params["to_state"])
        return result

    return watch
