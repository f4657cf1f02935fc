"""Invoice Ninja v5's REST API, as far as the console uses it.

Every method makes its calls and returns frozen rows, or raises an UpstreamError; none repeats a write.
What the server would do silently to a careless body (wipe, renumber, list everything) is refused here with
a ValueError before anything is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final, TypeVar

from billing_console.errors import NotFound
from sync.clients.deadline import DeadlineAdapter
from sync.clients.http import DEADLINE_SECONDS, Journal, JsonClient, Limit, segment, unlimited
from sync.clients.ninja_activities import Activities
from sync.clients.ninja_checks import check_credit, check_invoice, check_invoice_update, check_task, check_task_update
from sync.clients.ninja_company import SelfCheck
from sync.clients.ninja_errors import classify
from sync.clients.ninja_lists import Identified, list_all, list_updated_since, row_of, rows_of
from sync.clients.ninja_parse import (
    parse_client,
    parse_company,
    parse_currencies,
    parse_payment,
    parse_pdf,
    parse_ping,
    parse_product,
    parse_project,
    parse_task,
    parse_tax_rate,
)
from sync.clients.ninja_parse_invoices import parse_credit, parse_invoice
from sync.clients.ninja_rows import (
    NinjaClient,
    NinjaCompany,
    NinjaCredit,
    NinjaCurrency,
    NinjaId,
    NinjaInvoice,
    NinjaPayment,
    NinjaPing,
    NinjaProduct,
    NinjaProject,
    NinjaTask,
    NinjaTaxRate,
)
from sync.clients.skew import Clocked

UPSTREAM: Final = "invoice_ninja"
Parsed = TypeVar("Parsed")
Listed = TypeVar("Listed", bound=Identified)
Body = Mapping[str, object]


class InvoiceNinjaClient(Activities, SelfCheck, Clocked):
    """Calls one Invoice Ninja. `base_url` ends in /api/v1. For one thread at a time.

    Raises ConfigError for an address or a token that cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        journal: Journal | None = None,
        limit: Limit = unlimited,
        allow_http: bool = False,
        adapter: DeadlineAdapter | None = None,
        before_write: Callable[[], None] = lambda: None,
    ) -> None:
        self._http = JsonClient(
            base_url,
            upstream=UPSTREAM,
            classify=classify,
            headers={"X-API-TOKEN": token.strip()},
            deadline_seconds=deadline_seconds,
            journal=journal,
            limit=limit,
            allow_http=allow_http,
            adapter=adapter,
            before_write=before_write,
        )

    def __repr__(self) -> str:
        return f"<InvoiceNinjaClient {self._http.base_url}>"

    @property
    def base_url(self) -> str:
        """The address of the API without a trailing slash; with `company_key` it pins the server."""
        return self._http.base_url

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._http.close()

    def slot(self) -> AbstractContextManager[None]:
        """Hold the permission to make the next call, which is made inside. Raises Busy; nothing was called then."""
        return self._http.slot()

    # --- The installation ---

    def ping(self) -> NinjaPing:
        """Say whom the token belongs to; raises Unauthorized for a bad token."""
        answer = self._http.call("GET", "/ping")
        return self._http.read(answer, lambda data: parse_ping(data, answer.headers.get("X-APP-VERSION", "")))

    def company(self) -> NinjaCompany:
        """Return the company that the token belongs to; raises ServerFault for who is no admin of it."""
        answer = self._http.call("GET", "/companies")
        companies = self._http.read(answer, lambda data: [parse_company(row) for row in rows_of(data)])
        if len(companies) == 1:
            return companies[0]
        # An owner of several companies sees them all; this route names the token's own.
        answer = self._http.call("POST", "/companies/current", is_read=True)
        return self._http.read(answer, lambda data: parse_company(row_of(data)))

    def currencies(self) -> list[NinjaCurrency]:
        """Return all currencies that the server knows."""
        return self._http.read(self._http.call("GET", "/statics"), parse_currencies)

    # --- What tasks and invoices refer to ---

    def clients(self, status: str = "active") -> list[NinjaClient]:
        """Return the clients: `status` is active, archived, deleted or several with commas between."""
        return list_all(self._http, "/clients", {"status": status}, parse_client)

    def client(self, client_id: NinjaId) -> NinjaClient:
        """Return one client, also an archived or deleted one."""
        return self._get(f"/clients/{segment(client_id)}", parse_client)

    def projects(self, client_id: NinjaId | None = None, status: str = "active") -> list[NinjaProject]:
        """Return the projects, of one client or of all."""
        query = {"status": status} | ({} if client_id is None else {"client_id": client_id})
        rows = list_all(self._http, "/projects", query, parse_project)
        return [row for row in rows if client_id is None or row.client_id == client_id]

    def products(self, status: str = "active") -> list[NinjaProduct]:
        """Return the products of the price list."""
        return list_all(self._http, "/products", {"status": status}, parse_product)

    def tax_rates(self, status: str = "active") -> list[NinjaTaxRate]:
        """Return the tax rates, in percent."""
        return list_all(self._http, "/tax_rates", {"status": status}, parse_tax_rate)

    # --- Tasks ---

    def find_tasks(self, number: str) -> list[NinjaTask]:
        """Return the tasks whose number is exactly `number`, archived and deleted ones included (`is_deleted`).

        The server's comparison ignores case, accents and trailing spaces, ours does not.
        """
        _require("number", number)
        return [row for row in list_all(self._http, "/tasks", {"number": number}, parse_task) if row.number == number]

    def task(self, task_id: NinjaId) -> NinjaTask:
        """Return one task, also an archived or deleted one; raises NotFound."""
        return self._get(f"/tasks/{segment(task_id)}", parse_task)

    def tasks(
        self,
        client_id: NinjaId | None = None,
        project_id: NinjaId | None = None,
        *,
        status: str = "active",
        is_uninvoiced_only: bool = False,
    ) -> list[NinjaTask]:
        """Return tasks, of one client or project or of all."""
        query: dict[str, str] = {"status": status}
        if client_id is not None:
            query["client_id"] = client_id
        if project_id is not None:
            query["project_tasks"] = project_id
        if is_uninvoiced_only:
            query["client_status"] = "uninvoiced"
        return [
            row
            for row in list_all(self._http, "/tasks", query, parse_task)
            if (client_id is None or row.client_id == client_id)
            and (project_id is None or row.project_id == project_id)
            and not (is_uninvoiced_only and row.invoice_id)
        ]

    def create_task(self, body: Body) -> NinjaTask:
        """Make a task. The answer repeats what was sent, not what is stored: read it back.

        Raises Rejected (field `number`) if the number is taken; in a race the server may answer ServerFault
        instead. Raises ValueError without a number that fits, or a time_log that is text.
        """
        check_task(body)
        return self._write("POST", "/tasks", body, parse_task)

    def update_task(self, task_id: NinjaId, body: Body) -> NinjaTask:
        """Change a task; raises ValueError without `time_log` and `number`, which the server would wipe."""
        check_task_update(body)
        return self._write("PUT", f"/tasks/{segment(task_id)}", body, parse_task)

    def archive_task(self, task_id: NinjaId) -> NinjaTask:
        """Archive a task; raises NotFound for an id that the server skips."""
        return self._bulk("/tasks/bulk", {"action": "archive", "ids": [task_id]}, parse_task)

    def restore_task(self, task_id: NinjaId) -> NinjaTask:
        """Bring back an archived or deleted task; raises NotFound for an id that the server skips."""
        return self._bulk("/tasks/bulk", {"action": "restore", "ids": [task_id]}, parse_task)

    # --- Invoices ---

    def find_invoices(self, key: str) -> list[NinjaInvoice]:
        """Return the invoices whose private notes hold exactly `key`, archived and deleted ones included.

        The server's filter also finds longer and differently spelled keys; ours does not.
        """
        _require("key", key)
        rows = list_all(self._http, "/invoices", {"private_notes": key}, parse_invoice)
        return [row for row in rows if key in row.private_notes]

    def invoice(self, invoice_id: NinjaId) -> NinjaInvoice:
        """Return one invoice, also an archived or deleted one; raises NotFound."""
        return self._get(f"/invoices/{segment(invoice_id)}", parse_invoice)

    def create_invoice(self, body: Body) -> NinjaInvoice:
        """Make a draft. Every line's `task_id` takes that task over, from another invoice too.

        Raises ValueError for dates that are not YYYY-MM-DD, which the server would store as year -1.
        """
        check_invoice(body)
        return self._write("POST", "/invoices", body, parse_invoice)

    def update_invoice(self, invoice_id: NinjaId, body: Body) -> NinjaInvoice:
        """Change an invoice; raises ValueError unless the body is complete (all lines, date, due date).

        Takes its lines' tasks back from other invoices.
        """
        check_invoice_update(body)
        return self._write("PUT", f"/invoices/{segment(invoice_id)}", body, parse_invoice)

    def set_invitations(self, invoice_id: NinjaId, contacts: Sequence[NinjaId]) -> NinjaInvoice:
        """Let exactly these contacts of its client be mailed an invoice; the others' links end.

        Raises ValueError without a contact: an empty list makes the server choose, and it forgets people.
        """
        if not contacts or len(set(contacts)) != len(contacts):
            raise ValueError("invitations need each contact once, and at least one")
        body = {"invitations": [{"client_contact_id": contact} for contact in contacts]}
        return self._write("PUT", f"/invoices/{segment(invoice_id)}", body, parse_invoice)

    def delete_invoice(self, invoice_id: NinjaId) -> NinjaInvoice:
        """Delete an invoice: its tasks are free again and its number ends in "_Deleted"."""
        return self._bulk_invoice(invoice_id, "delete")

    def cancel_invoice(self, invoice_id: NinjaId) -> NinjaInvoice:
        """Cancel a sent invoice (its tasks stay linked); on a draft the server answers 200 and does nothing."""
        return self._bulk_invoice(invoice_id, "cancel")

    def mark_invoice_sent(self, invoice_id: NinjaId) -> NinjaInvoice:
        """Mark a draft as sent without a mail."""
        return self._bulk_invoice(invoice_id, "mark_sent")

    def send_email(
        self, invoice_id: NinjaId, template: str = "email_template_invoice", *, subject: str = "", text: str = ""
    ) -> NinjaInvoice:
        """Ask for a mail with a template or a subject and text of one's own; marks a draft as sent.

        Any number at once: the bulk action for mails refuses whatever comes within a second of another (recordings 623
        to 630, 667 to 672). The answer proves nothing (see `invoicing.mail_proof`).
        """
        _require("invoice_id", invoice_id)
        body = {"entity": "invoice", "entity_id": invoice_id, "template": template}
        if subject:
            body["subject"] = subject
        if text:
            body["body"] = text
        return self._write("POST", "/emails", body, parse_invoice)

    def invoice_pdf(self, invitation_key: str) -> bytes:
        """Return an invoice's PDF as one contact gets it; raises NoPdfEngine where the server can make none."""
        path = f"/invoice/{segment(invitation_key)}/download"
        answer = self._http.call("GET", path, wants_json=False, shown="/invoice/…/download")
        return self._http.read(answer, lambda _data: parse_pdf(answer.raw))

    def invoices_updated_since(self, since: datetime | None) -> Iterator[NinjaInvoice]:
        """Yield the invoices changed at or after `since` (aware; None is all), oldest change first.

        An invoice that changes while it is listed comes again.
        """
        return list_updated_since(self._http, "/invoices", since, parse_invoice)

    # --- Payments and credits ---

    def payments_updated_since(self, since: datetime | None) -> Iterator[NinjaPayment]:
        """Yield the payments changed at or after `since` (aware; None is all), oldest change first."""
        return list_updated_since(self._http, "/payments", since, parse_payment)

    def create_payment(self, body: Body) -> NinjaPayment:
        """Record a payment or apply credits to invoices; raises DuplicateRequest for an equal one within 1 s.

        A credit that has no balance left is refused by the server (Rejected).
        """
        _require("client_id", body.get("client_id"))
        return self._write("POST", "/payments", body, parse_payment)

    def create_credit(self, body: Body) -> NinjaCredit:
        """Make a draft credit; raises ValueError without a client or for dates that are not YYYY-MM-DD."""
        check_credit(body)
        return self._write("POST", "/credits", body, parse_credit)

    def credits(self, client_id: NinjaId, status: str = "active") -> list[NinjaCredit]:
        """Return a client's credits; our key has to be compared on each row, the server cannot search it."""
        rows = list_all(self._http, "/credits", {"client_id": client_id, "status": status}, parse_credit)
        return [row for row in rows if row.client_id == client_id]

    def credit(self, credit_id: NinjaId) -> NinjaCredit:
        """Return one credit, also a deleted one; raises NotFound."""
        return self._get(f"/credits/{segment(credit_id)}", parse_credit)

    def delete_credit(self, credit_id: NinjaId) -> NinjaCredit:
        """Delete a credit: its rest goes with it, what it paid stays paid (recordings 1257, 1261)."""
        return self._bulk("/credits/bulk", {"action": "delete", "ids": [credit_id]}, parse_credit)

    def open_credits(self) -> list[NinjaCredit]:
        """Return all clients' credits that are sent and have a rest; drafts are not among them (recording 1254)."""
        return list_all(self._http, "/credits", {"applicable": "true", "status": "active"}, parse_credit)

    # --- Inside ---

    def _get(self, path: str, parse: Callable[[object], Parsed]) -> Parsed:
        return self._http.read(self._http.call("GET", path), lambda data: parse(row_of(data)))

    def _write(self, method: str, path: str, body: Body, parse: Callable[[object], Parsed]) -> Parsed:
        answer = self._http.call(method, path, body=dict(body))
        return self._http.read(answer, lambda data: parse(row_of(data)))

    def _bulk_invoice(self, invoice_id: NinjaId, action: str) -> NinjaInvoice:
        # One at a time: from 5.10.42 on the server refuses an action within a second of the same one, on any invoice.
        body = {"action": action, "ids": [invoice_id]}
        return self._bulk("/invoices/bulk", body, parse_invoice, turn=action)

    def _bulk(self, path: str, body: dict[str, Any], parse: Callable[[object], Listed], *, turn: str = "") -> Listed:
        """Do one action on one row; raises NotFound where the server skipped the id and answered 200."""
        wanted = body["ids"][0]
        _require("id", wanted)
        shown = f"{path} ({body['action']})"
        answer = self._http.call("POST", path, body=body, shown=shown, turn=turn and shown)
        # Without a hit an invoice action answers only a message.
        has_rows = isinstance(answer.data, dict) and "data" in answer.data
        rows = self._http.read(answer, lambda data: [parse(row) for row in rows_of(data)]) if has_rows else []
        for row in rows:
            if row.id == wanted:
                return row
        raise NotFound(UPSTREAM, "POST", path, status=answer.status, is_read=False)


def _require(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} is missing")
