"""Connecting a project: what Taiga holds afterwards is the witness, and doing it twice makes nothing twice."""

from __future__ import annotations

import json
from threading import Thread, Timer
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from billing_console.errors import NotAllowed, StaleRevision
from billing_console.states import RecordState
from mappings.models import Client, Company, NinjaProject, ProjectMapping, TaigaProject
from sync import attention, decisions, discovery, outbox, provision_calls, provisioning, taiga_projects, upstreams
from sync.models import RemoteRecord, UpstreamCall, WebhookDelivery
from sync.provisioning import Target
from tests.invoicing.world import make_user
from tests.outbound import claimed, expire_lease, fresh, make_due, states_of
from tests.standins import World
from tests.sync.door import BARE, add_project

FIVE = [
    ("Billable", "checkbox", None),
    ("Duration (Hours)", "number", None),
    ("Hourly Rate", "number", None),
    ("Client Invoice ID", "text", None),
    ("Invoice Status", "dropdown", ["Not Billable", "Pending Invoice", "Invoiced"]),
]


def connect(world: World, project: int = BARE, *kinds: str, **more: Any) -> ProjectMapping:
    target = Target(world.client, NinjaProject.objects.get())
    return provisioning.connect(project, "Field Service", "field-service", target, kinds, **more)


def make_all() -> int:
    return provision_calls.provision_due()


def held(world: World, kind: str = "task", project: int = BARE) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = world.api_taiga("GET", f"/{kind}-custom-attributes?project={project}", who="owner")
    return rows


def hooks_of(world: World, project: int = BARE) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = world.api_taiga("GET", f"/webhooks?project={project}", who="owner")
    return rows


def thing(name: str, project: int = BARE) -> RemoteRecord:
    return RemoteRecord.objects.get(kind="provision", our_key=f"P{project}/{name}")


def writes() -> int:
    return UpstreamCall.objects.filter(upstream="taiga").exclude(method="GET").exclude(path__contains="/auth").count()


def test_a_bare_project_gets_five_attributes_a_signed_webhook_and_a_test_that_arrives(bare: World) -> None:
    mapping = connect(bare)

    make_all()

    rows = held(bare)
    assert [(row["name"], row["type"], row["extra"]) for row in rows] == FIVE
    assert rows[0]["description"] == "Mark if this task should be invoiced"
    assert held(bare, "userstory") == held(bare, "issue") == []
    (hook,) = hooks_of(bare)
    mapping.refresh_from_db()
    assert hook["url"].endswith(f"/webhooks/taiga/{mapping.uuid}")
    assert (hook["name"], hook["key"]) == ("Billing console", mapping.webhook_key)
    assert len(mapping.webhook_key) == 43  # 32 bytes
    (delivery,) = WebhookDelivery.objects.all()
    assert (delivery.verdict, delivery.project_mapping) == ("test", mapping)
    assert thing("test").seen["delivery"] == delivery.pk
    assert {row.state for row in provisioning.things_of(BARE)} == {RecordState.SYNCED}
    assert [row.seen["wrong"] for row in provisioning.things_of(BARE)] == [[]] * 7
    assert not provisioning.is_running(provisioning.things_of(BARE))


def test_a_second_time_makes_nothing(bare: World) -> None:
    mapping = connect(bare)
    make_all()
    key, before = fresh(mapping).webhook_key, (held(bare), hooks_of(bare))

    made = writes()
    connect(bare)
    make_all()

    after = hooks_of(bare)
    assert held(bare) == before[0]
    assert [{**row, "logs_counter": 0} for row in after] == [{**row, "logs_counter": 0} for row in before[1]]
    assert writes() == made + 1  # the test
    assert fresh(mapping).webhook_key == key
    assert ProjectMapping.objects.filter(taiga_project_id=BARE).count() == 1
    assert thing("T/billable").seen["made"] is True


def test_stories_and_issues_get_theirs_where_they_are_chosen(bare: World) -> None:
    connect(bare, BARE, "U", "I")
    make_all()

    for kind in ("task", "userstory", "issue"):
        assert [(row["name"], row["type"], row["extra"]) for row in held(bare, kind)] == FIVE
    assert held(bare, "userstory")[0]["description"] == "Mark if this user story should be invoiced"
    assert len(hooks_of(bare)) == 1


def test_the_names_are_those_of_the_company(bare: World) -> None:
    Company.objects.update(attribute_billable="À facturer", attribute_hours="Heures")
    connect(bare)
    make_all()

    assert [row["name"] for row in held(bare)][:3] == ["À facturer", "Heures", "Hourly Rate"]


