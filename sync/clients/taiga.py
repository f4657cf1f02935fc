"""Taiga 6.10's REST API, as far as the console uses it.

Every method makes its calls and returns frozen rows, or raises an UpstreamError; none repeats a write.
Kinds are the letters of `billing_console.states.ItemKind`: T task, U user story, I issue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from billing_console.errors import (
    NotFound,
    Unauthorized,
)
from sync.clients.answers import Answer
from sync.clients.deadline import DeadlineAdapter
from sync.clients.http import DEADLINE_SECONDS, Journal, JsonClient, Limit, segment, unlimited
from sync.clients.skew import Clocked
from sync.clients.taiga_auth import Authorization
from sync.clients.taiga_csv import Wanted, read_csv
from sync.clients.taiga_errors import classify
from sync.clients.taiga_lists import UPSTREAM, Page, Query, count_of, has_next, read_all
from sync.clients.taiga_parse import (
    parse_custom_attribute,
    parse_history_entry,
    parse_item,
    parse_membership,
    parse_project,
    parse_session,
    parse_timeline_entry,
    parse_user,
    parse_values,
    parse_webhook,
    parse_webhook_log,
)
from sync.clients.taiga_rows import (
    AttributeValues,
    CustomAttribute,
    HistoryEntry,
    Membership,
    Session,
    TaigaId,
    TaigaItem,
    TaigaProject,
    TaigaUser,
    TimelineEntry,
    TimelinePage,
    Webhook,
    WebhookLog,
)
from sync.clients.wire import Row, ShapeError, as_list

Parsed = TypeVar("Parsed")

# One item: its description twice and its links; its values: texts that a person typed into a dozen boxes. A server may
# send eight at a time, and JSON of empty lists takes thirty times its length in memory.
MAX_ITEM_BYTES: Final = 4 * 1024 * 1024
MAX_VALUES_BYTES: Final = 1024 * 1024
PAGE_SIZE: Final = 200


class _Paths(NamedTuple):
    items: str
    attributes: str
    history: str
    csv_action: str


_PATHS: Final[Mapping[str, _Paths]] = {
    "T": _Paths("/tasks", "/task-custom-attributes", "/history/task", "regenerate_tasks_csv_uuid"),
    "U": _Paths(
        "/userstories", "/userstory-custom-attributes", "/history/userstory", "regenerate_userstories_csv_uuid"
    ),
    "I": _Paths("/issues", "/issue-custom-attributes", "/history/issue", "regenerate_issues_csv_uuid"),
}


def _paths(kind: str) -> _Paths:
    paths = _PATHS.get(str(kind))
    if paths is None:
        raise ValueError(f"{kind!r} is no kind of item")
    return paths


class TaigaClient(Clocked):
    """Calls one Taiga. `base_url` ends in /api/v1; without `authorization` only `log_in`, `refresh` and
    `csv_rows` work. For one thread at a time."""

    def __init__(
        self,
        base_url: str,
        *,
        authorization: Authorization | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
        journal: Journal | None = None,
        limit: Limit = unlimited,
        allow_http: bool = False,
        adapter: DeadlineAdapter | None = None,
        before_write: Callable[[], None] = lambda: None,
    ) -> None:
        self._authorization = authorization
        self._http = JsonClient(
            base_url,
            upstream=UPSTREAM,
            classify=classify,
            deadline_seconds=deadline_seconds,
            journal=journal,
            limit=limit,
            allow_http=allow_http,
            adapter=adapter,
            before_write=before_write,
        )

    def __repr__(self) -> str:
        return f"<TaigaClient {self._http.base_url}>"

    @property
    def base_url(self) -> str:
        """The address of the API without a trailing slash; part of what pins the server."""
        return self._http.base_url

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._http.close()

    # --- Logging in ---

    def log_in(self, username: str, password: str) -> Session:
        """Log in; raises Unauthorized for a wrong password, Throttled after too many tries."""
        body = {"type": "normal", "username": username, "password": password}
        return self._http.read(self._http.call("POST", "/auth", body=body, is_read=True), parse_session)

    def refresh(self, token: str) -> Session:
        """Exchange a refresh token for a new pair; the given one is dead afterwards."""
        answer = self._http.call("POST", "/auth/refresh", body={"refresh": token}, is_read=True)
        return self._http.read(answer, parse_session)

    def me(self) -> TaigaUser:
        """Return the user that the authorization belongs to."""
        return self._http.read(self._call("GET", "/users/me"), parse_user)

    # --- Projects ---

    def projects(self, member: TaigaId | None = None) -> list[TaigaProject]:
        """Return the projects that are visible, or those of one member."""
        query: dict[str, Any] = {} if member is None else {"member": member}
        return list(self._rows("/projects", query, parse_project, lambda row: row.id))

    def project(self, project_id: TaigaId) -> TaigaProject:
        """Return one project; raises NotFound where it does not exist or is not visible."""
        return self._http.read(self._call("GET", f"/projects/{segment(project_id)}"), parse_project)

    def memberships(self, project_id: TaigaId) -> list[Membership]:
        """Return everybody in a project, pending invitations included."""
        return list(self._rows("/memberships", {"project": project_id}, parse_membership, lambda row: row.id))

    def custom_attributes(self, kind: str, project_id: TaigaId) -> list[CustomAttribute]:
        """Return a project's custom attributes for one kind of item."""

        def parse(data: object) -> CustomAttribute:
            return parse_custom_attribute(data, kind)

        query = {"project": project_id}
        return list(self._rows(_paths(kind).attributes, query, parse, lambda row: row.id))

    def create_custom_attribute(
        self,
        kind: str,
        project_id: TaigaId,
        name: str,
        type: str,
        description: str = "",
        extra: Sequence[str] | None = None,
        order: int | None = None,
    ) -> CustomAttribute:
        """Make a custom attribute (`extra` are a dropdown's options); raises Rejected where the name is taken."""
        body: dict[str, Any] = {"project": project_id, "name": name, "type": type, "description": description}
        if extra is not None:
            body["extra"] = list(extra)
        if order is not None:
            body["order"] = order
        answer = self._call("POST", _paths(kind).attributes, body=body)
        return self._http.read(answer, lambda data: parse_custom_attribute(data, kind))

    # --- Items ---

    def item(self, kind: str, item_id: TaigaId) -> TaigaItem:
        """Return one item; raises NotFound where it is deleted or not visible."""
        answer = self._call("GET", f"{_paths(kind).items}/{segment(item_id)}", max_bytes=MAX_ITEM_BYTES)
        return self._http.read(answer, lambda data: parse_item(data, kind))

    def items(self, kind: str, project_id: TaigaId, **filters: str | int | bool) -> Iterator[TaigaItem]:
        """Yield a project's items page by page, each once.

        A filter that Taiga does not know is ignored there, so check what matters on the row; times need
        "Z". Raises ListChanged at the end if rows went missing while the pages were read.
        """
        query = {"project": project_id, **filters}
        return self._rows(_paths(kind).items, query, lambda data: parse_item(data, kind), lambda row: row.id)

    def values(self, kind: str, item_id: TaigaId) -> AttributeValues:
        """Return the attribute values of one item."""
        path = f"{_paths(kind).items}/custom-attributes-values/{segment(item_id)}"
        answer = self._call("GET", path, max_bytes=MAX_VALUES_BYTES)
        return self._http.read(answer, parse_values)

    def patch_values(self, kind: str, item_id: TaigaId, values: Mapping[str, object], version: int) -> AttributeValues:
        """Replace *all* attribute values of an item: what is left out is deleted.

        The version is no lock; an answer whose version is read + 1 proves that nobody wrote in between.
        An item without a user story may answer ServerFault although it was saved (outcome unknown).
        Raises ValueError for values that Taiga answers with an internal fault.
        """
        if not values:
            raise ValueError("Taiga refuses an empty set of values")
        for key, value in values.items():
            if not (key.isascii() and key.isdigit()):
                raise ValueError("attribute values are keyed by attribute id, not by name")
            if isinstance(value, str) and "\x00" in value:
                raise ValueError("Taiga cannot store a NUL character")
        path = f"{_paths(kind).items}/custom-attributes-values/{segment(item_id)}"
        body = {"attributes_values": dict(values), "version": version}
        return self._http.read(self._call("PATCH", path, body=body), parse_values)

    # --- What happened ---

    def timeline(self, project_id: TaigaId, page: int = 1, page_size: int = PAGE_SIZE) -> TimelinePage:
        """Return one page of a project's events, newest first; a page past the end is empty.

        Events come from all kinds of rows and include tasks without a user story and deletions.
        """
        query = {"page": page, "page_size": page_size}
        try:
            answer = self._call("GET", f"/timeline/project/{segment(project_id)}", query=query)
        except NotFound:
            if page == 1:
                raise
            return TimelinePage((), page, 0, has_next=False)

        def parse(data: object) -> tuple[TimelineEntry, ...]:
            return tuple(parse_timeline_entry(row) for row in as_list(data, "timeline"))

        entries = self._http.read(answer, parse)
        total = count_of(answer)
        return TimelinePage(entries, page, len(entries) if total is None else total, has_next(answer))

    def history(self, kind: str, item_id: TaigaId) -> Iterator[HistoryEntry]:
        """Yield an item's history, newest first; stop early and the older pages are not fetched."""
        path = f"{_paths(kind).history}/{segment(item_id)}"
        return self._rows(path, {}, parse_history_entry, lambda row: row.id, grows_in_front=True)

    def csv_rows(self, kind: str, uuid: str, wanted: Wanted = lambda name: True) -> list[dict[str, str]]:
        """Return all items of a kind of a project as text rows, without a login; raises NotFound for a wrong uuid.

        Of the columns whose names are `wanted`, and of a long cell only the beginning, as `read_csv` says.
        """
        path, query = f"{_paths(kind).items}/csv", {"uuid": uuid}
        try:
            answer = self._http.call(
                "GET", path, query=query, wants_json=False, reader=lambda chunks: read_csv(chunks, wanted)
            )
        except Unauthorized as refused:
            raise NotFound(UPSTREAM, refused.method, refused.path, status=refused.status) from None
        rows: list[dict[str, str]] = answer.data
        return rows

    def make_csv_uuid(self, kind: str, project_id: TaigaId) -> str:
        """Make a new CSV uuid (project admins only); an earlier one stops working."""
        answer = self._call("POST", f"/projects/{segment(project_id)}/{_paths(kind).csv_action}")

        def parse(data: object) -> str:
            uuid = Row(data, "csv").text("uuid")
            if not uuid:
                raise ShapeError("csv.uuid is missing")
            return uuid

        return self._http.read(answer, parse)

    # --- Webhooks ---

    def webhooks(self, project_id: TaigaId) -> list[Webhook]:
        """Return a project's webhooks; an empty list for who is no admin of it."""
        return list(self._rows("/webhooks", {"project": project_id}, parse_webhook, lambda row: row.id))

    def create_webhook(self, project_id: TaigaId, name: str, url: str, key: str) -> Webhook:
        """Make a webhook for every kind of event; raises Rejected for an address that Taiga does not allow."""
        body = {"project": project_id, "name": name, "url": url, "key": key}
        return self._http.read(self._call("POST", "/webhooks", body=body), parse_webhook)

    def test_webhook(self, webhook_id: TaigaId) -> WebhookLog:
        """Send a test delivery and return its log row; look at `status`, Taiga answers 200 either way."""
        answer = self._call("POST", f"/webhooks/{segment(webhook_id)}/test")
        return self._http.read(answer, parse_webhook_log)

    def webhook_logs(self, webhook_id: TaigaId) -> list[WebhookLog]:
        """Return the last deliveries of a webhook, newest first (Taiga keeps ten)."""
        query = {"webhook": webhook_id}
        return list(self._rows("/webhooklogs", query, parse_webhook_log, lambda row: row.id))

    # --- Inside ---

    def _call(self, method: str, path: str, **more: Any) -> Answer:
        if self._authorization is None:
            raise Unauthorized(UPSTREAM, method, path)
        value = self._authorization(None)
        try:
            return self._http.call(method, path, headers={"Authorization": value}, **more)
        except Unauthorized:
            # Refused before anything was done, so a second try with a new login repeats no write.
            renewed = self._authorization(value)
            if renewed == value:
                raise
        return self._http.call(method, path, headers={"Authorization": renewed}, **more)

    def _rows(
        self,
        path: str,
        query: Query,
        parse: Callable[[object], Parsed],
        key_of: Callable[[Parsed], object],
        *,
        grows_in_front: bool = False,
    ) -> Iterator[Parsed]:
        def read(number: int, size: int) -> Page[Parsed]:
            answer = self._call("GET", path, query={**query, "page": number, "page_size": size})
            rows = self._http.read(answer, lambda data: [parse(item) for item in as_list(data, "the list")])
            return Page(rows, count_of(answer) or 0, has_next(answer))

        return read_all(read, key_of, path, PAGE_SIZE, grows_in_front=grows_in_front)
