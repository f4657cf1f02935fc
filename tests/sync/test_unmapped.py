"""The page "Unmapped": what was seen and nobody pays for, with its hours, its money and the form that mends it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.groups import update_groups
from accounts.models import User
from mappings.models import Client, Membership, Person, ProjectMapping, Rate, Role, TaigaProject
from sync import attention, lists, reevaluate, taiga_projects, unmapped
from sync.models import Heartbeat, WorkItem
from tests.people import browser_of
from tests.sync.making import Office

pytestmark = pytest.mark.django_db
PAGE = "/admin/sync/unmapped/"


def in_project(office: Office, item: WorkItem, taiga_project_id: int) -> WorkItem:
    """The item lies in another Taiga project, which is mapped to nobody."""
    item.taiga_project_id, item.project = taiga_project_id, None
    item.save()
    return item


def text_of(name: str = "administrator", page: str = PAGE) -> str:
    update_groups("mappings")
    answer = browser_of(name).get(page)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().replace("\xa0", " ").split())


def test_a_project_with_closed_billable_work_stands_with_its_hours_and_what_the_rates_make_of_them(
    office: Office,
) -> None:
    TaigaProject.objects.create(taiga_id=44, name="Brand book", is_known=True)
    Rate.objects.create(level="user", person=office.alice, amount=Decimal(100), currency="EUR")
    office.entry(in_project(office, office.item(1, who=office.alice, hours="1.10"), 44))  # 1.25 h × 100
    office.entry(in_project(office, office.item(2, who=office.alice, hours=2, rate=40), 44))
    office.entry(in_project(office, office.item(3, hours=1), 44))  # nobody, no rate
    office.entry(in_project(office, office.item(4, who=office.alice, billable=False), 44))

    (row,) = unmapped.find().projects
    assert (row.name, row.taiga_id, row.is_known, row.mapping) == ("Brand book", 44, True, None)
    waiting = row.waiting
    assert (waiting.count, waiting.hours, waiting.unpriced) == (3, Decimal("4.25"), 1)
    assert dict(waiting.money) == {"EUR": Decimal("205.00")}

    page = text_of()
    assert "Brand book" in page
    assert "205.00 EUR + 1 without a rate" in page
    assert '/admin/mappings/projectmapping/add/?taiga_project=44"' in page


def test_an_inactive_mapping_leads_to_its_own_form_and_an_unknown_project_says_why(office: Office) -> None:
    office.entry(in_project(office, office.item(1, hours=1), 55))
    ProjectMapping.objects.filter(pk=office.mapping.pk).update(is_active=False)
    office.entry(office.item(2, who=office.alice))
    page = text_of()
    assert "no member of it" in page
    assert "mapped to Acme Corp, but not active on these days" in page
    assert f"/admin/mappings/projectmapping/{office.mapping.pk}/change/" in page


def test_people_and_roles_without_a_rate_stand_with_what_waits(office: Office) -> None:
    Rate.objects.all().delete()
    Membership.objects.create(
        person=Person.objects.create(taiga_user_id=9, username="pete"),
        taiga_project_id=7,
        role_name="Tester",
        role_key="tester",
    )
    office.entry(office.item(1, who=office.alice, hours=2))
    office.entry(office.item(2, who=office.alice, hours=1))
    office.entry(office.item(3, hours=5))  # nobody is assigned
    found = unmapped.find()
    assert [(str(row.person or "nobody"), row.waiting.hours) for row in found.people] == [("nobody", 5), ("Alice", 3)]
    assert [(row.key, row.people, row.waiting.hours) for row in found.roles] == [("senior_dev", 1, 3)]
    assert [(row.key, row.people) for row in found.quiet_roles] == [("tester", 1), ("junior_dev", 1)]
    page = text_of()
    assert "2 roles without a rate that nothing waits for" in page
    role = Role.objects.get(key="senior_dev")
    for link in (
        f"/admin/mappings/rate/add/?level=user&amp;person={office.alice.pk}",
        f"/admin/mappings/rate/add/?level=project&amp;project={office.mapping.pk}",
        f"/admin/mappings/rate/add/?level=role&amp;role={role.pk}",
        "/admin/mappings/role/add/?key=Tester",
    ):
        assert link in page


def test_clients_that_nobody_knows_stand_with_their_money(office: Office) -> None:
    office.entry(client="client_typo", who=office.alice, hours=2)
    Client.objects.filter(pk=office.client.pk).update(is_deleted=True)
    office.entry(office.item(2, who=office.alice, hours=1))
    found = {row.name: row for row in unmapped.find().clients}
    assert set(found) == {"client_typo", "Acme Corp"}
    assert (found["client_typo"].is_typed, dict(found["client_typo"].waiting.money)) == (True, {"EUR": 190})
    assert (found["Acme Corp"].mapping, dict(found["Acme Corp"].waiting.money)) == (office.mapping, {"EUR": 95})


def test_what_is_mapped_leaves_the_page_and_what_a_person_holds_is_not_on_it(office: Office) -> None:
    entry = office.entry(in_project(office, office.item(1, who=office.alice, hours=1), 44))
    attention.hold_entry(entry, user=office.user, note="wait")
    assert unmapped.find().is_empty
    assert "Everything is mapped" in text_of()
    attention.release_entry(entry, user=office.user)
    assert len(unmapped.find().projects) == 1
    Rate.objects.create(level="client", client=office.client, amount=Decimal(50), currency="EUR")
    ProjectMapping.objects.create(taiga_project_id=44, taiga_project_name="Brand book", client=office.client)
    reevaluate.evaluate_marked()
    assert unmapped.find().is_empty


def test_the_queries_are_the_same_for_1_and_30(office: Office) -> None:
    def make(first: int, count: int) -> None:
        for number in range(first, first + count):
            office.entry(in_project(office, office.item(number, who=office.alice, hours=1), 1000 + number))
            office.entry(office.item(number + 500, client=f"client_{number}", who=office.alice))
            person = Person.objects.create(taiga_user_id=number + 100, username=f"u{number}")
            Membership.objects.create(person=person, taiga_project_id=7, role_name=f"R{number}", role_key=f"r{number}")

    update_groups("mappings")
    browser = browser_of("administrator")
    make(1, 1)
    browser.get(PAGE)
    counts = []
    for step in (0, 30):
        if step:
            make(100, step)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert browser.get(PAGE).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[0] < 35


@pytest.mark.parametrize(
    ("name", "may_see", "may_map"),
    [("stranger", 403, 403), ("viewer", 200, 403), ("clerk", 200, 403), ("approver", 200, 403)],
)
def test_everybody_looks_and_only_administrators_map(office: Office, name: str, may_see: int, may_map: int) -> None:
    office.entry(in_project(office, office.item(1, hours=1), 44))
    User.objects.filter(pk=office.user.pk).update(username="office")
    for app in ("mappings", "sync"):
        update_groups(app)
    browser = browser_of(name)
    answer = browser.get(PAGE)
    assert (answer.status_code, browser.post(PAGE).status_code) == (may_see, may_map)
    if may_see == 200:
        assert "An administrator maps it" in answer.content.decode()


def test_a_post_asks_the_worker_for_the_lists_and_a_get_changes_nothing(office: Office, monkeypatch: Any) -> None:
    rung: list[str] = []
    monkeypatch.setattr(lists.doorbell, "ring", rung.append)
    Heartbeat.objects.create(name=taiga_projects.HEARTBEAT, at="2025-12-01T00:00:00Z")
    update_groups("mappings")
    browser = browser_of("administrator")
    browser.get(PAGE)
    assert Heartbeat.objects.filter(name=taiga_projects.HEARTBEAT).exists()
    for _twice in range(2):
        assert "read again now" in browser.post(PAGE, follow=True).content.decode()
    assert not Heartbeat.objects.filter(name=taiga_projects.HEARTBEAT).exists()
