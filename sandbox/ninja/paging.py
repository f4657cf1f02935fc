"""Lists come in pages: 20 rows unless asked, 5,000 at most; the links forget everything but the page."""

from __future__ import annotations

from typing import Any

from sandbox.memory import Row
from sandbox.ninja.call import Call
from sandbox.ninja.values import as_number

DEFAULT, MODEL_DEFAULT, MOST = 20, 15, 5000


def page_size(call: Call) -> int:
    """Rows per page: 0 and what is no number give 15, absent 20."""
    sent = call.query.get("per_page")
    if sent is None:
        return DEFAULT
    return min(int(as_number(sent)), MOST) if as_number(sent) > 0 else MODEL_DEFAULT


def cut_page(call: Call, rows: list[Row], path: str) -> tuple[list[Row], dict[str, Any]]:
    """The asked page of the rows and its `meta`; a page beyond the end is empty, not an error."""
    size = page_size(call)
    page = max(1, int(as_number(call.query.get("page") or 1)))
    pages = max(1, -(-len(rows) // size))
    cut = rows[(page - 1) * size : page * size]
    links = {}
    if page > 1:
        links["previous"] = f"{call.base_url}/api/v1/{path}?page={page - 1}"
    if page < pages:
        links["next"] = f"{call.base_url}/api/v1/{path}?page={page + 1}"
    return cut, {"pagination": _pagination(len(rows), len(cut), size, page, pages, links)}


def whole_list(rows: list[Any]) -> dict[str, Any]:
    """The `meta` of a list that a bulk action answers."""
    return {"pagination": _pagination(len(rows), len(rows), DEFAULT, 1, 1, {})}


def _pagination(total: int, count: int, size: int, page: int, pages: int, links: dict[str, str]) -> dict[str, Any]:
    return {
        "total": total,
        "count": count,
        "per_page": size,
        "current_page": page,
        "total_pages": pages,
        "links": links,
    }