def test_the_key_is_stored_encrypted_and_stands_in_no_row_or_journal(bare: World) -> None:
    mapping = connect(bare)
    make_all()
    key = fresh(mapping).webhook_key

    with connection.cursor() as cursor:
        for table in ("sync_remoterecord", "sync_upstreamcall", "sync_transition", "mappings_projectmapping"):
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", [f"%{key}%"])
            assert cursor.fetchone() == (0,), table


def test_what_people_made_by_hand_is_adopted_and_its_faults_are_said(bare: World) -> None:
    for name, type_, extra in (
        ("billable", "checkbox", None),
        ("Duration (Hours)", "date", None),
        ("Invoice Status", "dropdown", ["Invoiced"]),
    ):
        body = {"project": BARE, "name": name, "type": type_, "extra": extra}
        bare.api_taiga("POST", "/task-custom-attributes", body, who="owner")
    before = held(bare)
    connect(bare)
    make_all()

    assert held(bare)[:3] == before
    assert [row["name"] for row in held(bare)[3:]] == ["Hourly Rate", "Client Invoice ID"]
    assert (thing("T/billable").seen["made"], thing("T/rate").seen["made"]) == (False, True)
    assert thing("T/billable").seen["wrong"] == []
    (type_is_wrong,) = thing("T/hours").seen["wrong"]
    assert type_is_wrong.startswith('"Duration (Hours)" is of type date, not number.')
    (option_is_missing,) = thing("T/status").seen["wrong"]
    assert 'no option "Not Billable", "Pending Invoice"' in option_is_missing

    body = {"extra": ["Not Billable", "Pending Invoice", "Invoiced"]}
    bare.api_taiga("PATCH", f"/task-custom-attributes/{before[2]['id']}", body, who="owner")
    assert provisioning.check_again(ProjectMapping.objects.get(taiga_project_id=BARE)) == 7
    make_all()
    assert thing("T/status").seen["wrong"] == []


def test_a_webhook_for_all_projects_that_works_is_left_to_work(bare: World, settings: Any) -> None:
    body = {"project": BARE, "name": "By hand", "url": f"{settings.PUBLIC_URL}/webhooks/taiga"}
    bare.api_taiga("POST", "/webhooks", {**body, "key": settings.WEBHOOK_SECRET}, who="owner")
    connect(bare)
    make_all()

    assert [row["name"] for row in hooks_of(bare)] == ["By hand"]
    assert "is signed with WEBHOOK_SECRET" in thing("hook").seen["wrong"][0]
    assert thing("test").state == RecordState.SYNCED
    assert WebhookDelivery.objects.get().project_mapping is None


def test_a_key_that_somebody_typed_in_taiga_becomes_the_projects(bare: World) -> None:
    mapping = connect(bare)
    make_all()
    ours = fresh(mapping).webhook_key
    (hook,) = hooks_of(bare)
    bare.api_taiga("PATCH", f"/webhooks/{hook['id']}", {"key": "typed-by-somebody-in-taiga"}, who="owner")
    bare.go_to(bare.taiga.clock.now().replace(hour=10))

    connect(bare)
    make_all()

    now = fresh(mapping)
    assert (now.webhook_key, now.previous_webhook_key) == ("typed-by-somebody-in-taiga", ours)
    assert hooks_of(bare)[0]["key"] == "typed-by-somebody-in-taiga"
    assert thing("test").state == RecordState.SYNCED
    assert WebhookDelivery.objects.count() == 2


def test_a_webhook_to_an_old_address_is_left_and_told_of(bare: World) -> None:
    body = {"project": BARE, "name": "Old", "url": "https://old.example/webhooks/taiga", "key": "k"}
    bare.api_taiga("POST", "/webhooks", body, who="owner")
    connect(bare)
    make_all()

    assert [row["name"] for row in hooks_of(bare)] == ["Old", "Billing console"]
    (sentence,) = thing("hook").seen["wrong"]
    assert 'The webhook "Old"' in sentence
    assert "another address" in sentence


def test_without_the_right_a_person_is_told_what_to_do(bare: World) -> None:
    add_project(bare, 10, "Locked", is_admin=False)
    connect(bare, 10)
    make_all()

    things = provisioning.things_of(10)
    assert {(row.state, row.reason) for row in things} == {("attention", "no_admin")}
    assert "tick “Admin” for it" in things[0].sentence
    assert (held(bare, project=10), hooks_of(bare, 10)) == ([], [])

    rows = bare.api_taiga("GET", "/memberships?project=10", who="owner")
    member = next(row for row in rows if row["full_name"] == "Billing Console")
    bare.api_taiga("PATCH", f"/memberships/{member['id']}", {"is_admin": True}, who="owner")
    for row in things:
        attention.try_again(fresh(row), user=make_user())
    make_all()
    assert {row.state for row in provisioning.things_of(10)} == {RecordState.SYNCED}
    assert len(hooks_of(bare, 10)) == 1


