"""The scenario of the demo: one December of three projects, with its answers. Data only; `sandbox.player` plays it.

Amounts are EUR before tax, hours as the people typed them, times in UTC; the office works in Europe/Brussels.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

PASSWORD = "sandbox"
SERVICE_USER, SERVICE_PASSWORD = "billing", "sandbox-taiga-password"
NINJA_TOKEN = "sandbox-ninja-token"

BEGIN = datetime(2025, 11, 28, 9, 0, tzinfo=UTC)
APPROVAL = datetime(2026, 1, 2, 9, 0, tzinfo=UTC)
PAYMENT = datetime(2026, 1, 20, 10, 0, tzinfo=UTC)
LATE = datetime(2026, 2, 15, 9, 0, tzinfo=UTC)

BILLABLE, HOURS, RATE, STATUS = "Billable", "Duration (Hours)", "Hourly Rate", "Invoice Status"
ROLES = {"alice": "Senior Dev", "bob": "Mid Dev", "carol": "Junior Dev", "dan": "Designer", "eve": "PM"}
NAMES = {"alice": "Alice Adams", "bob": "Bob Brown", "carol": "Carol Clark", "dan": "Dan Davis", "eve": "Eve Evans"}


@dataclass(frozen=True)
class Project:
    """A Taiga project with its client and project at Invoice Ninja, and what December comes to."""

    taiga_id: int
    name: str
    client_id: str
    client_name: str
    email: str
    ninja_id: str
    default_rate: int
    net: Decimal
    tax: Decimal

    @property
    def gross(self) -> Decimal:
        """Net + tax, EUR."""
        return self.net + self.tax


WEBSITE = Project(
    1,
    "Website Redesign",
    "client_abc123",
    "Acme Corp",
    "billing@acme.example",
    "proj_web001",
    75,
    Decimal("615.00"),
    Decimal("129.15"),
)
MOBILE = Project(
    2,
    "Mobile App",
    "client_xyz789",
    "Beacon Mobile",
    "accounts@beacon.example",
    "proj_mobile002",
    85,
    Decimal("630.00"),
    Decimal("132.30"),
)
API = Project(
    3,
    "API Integration",
    "client_def456",
    "Cobalt Systems",
    "finance@cobalt.example",
    "proj_api003",
    95,
    Decimal("546.25"),
    Decimal("114.71"),
)
PROJECTS = (WEBSITE, MOBILE, API)


@dataclass(frozen=True)
class Work:
    """One task: what the people do, and what the console must make of it.

    `hours` is stored in Taiga exactly as it stands here. `expected` is the amount in EUR, None where nothing is
    billed in December; `outcome` is "invoiced", "unbilled", "held" or "not billable".
    """

    number: int
    project: Project
    subject: str
    who: str
    hours: Any
    closed: datetime
    expected: Decimal | None
    outcome: str = "invoiced"
    is_billable: bool = True
    rate: int | None = None
    has_story: bool = True
    hours_come_late: bool = False
    first_hours: Any = None
    first_closed: datetime | None = None

    @property
    def typed(self) -> dict[str, Any]:
        """The attribute values that the people leave behind, by attribute name."""
        values: dict[str, Any] = {BILLABLE: self.is_billable, HOURS: self.hours}
        return values if self.rate is None else {**values, RATE: self.rate}


def _december(day: int, hour: int = 15, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2025, 12, day, hour, minute, second, tzinfo=UTC)


WORK = (
    Work(1, WEBSITE, "Implement payment gateway", "alice", 4.5, _december(1, 14, 30), Decimal("427.50")),
    Work(2, WEBSITE, "Fix header", "carol", 0.1, _december(3), Decimal("12.50")),
    Work(3, WEBSITE, "Design review", "dan", "2,5", _december(5), Decimal("175.00")),
    Work(
        4,
        WEBSITE,
        "Internal meeting",
        "bob",
        2,
        _december(5, 16),
        None,
        outcome="not billable",
        is_billable=False,
    ),
    Work(5, WEBSITE, "Spike", "bob", "two hours", _december(8), None, outcome="held"),
    Work(6, MOBILE, "Push notifications", "bob", 2.1, _december(9), Decimal("168.75")),
    Work(7, MOBILE, "App icon", "", 1.05, _december(10), Decimal("106.25")),
    Work(8, MOBILE, "Login screen", "alice", 3, _december(11), Decimal("330.00"), rate=110),
    Work(9, MOBILE, "Store listing", "carol", 0.35, _december(12), Decimal("25.00"), has_story=False),
    Work(10, API, "Webhook receiver", "eve", 2.6, _december(15), Decimal("233.75"), hours_come_late=True),
    Work(11, API, "Rate limits", "bob", 1, _december(31, 22, 59, 59), Decimal("75.00")),
    Work(12, API, "Cutover", "bob", 1, _december(31, 23), Decimal("75.00"), outcome="unbilled"),
    Work(
        13,
        API,
        "Load test",
        "alice",
        2.3,
        _december(18),
        Decimal("237.50"),
        first_hours=2.1,
        first_closed=_december(16),
    ),
)
INVOICED = tuple(work for work in WORK if work.outcome == "invoiced")
PUSHED = tuple(work for work in WORK if work.outcome in ("invoiced", "unbilled"))
PAID_IN_FULL, PAID_PARTLY, PARTLY = WEBSITE, MOBILE, Decimal("300.00")


def taiga_seed(webhook_url: str, webhook_key: str) -> dict[str, Any]:
    """Users, projects, attributes and hooks as an office would have set them up by hand."""
    people = [{"username": name, "full_name": NAMES[name], "password": PASSWORD} for name in NAMES]
    service = {"username": SERVICE_USER, "full_name": "Billing Console", "password": SERVICE_PASSWORD}
    owner = {"username": "owner", "full_name": "Olga Owner", "password": PASSWORD}
    attributes: list[dict[str, Any]] = [
        {"name": BILLABLE, "type": "checkbox", "description": "Mark if this task should be invoiced"},
        {"name": HOURS, "type": "number", "description": "Time spent on this task in hours"},
        {"name": RATE, "type": "number", "description": "Billing rate for this task (overrides default)"},
        {"name": "Client Invoice ID", "type": "text", "description": "InvoiceNinja client ID for billing"},
        {
            "name": STATUS,
            "type": "dropdown",
            "description": "Current invoice status",
            "extra": ["Not Billable", "Pending Invoice", "Invoiced"],
        },
    ]
    return {
        "users": [owner, service, *people],
        "projects": [
            {
                "id": project.taiga_id,
                "name": project.name,
                "owner": "owner",
                "roles": sorted(set(ROLES.values())),
                "members": [
                    {"username": SERVICE_USER, "role": "Back", "is_admin": True},
                    *({"username": name, "role": role} for name, role in ROLES.items()),
                ],
                "attributes": [{"kind": "task", **attribute} for attribute in attributes],
                "webhooks": [{"name": "InvoiceNinja Sync", "url": webhook_url, "key": webhook_key}],
                "stories": [{"subject": f"{project.name}, December"}],
            }
            for project in PROJECTS
        ],
    }


def ninja_seed() -> dict[str, Any]:
    """The company, its clients with one contact each, and their projects, under the ids of the guide."""
    return {
        "company": {"name": "Dix30 Studio", "currency": "EUR", "timezone": "Europe/Brussels"},
        "tokens": [{"token": NINJA_TOKEN}],
        "clients": [
            {
                "id": project.client_id,
                "name": project.client_name,
                "currency": "EUR",
                "contacts": [{"first_name": "Accounts", "last_name": "Payable", "email": project.email}],
            }
            for project in PROJECTS
        ],
        "projects": [
            {"id": project.ninja_id, "client_id": project.client_id, "name": project.name} for project in PROJECTS
        ],
        "tax_rates": [{"name": "VAT", "rate": 21}],
        "products": [{"product_key": "Consulting", "price": 75, "notes": "Consulting"}],
    }
