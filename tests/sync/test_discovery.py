"""Clients, projects, people and roles as both servers have them; what changed reaches who priced by it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from billing_console import money
from billing_console.states import EntryState, Reason
from mappings import hooks
from mappings.models import Client, Company, Membership, NinjaProject, Person, Product, ProjectMapping, Rate, Role
from sandbox.ninja.data import currencies
from sync import discovery, upstreams
from sync.models import Heartbeat, TimeEntry, UpstreamCall
from tests.standins import World

pytestmark = pytest.mark.django_db


def test_clients_and_projects_are_cached_as_they_are(world: World) -> None:
    discovery.refresh_invoice_ninja()
    acme = Client.objects.get(ninja_id="client_abc123")
    assert acme.pk == world.client.pk
    assert (acme.is_known, acme.is_archived, acme.is_deleted, acme.currency) == (True, False, False, "EUR")
    assert acme.emails() == world.client.emails()
    assert Client.objects.filter(is_known=True).count() == 3
    assert acme.currency_decimals == 2
    project = NinjaProject.objects.get(ninja_id="proj_mobile002")
    assert (project.client.ninja_id, project.is_known) == ("client_xyz789", True)
    assert Company.current().name
    assert Heartbeat.objects.filter(name="invoice_ninja").exists()


def test_whether_totals_are_rounded_to_five_cents_is_the_clients_setting_or_else_the_companys(world: World) -> None:
    def rounded() -> list[str]:
        discovery.refresh_invoice_ninja()
        return sorted(Client.objects.filter(rounds_to_five_cents=True).values_list("ninja_id", flat=True))

    assert rounded() == []
    company = world.api_ninja("GET", "/companies")["data"][0]
    world.api_ninja("PUT", f"/companies/{company['id']}", {"settings": {"enable_rappen_rounding": True}})
    own = world.api_ninja("GET", "/clients/client_abc123")["data"]["settings"]
    world.api_ninja("PUT", "/clients/client_abc123", {"settings": {**own, "enable_rappen_rounding": False}})
    assert rounded() == ["client_def456", "client_xyz789"]


def test_products_and_the_companys_tax_are_cached_and_nobody_is_priced_again(
    world: World, django_capture_on_commit_callbacks: object
) -> None:
    company = world.api_ninja("GET", "/companies")["data"][0]
    world.api_ninja("POST", "/products", {"product_key": "Advice", "notes": "By the hour"})
    discovery.refresh_invoice_ninja()
    assert list(Product.objects.values_list("product_key", "is_known")) == [("Advice", True), ("Consulting", True)]
    assert (Company.current().tax_name, Company.current().tax_rate) == ("", None)
    settings = {"tax_name1": "VAT", "tax_rate1": 21}
    world.api_ninja("PUT", f"/companies/{company['id']}", {"settings": settings})
    advice = next(row for row in world.api_ninja("GET", "/products")["data"] if row["product_key"] == "Advice")
    world.api_ninja("DELETE", f"/products/{advice['id']}")
    heard: list[object] = []
    hooks.on_changed(heard.append)
    try:
        with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
            discovery.refresh_invoice_ninja()
    finally:
        hooks._callbacks.remove(heard.append)
    assert heard == []
    assert (Company.current().tax_name, Company.current().tax_rate) == ("VAT", Decimal(21))
    assert list(Product.objects.values_list("product_key", "is_deleted")) == [("Advice", True), ("Consulting", False)]
    before = UpstreamCall.objects.count()
    discovery.refresh_invoice_ninja()
    assert UpstreamCall.objects.count() - before == 5


def test_what_is_gone_there_is_unknown_here(world: World) -> None:
    stray = Client.objects.create(ninja_id="client_nobody", currency="EUR", is_known=True)
    discovery.refresh_invoice_ninja()
    stray.refresh_from_db()
    assert stray.is_known is False
    assert not discovery.is_client_alive("client_nobody")
    assert discovery.is_client_alive("client_abc123")


def test_a_deleted_client_is_not_alive_and_holds_what_was_ready(
    world: World, django_capture_on_commit_callbacks: object
) -> None:
    world.read(world.add_task(billable=True, hours=1))
    assert TimeEntry.objects.get().state == EntryState.READY
    world.api_ninja("DELETE", "/clients/client_abc123")
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        discovery.refresh_invoice_ninja()
    assert not discovery.is_client_alive("client_abc123")
    entry = TimeEntry.objects.get()
    assert (entry.state, entry.reason) == (EntryState.HELD, Reason.UNKNOWN_CLIENT)


def test_it_is_read_when_old_and_only_then(world: World) -> None:
    discovery.ensure_fresh()
    before = UpstreamCall.objects.count()
    discovery.ensure_fresh()
    assert UpstreamCall.objects.count() == before
    Heartbeat.objects.update(at=timezone.now() - timedelta(minutes=11))
    discovery.ensure_fresh()
    assert UpstreamCall.objects.count() > before


def test_it_is_read_sooner_while_a_mapped_client_is_unknown(world: World) -> None:
    discovery.ensure_clients_known()
    Heartbeat.objects.update(at=timezone.now() - timedelta(minutes=2))
    before = UpstreamCall.objects.count()
    discovery.ensure_clients_known()
    assert UpstreamCall.objects.count() == before
    Client.objects.filter(ninja_id="client_abc123").update(is_known=False)
    discovery.ensure_clients_known()
    assert Client.objects.get(ninja_id="client_abc123").is_known is True


def test_people_and_their_roles(world: World) -> None:
    discovery.refresh_project(world.mapping)
    roles = dict(Membership.objects.values_list("person__full_name", "role_key"))
    assert "senior_dev" in roles.values()
    assert len(roles) == Person.objects.count()
    mapping = ProjectMapping.objects.get(pk=world.mapping.pk)
    assert mapping.taiga_slug


def test_a_role_that_changed_prices_again(world: World, django_capture_on_commit_callbacks: object) -> None:
    for key, amount in (("senior_dev", 95), ("pm", 85)):
        Rate.objects.create(level="role", role=Role.objects.create(key=key), amount=Decimal(amount), currency="EUR")
    entry = world.read(world.add_task(billable=True, hours=1, who="alice"))
    assert entry.rate == 95
    Membership.objects.filter(person=entry.person).update(role_key="pm")
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        discovery.refresh_memberships(world.mapping.taiga_project_id, upstreams.taiga_client())
    assert Membership.objects.get(person=entry.person).role_key == "senior_dev"
    assert TimeEntry.objects.get().rate == 95


def test_who_left_keeps_the_role_for_the_work_that_was_done(world: World) -> None:
    discovery.refresh_project(world.mapping)
    stranger = Person.objects.create(taiga_user_id=4711, full_name="Left Long Ago")
    Membership.objects.create(
        person=stranger, taiga_project_id=world.mapping.taiga_project_id, role_name="pm", role_key="pm"
    )
    discovery.refresh_project(world.mapping)
    assert Membership.objects.filter(person=stranger, role_key="pm").exists()


def test_one_server_that_is_down_leaves_the_other_alone(world: World) -> None:
    world.fail("ninja", kind="status", status=503, method="GET", path="/companies", count=1)
    (sentence,) = discovery.refresh_all()
    assert "Invoice Ninja" in sentence
    assert Membership.objects.exists()


def test_twelve_currencies_are_counted_otherwise_by_the_server() -> None:
    """Decimals of GET /statics against ISO 4217: invoices in these cannot be approved yet."""
    theirs = {row["code"]: row["precision"] for row in currencies().values()}
    assert {code: there for code, there in theirs.items() if there != money.exponent(code)} == {
        **dict.fromkeys(("HUF", "MGA", "PKR"), 0),
        **dict.fromkeys(("BHD", "JOD", "OMR", "TND", "KRW", "RWF", "UGX", "XOF", "XPF"), 2),
        "XAU": 3,
    }