def test_what_was_done_by_hand_is_left_as_it_is(bare: World) -> None:
    add_project(bare, 10, "Locked", is_admin=False)
    connect(bare, 10)
    make_all()
    record = thing("hook", 10)
    made = writes()

    decisions.adopt_record(record, user=make_user(), note="made by Olga")
    make_all()

    assert (fresh(record).state, fresh(record).sentence) == (RecordState.SYNCED, "")
    assert not RemoteRecord.objects.filter(our_key="P10/test").exists()
    assert writes() == made


@pytest.mark.parametrize(
    ("address", "allows_private", "reason", "words"),
    [
        ("http://127.0.0.1:9", True, "not_arrived", "cannot reach http://127.0.0.1:9"),
        ("http://console:5000", True, "bad_address", "does not take the address http://console:5000"),
        ("http://127.0.0.1:9", False, "bad_address", "WEBHOOKS_ALLOW_PRIVATE_ADDRESS"),
    ],
)
def test_an_address_that_taiga_cannot_use_is_said(
    bare: World, settings: Any, address: str, allows_private: bool, reason: str, words: str
) -> None:
    settings.PUBLIC_URL = address
    bare.taiga.seed({"settings": {"allow_private_address": allows_private}})
    connect(bare)
    make_all()
    bare.taiga.seed({"settings": {"allow_private_address": True}})

    asking = [row for row in provisioning.things_of(BARE) if row.state == RecordState.ATTENTION]
    assert [row.reason for row in asking] == [reason]
    assert words in asking[0].sentence


@pytest.mark.parametrize("fault", [{"kind": "lost_answer"}, {"kind": "status", "status": 500}])
def test_an_answer_that_got_lost_makes_no_second_one(bare: World, fault: dict[str, Any]) -> None:
    for path in ("/task-custom-attributes", "/webhooks$"):
        bare.fail("taiga", method="POST", path=path, count=1, **fault)
    connect(bare)
    make_all()
    assert [row.state for row in (thing("T/billable"), thing("hook"))] == ["in_doubt", "in_doubt"]

    for row in provisioning.things_of(BARE):
        make_due(row)
    make_all()

    assert [row["name"] for row in held(bare)].count("Billable") == 1
    assert len(held(bare)) == 5
    assert len(hooks_of(bare)) == 1
    assert {row.state for row in provisioning.things_of(BARE)} == {RecordState.SYNCED}


def test_a_name_taken_meanwhile_is_adopted(bare: World) -> None:
    connect(bare)
    claim = claimed("provision")
    body = {"project": BARE, "name": "Billable", "type": "checkbox"}
    by_hand = Timer(0.2, lambda: bare.api_taiga("POST", "/task-custom-attributes", body, who="owner"))
    upstreams.check_pin("taiga")
    # The list is read, and its answer comes late: what is made meanwhile is not in it.
    bare.fail("taiga", kind="delay", seconds=0.6, after=True, method="GET", path="/task-custom-attributes", count=1)

    by_hand.start()
    outbox.write_one(claim, provision_calls.HANDLER)
    by_hand.join()

    assert [row["name"] for row in held(bare)] == ["Billable"]
    assert (thing("T/billable").state, thing("T/billable").seen["made"]) == ("synced", False)
    assert UpstreamCall.objects.filter(method="POST", path__contains="custom-attributes", status=400).count() == 1


def test_a_test_whose_worker_died_is_found_by_its_delivery(bare: World) -> None:
    connect(bare)
    make_all()
    record = thing("test")
    RemoteRecord.objects.filter(pk=record.pk).update(state=RecordState.IN_DOUBT, synced_revision=0, seen={})
    make_due(record)
    sent = len(bare.taiga.state()["deliveries"])

    make_all()

    assert states_of(record)[-1] == RecordState.SYNCED
    assert len(bare.taiga.state()["deliveries"]) == sent


def test_a_webhook_deleted_by_hand_is_made_again(bare: World) -> None:
    connect(bare)
    make_all()
    (hook,) = hooks_of(bare)
    bare.api_taiga("DELETE", f"/webhooks/{hook['id']}", who="owner")

    connect(bare)
    make_all()

    (again,) = hooks_of(bare)
    assert (again["url"], again["key"]) == (hook["url"], hook["key"])
    assert again["id"] != hook["id"]


