from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from accounts.groups import GROUPS, rights_of, update_groups
from accounts.models import User

pytestmark = pytest.mark.django_db


def make_user(group: str, **fields: object) -> User:
    person = User.objects.create_user(group.lower().replace(" ", "-") or "nobody", is_staff=True, **fields)
    if group:
        person.groups.add(Group.objects.get(name=group))
    return person


def test_each_group_may_do_what_those_before_it_may() -> None:
    for lower, higher in zip(GROUPS, GROUPS[1:], strict=False):
        assert rights_of(lower) < rights_of(higher)


def test_what_each_group_adds() -> None:
    viewer, clerk, approver, administrator = (rights_of(group) for group in GROUPS)

    assert all(right.split(".")[1].startswith("view_") for right in viewer)
    assert clerk - viewer == {"sync.work_timeentry", "invoicing.start_invoicerun", "invoicing.prepare_invoice"}
    assert approver - clerk == {"invoicing.approve_invoice", "invoicing.send_invoice", "invoicing.close_month"}
    assert {"mappings.add_rate", "mappings.change_ruleset", "accounts.add_user", "accounts.change_user"} <= (
        administrator - approver
    )
    assert "django_celery_beat.change_periodictask" in administrator


def test_nobody_writes_history_entries_or_invoices_by_hand() -> None:
    everything = rights_of("Administrator")

    assert not [right for right in everything if "historical" in right and ".view_" not in right]
    assert not {
        right
        for right in everything
        if right.startswith(("sync.add", "sync.delete", "invoicing.add", "invoicing.change", "invoicing.delete"))
    }
    assert "accounts.delete_user" not in everything


@pytest.mark.parametrize("group", GROUPS)
def test_migrations_gave_each_group_exactly_its_rights(group: str) -> None:
    held = {
        f"{label}.{codename}"
        for label, codename in Permission.objects.filter(group__name=group).values_list(
            "content_type__app_label", "codename"
        )
    }

    assert held == rights_of(group)


def test_groups_are_put_right_again_and_then_left_alone(django_assert_num_queries) -> None:
    viewer = Group.objects.get(name="Viewer")
    viewer.permissions.add(Permission.objects.get(codename="approve_invoice"))
    viewer.permissions.remove(Permission.objects.get(codename="view_rate"))

    call_command("migrate", verbosity=0)

    assert {p.codename for p in viewer.permissions.all()} == {r.split(".")[1] for r in rights_of("Viewer")}
    with django_assert_num_queries(5):  # four groups are looked up, then their rights
        update_groups("mappings")


# --- who may enter the pages of people and schedules ---------------------------------------------------------------


@pytest.mark.parametrize("group", ["", *GROUPS])
@pytest.mark.parametrize(
    "name",
    [
        "accounts_user_changelist",
        "accounts_user_add",
        "django_celery_beat_periodictask_changelist",
        "django_celery_beat_periodictask_add",
        "django_celery_beat_intervalschedule_changelist",
        "django_celery_beat_crontabschedule_changelist",
    ],
)
def test_people_and_schedules_are_the_administrators(client: Client, group: str, name: str) -> None:
    client.force_login(make_user(group))

    response = client.get(reverse(f"admin:{name}"))

    assert response.status_code == (200 if group == "Administrator" else 403)


def test_who_is_not_logged_in_is_asked_to(client: Client) -> None:
    address = reverse("admin:accounts_user_changelist")

    assert client.get(address)["Location"] == f"/admin/login/?next={address}"


def test_an_administrator_makes_a_person_who_may_sign_in(client: Client) -> None:
    client.force_login(make_user("Administrator"))
    password = "analytical engine"
    response = client.post(
        reverse("admin:accounts_user_add"),
        {
            "username": "ada",
            "email": "ada@example.org",
            "groups": [Group.objects.get(name="Billing clerk").pk],
            "password1": password,
            "password2": password,
        },
    )

    assert response.status_code == 302
    ada = User.objects.get(username="ada")
    assert (ada.is_staff, ada.is_superuser, ada.check_password(password)) == (True, False, True)
    assert [group.name for group in ada.groups.all()] == ["Billing clerk"]


def test_an_administrator_cannot_become_more_than_that(client: Client) -> None:
    administrator = make_user("Administrator")
    root = User.objects.create_superuser("root", password="x")
    client.force_login(administrator)

    client.post(
        reverse("admin:accounts_user_change", args=[administrator.pk]),
        {"username": "administrator", "is_superuser": "on", "is_active": "on", "groups": []},
    )
    administrator.refresh_from_db()
    assert not administrator.is_superuser
    assert client.post(reverse("admin:accounts_user_change", args=[root.pk]), {"username": "r"}).status_code == 403
    assert client.post(reverse("admin:auth_user_password_change", args=[root.pk]), {}).status_code == 403


def test_nobody_is_deleted(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    clerk = make_user("Billing clerk")

    assert client.post(reverse("admin:accounts_user_delete", args=[clerk.pk]), {"post": "yes"}).status_code == 403
    assert User.objects.filter(pk=clerk.pk).exists()


def test_the_list_of_people_costs_the_same_for_1_and_30(client: Client, django_assert_num_queries) -> None:
    client.force_login(make_user("Administrator"))
    address = reverse("admin:accounts_user_changelist")
    client.get(address)
    with django_assert_num_queries(11):
        client.get(address)
    for number in range(30):
        User.objects.create_user(f"user{number}").groups.add(Group.objects.get(name="Viewer"))
    with django_assert_num_queries(11):
        client.get(address)
