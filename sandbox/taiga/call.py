"""One call of the API as its handlers see it, what they answer, and paging."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from werkzeug.wrappers import Request

from sandbox.memory import Row
from sandbox.taiga.errors import ApiError, blocked, denied, not_authenticated
from sandbox.taiga.store import Store

MAX_PAGE_SIZE = 1000
PAGE_SIZE = 30


@dataclass(frozen=True)
class Event:
    """Something webhooks tell: an item's own columns as they were, and the history entry of a change."""

    project: int
    type: str
    action: str
    by: int | None
    date: str
    row: Row
    entry: Row | None = None


@dataclass
class Result:
    """A handler's answer; `later` runs after the commit and answers instead (for what calls other servers)."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    later: Callable[[], Result] | None = None


@dataclass
class Call:
    """A request, who it is from, its JSON and the events it causes."""

    store: Store
    request: Request
    user: Row | None
    data: dict[str, Any]
    events: list[Event] = field(default_factory=list)

    def signed_in(self) -> Row:
        """The user; raises ApiError 401 for nobody."""
        if self.user is None:
            raise not_authenticated()
        return self.user

    def permissions(self, project: Row) -> set[str]:
        """What the user may do in a project; nothing for a stranger."""
        if self.user is None:
            return set()
        membership = self.store.membership(self.user["id"], project["id"])
        if self.user["is_superuser"] or (membership is not None and membership["is_admin"]):
            return {"*"}
        role = self.store.roles.get(membership["role"]) if membership is not None else None
        return set(role["permissions"]) if role is not None else set()

    def may(self, permission: str, project: Row) -> bool:
        """Whether the user has a permission in a project."""
        held = self.permissions(project)
        return "*" in held or permission in held

    def is_admin(self, project: Row) -> bool:
        """Whether the user administers a project."""
        return "*" in self.permissions(project)

    def require(self, permission: str, project: Row) -> None:
        """Raises ApiError 401 for nobody, 403 for somebody who may not."""
        if not self.may(permission, project):
            if self.user is None:
                raise not_authenticated()
            raise denied()

    def require_admin(self, project: Row) -> None:
        """Raises ApiError 401 for nobody, 403 for a user who does not administer the project."""
        if not self.is_admin(project):
            if self.user is None:
                raise not_authenticated()
            raise denied()

    def require_open(self, project: Row) -> None:
        """Raises ApiError 451 where the project is blocked, 403 where it is archived."""
        if project["blocked_code"] is not None:
            raise blocked()
        if project["archived_code"] is not None:
            raise denied("Archived element")

    def paginate(self, rows: Sequence[Any], show: Callable[[Any], Any] = lambda row: row) -> Result:
        """A page of rows with Taiga's headers; everything and no headers with `x-disable-pagination`."""
        if "x-disable-pagination" in self.request.headers:
            return Result(200, [show(row) for row in rows])
        size = _page_size(self.request.args.get("page_size", ""))
        pages = max(1, -(-len(rows) // size))
        wanted = self.request.args.get("page", "1")
        page = pages if wanted == "last" else int(wanted) if wanted.isdigit() else 0
        if not 1 <= page <= pages:
            raise ApiError(404, {"_error_message": "Page is not 'last', nor can it be converted to an int."})
        headers = {"x-paginated": "true", "x-paginated-by": str(size), "x-pagination-current": str(page)}
        if "x-lazy-pagination" not in self.request.headers:
            headers["x-pagination-count"] = str(len(rows))
        if page < pages:
            headers["X-Pagination-Next"] = self._page_url(page + 1)
        if page > 1:
            headers["X-Pagination-Prev"] = self._page_url(page - 1)
        return Result(200, [show(row) for row in rows[(page - 1) * size : page * size]], headers)

    def _page_url(self, page: int) -> str:
        pairs = [(name, value) for name, value in self.request.args.items(multi=True) if name != "page"]
        names = [name for name, _ in self.request.args.items(multi=True)]
        pairs.insert(names.index("page") if "page" in names else len(pairs), ("page", str(page)))
        return f"{self.request.base_url}?{urlencode(pairs)}"


def _page_size(text: str) -> int:
    size = int(text) if text.isdigit() else PAGE_SIZE
    return min(size or PAGE_SIZE, MAX_PAGE_SIZE)