def test_a_lease_that_ran_out_is_looked_up(bare: World) -> None:
    connect(bare)
    claim = claimed("provision")
    expire_lease(claim.record)

    make_all()
    make_due(thing("T/billable"))
    make_all()

    assert [row["name"] for row in held(bare)].count("Billable") == 1
    assert "in_doubt" in states_of(claim.record)


def test_what_was_mapped_before_keeps_its_days_and_is_told_of_a_new_client(bare: World) -> None:
    mapping = bare.mapping
    ProjectMapping.objects.filter(pk=mapping.pk).update(
        active_from="2025-11-01", webhook_key="typed-by-the-office-once"
    )
    other = Client.objects.create(ninja_id="other", name="Other", currency="EUR", is_known=True)

    provisioning.connect(mapping.taiga_project_id, "Website Redesign", "web", Target(other), (), user=make_user())

    now = fresh(mapping)
    assert (str(now.active_from), now.client, now.ninja_project) == ("2025-11-01", other, None)
    assert now.webhook_key == "typed-by-the-office-once"
    assert now.history.first().history_change_reason == "connected"


def test_a_stale_page_and_a_foreign_project_are_refused(bare: World) -> None:
    first = connect(bare, revision="new")
    with pytest.raises(StaleRevision):
        connect(bare, revision="new")
    now = provisioning.revision_of(first, provisioning.things_of(BARE))
    connect(bare, revision=now)
    with pytest.raises(StaleRevision):
        connect(bare, revision=now)

    other = Client.objects.create(ninja_id="other", name="Other", currency="EUR", is_known=True)
    with pytest.raises(NotAllowed, match="does not belong to Other"):
        provisioning.connect(BARE, "x", "x", Target(other, NinjaProject.objects.get()), ())


def test_the_list_of_projects_is_read_once_in_ten_minutes_and_when_asked_for(bare: World) -> None:
    add_project(bare, 10, "Locked", is_admin=False)

    assert taiga_projects.refresh_when_old()
    assert not taiga_projects.refresh_when_old()

    rows = {row.taiga_id: row for row in TaigaProject.objects.all()}
    assert {number: row.is_admin for number, row in rows.items()} == {1: True, 2: True, 3: True, 9: True, 10: False}
    assert rows[9].name == "Field Service"
    bare.api_taiga("DELETE", "/projects/10", who="owner")
    taiga_projects.forget()
    assert taiga_projects.refresh_when_old()
    assert not fresh(rows[10]).is_known


def test_a_taiga_that_is_away_is_asked_for_its_projects_once_a_minute(bare: World) -> None:
    bare.fail("taiga", kind="status", status=503, path="/projects", count=2)

    assert not taiga_projects.refresh_when_old()
    assert not taiga_projects.refresh_when_old()
    assert "maintenance" in taiga_projects.failure()
    assert UpstreamCall.objects.filter(path__contains="/projects").count() == 1
    taiga_projects.forget()
    taiga_projects.refresh_when_old()
    taiga_projects.forget()
    assert taiga_projects.refresh_when_old()
    assert taiga_projects.failure() == ""


def test_who_may_pay_is_what_invoice_ninja_has_alive(bare: World) -> None:
    discovery.refresh_invoice_ninja()
    Client.objects.filter(name="Beacon Mobile").update(is_deleted=True)

    names = [str(each) for each in provisioning.targets()]

    assert names == [
        "Acme Corp",
        "Acme Corp / Website Redesign",
        "Cobalt Systems",
        "Cobalt Systems / API Integration",
    ]
    assert json.dumps([each.code[0] for each in provisioning.targets()]) == '["c", "p", "c", "p"]'


@pytest.mark.django_db(transaction=True)
def test_of_two_who_connect_at_once_one_is_told() -> None:
    payer = Client.objects.create(ninja_id="acme", name="Acme", currency="EUR", is_known=True)
    TaigaProject.objects.create(taiga_id=BARE, name="Field Service", is_known=True, refreshed_at=timezone.now())
    told: list[str] = []

    def second() -> None:
        try:
            provisioning.connect(BARE, "Field Service", "", Target(payer), (), revision="new")
        except StaleRevision as stale:
            told.append(stale.sentence)
        finally:
            connection.close()

    with transaction.atomic():
        provisioning.connect(BARE, "Field Service", "", Target(payer), (), revision="new")
        other = Thread(target=second)
        other.start()
        other.join(0.3)  # it waits for us
        assert not told
    other.join()

    assert len(told) == 1
    assert ProjectMapping.objects.count() == 1
    assert {row.revision for row in provisioning.things_of(BARE)} == {1}
