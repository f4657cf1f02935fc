"""Puts a stand-in into the state that the real server had before a recorded exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.ninja.app import InvoiceNinja
from sandbox.ninja.clients import EMPTY as CLIENT
from sandbox.ninja.clients import MODEL_SETTINGS
from sandbox.ninja.data import currency_ids, time_zones
from sandbox.ninja.invoices import EMPTY as INVOICE
from sandbox.ninja.store import row_number
from sandbox.ninja.tasks import EMPTY as TASK
from sandbox.ninja.time_log import seconds_in
from tests.contract.invoice_ninja.recording import Recording, Tables, known_before, recordings, rows_in, together
from tests.contract.invoice_ninja.sending import TOKEN, post, send

OWNER = "VolejRejNm"
SECOND_USER = "Wpmbk5ezJn"
INSTALLED = (16, 26, 27)  # the company, the task statuses and the owner, as the installer made them
NEWER_SERVER = 601  # from here on 5.10.42 was recorded
Arrange = Callable[[InvoiceNinja], None]
TASK_DEFAULTS = {key: value for key, value in TASK.items() if key.startswith("_")}


def before(
    number: int,
    *,
    also: tuple[int, ...] = (),
    but: dict[str, tuple[str, ...]] | None = None,
    rows: Tables | None = None,
    settings: dict[str, Any] | None = None,
    company: dict[str, Any] | None = None,
    switches: dict[str, Any] | None = None,
    permissions: str | None = None,
    replay: tuple[int, ...] = (),
    then: Arrange | None = None,
) -> Arrange:
    """The state before exchange `number`: what earlier ones showed, what `also` shows (later ones that tell what was
    not recorded at the time), without the ids in `but`, with `rows`; company settings and fields; switches.

    permissions: the caller is not an administrator but has these. replay: the state is that before the first of these
    exchanges, and they are sent again, so that the case sees their effect. then: anything else.
    """

    def arrange(ninja: InvoiceNinja) -> None:
        store = ninja.store
        ninja.clock.set(recordings()[number].at)
        tables = {table: dict(known) for table, known in known_before(replay[0] if replay else number).items()}
        for other in INSTALLED:
            for table, found in rows_in(recordings()[other]).items():
                tables[table] = {**found, **tables.get(table, {})}
        for other in also:
            for table, found in rows_in(recordings()[other]).items():
                tables[table] = together(tables.get(table, {}), found)
        for table, found in (rows or {}).items():
            tables.setdefault(table, {}).update(found)
        for table, ids in (but or {}).items():
            for row_id in ids:
                tables.get(table, {}).pop(row_id, None)
        with ninja.memory.transaction():
            _adopt(ninja, tables)
            current = store.company()
            store.save(
                "companies", current["id"], settings={**current["settings"], **(settings or {})}, **(company or {})
            )
            said = {"version": recordings()[number].version} if number >= NEWER_SERVER else {}
            for name, value in {**said, **(switches or {})}.items():
                store.set_switch(name, value)
            _give_token(ninja, permissions)
        if then is not None:
            then(ninja)
        for earlier in replay:
            _send_again(ninja, recordings()[earlier])
        ninja.clock.set(recordings()[number].at)

    return arrange


def next_number(table: str, number: int) -> Callable[[InvoiceNinja], None]:
    """The next row of the table that is made without a number gets this one."""

    def step(ninja: InvoiceNinja) -> None:
        counters = ninja.store["counters"]
        with ninja.memory.transaction():
            if counters.get(table) is None:
                counters.insert({"value": 0}, table)
            counters.update(table, value=number - 1)

    return step


def newer(number: int, settings: dict[str, Any] | None = None, **more: Any) -> Arrange:
    """The same on 5.10.42: its company, which no exchange shows, is in Germany and in EUR."""
    zone = next(key for key, name in time_zones().items() if name == "Europe/Berlin")
    own = {"currency_id": currency_ids()["EUR"], "country_id": "276", "timezone_id": zone}
    return before(number, settings={**own, **(settings or {})}, **more)


def expect_id(ninja: InvoiceNinja, recording: Recording) -> None:
    """What this request makes gets the recorded id."""
    made = recording.answer.get("data") if isinstance(recording.answer, dict) else None
    table = ninja.store.tables.get(recording.table)
    if recording.method != "POST" or not isinstance(made, dict) or "id" not in made or table is None:
        return
    if table.get(made["id"]) is None:
        table.last_id = (row_number(made["id"]) or 1) - 1
        for contact in made.get("contacts", [])[:1]:
            ninja.store["contacts"].last_id = (row_number(contact["id"]) or 1) - 1


def make(ninja: InvoiceNinja, table: str, row_id: str, body: dict[str, Any], flags: str = "") -> None:
    """What somebody made that was not recorded, with the id that later exchanges name."""
    ninja.store.guard.clear()
    ninja.store.tables[table].last_id = (row_number(row_id) or 1) - 1
    post(ninja, f"/{table}{flags}", body)
    assert ninja.store[table].get(row_id) is not None


def _send_again(ninja: InvoiceNinja, recording: Recording) -> None:
    """Sends an earlier request; what it makes gets the recorded id."""
    ninja.clock.set(recording.at)
    ninja.store.guard.clear()
    expect_id(ninja, recording)
    response = send(ninja, recording)
    assert response.status_code == recording.status, response.get_data()
    ninja.store.guard.clear()


def _adopt(ninja: InvoiceNinja, tables: Tables) -> None:
    store = ninja.store
    worked: dict[str, int] = {}
    for task in tables.get("tasks", {}).values():
        if not task["is_deleted"]:
            worked[task["project_id"]] = worked.get(task["project_id"], 0) + seconds_in(task["time_log"])
    for table, known in tables.items():
        if table not in store.tables or table == "tokens":
            continue
        for row in known.values():
            fields = dict(row)
            if table == "tasks":
                fields = {**TASK_DEFAULTS, "_seconds": seconds_in(row["time_log"]), **fields}
            if table == "projects":
                fields["_seconds"] = worked.get(row["id"], 0)
            if table == "invoices":
                fields.setdefault("_taken", [])
            if table == "users":
                fields |= {"_is_admin": row["id"] == OWNER, "_permissions": ""}
            store.adopt(table, fields)


def _give_token(ninja: InvoiceNinja, permissions: str | None) -> None:
    store = ninja.store
    user_id = OWNER
    if permissions is not None:
        user_id = SECOND_USER
        store.save("users", user_id, _is_admin=False, _permissions=permissions)
    store.insert("tokens", {"token": TOKEN, "user_id": user_id, "name": "recorded", "is_system": False}, "RecordedTok")


def a_client(row_id: str, **fields: Any) -> Tables:
    """A client that was there but never shown."""
    contact = {
        **dict.fromkeys(("first_name", "last_name", "phone", "contact_key", "password", "link"), ""),
        "id": row_id,
        "email": "unseen@lab.test",
        "send_email": True,
        "is_primary": True,
        "is_locked": False,
        **{f"custom_value{n}": "" for n in (1, 2, 3, 4)},
        "created_at": 0,
        "updated_at": 0,
        "archived_at": 0,
        "last_login": 0,
    }
    row = {**CLIENT, "id": row_id, "name": "Unseen", "contacts": [contact]}
    row["settings"] = {**MODEL_SETTINGS, "currency_id": "1"}
    return {"clients": {row_id: {**row, **_life(), "user_id": OWNER, **fields}}}


def a_task(row_id: str, **fields: Any) -> Tables:
    """A task that was there but never shown."""
    return {"tasks": {row_id: {**TASK, "id": row_id, "number": f"unseen-{row_id}", **_life(), **fields}}}


def an_invoice(row_id: str, **fields: Any) -> Tables:
    """An invoice that was there but never shown."""
    return {"invoices": {row_id: {**INVOICE, "id": row_id, "number": f"unseen-{row_id}", **_life(), **fields}}}


def merged(*tables: Tables) -> Tables:
    """Several of these together."""
    result: Tables = {}
    for one in tables:
        for table, rows in one.items():
            result.setdefault(table, {}).update(rows)
    return result


def _life() -> dict[str, Any]:
    return {"created_at": 1, "updated_at": 1, "archived_at": 0, "is_deleted": False}
