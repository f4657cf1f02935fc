"""The moment at which an arrow of a row is written and not yet committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction

from sync.models import Transition

Told = Callable[[str, str, str], None]


def watcher(told: Told) -> Callable[..., Any]:
    """A wrapper for a connection's statements that calls `told(model, from, to)` after each arrow that was recorded."""

    def watch(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if not (isinstance(params, dict) and "to_state" in params and "INSERT INTO sync_transition" in sql):
            return execute(sql, params, many, context)
        with transaction.atomic(savepoint=False):  # a move outside any transaction is committed as it is written
            result = execute(sql, params, many, context)
            if context["cursor"].rowcount:  # none where another moved the row first
                told(*Transition.objects.order_by("-id").values_list("model", "from_state", "to_state")[0])
        return result

    return watch
