"""A password has twelve characters and is none that is tried first, at each of the doors where one is typed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.people import browser_of, make_user

pytestmark = pytest.mark.django_db
OLD = "old analytical engine"
GOOD = "analytical engine"
WEAK = {
    "1": "too short",
    "elevenchars": "too short",  # eleven
    "190283746510": "entirely numeric",
    "administrator": "too similar",
    "q1w2e3r4t5y6": "too common",
}


def changes_own(browser: Client, password: str) -> object:
    User.objects.filter(username="administrator").update(password="")
    person = User.objects.get(username="administrator")
    person.set_password(OLD)
    person.save()
    browser.force_login(person)
    form = {"old_password": OLD, "new_password1": password, "new_password2": password}
    return browser.post(reverse("admin:password_change"), form)


def adds_a_person(browser: Client, password: str) -> object:
    form = {"username": "administrator2", "password1": password, "password2": password}
    return browser.post(reverse("admin:accounts_user_add"), form)


def resets_another(browser: Client, password: str) -> object:
    other = User.objects.filter(username="administrator-b").first() or make_user("administrator-b")
    address = reverse("admin:auth_user_password_change", args=[other.pk])
    return browser.post(address, {"password1": password, "password2": password})


DOORS = [changes_own, adds_a_person, resets_another]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("password", "why"), WEAK.items())
def test_a_weak_password_is_refused_with_the_reason(
    door: Callable[[Client, str], object], password: str, why: str
) -> None:
    answer = door(browser_of("administrator"), password)

    assert answer.status_code == 200  # type: ignore[attr-defined]
    assert why in answer.content.decode()  # type: ignore[attr-defined]
    assert not any(person.check_password(password) for person in User.objects.all())


@pytest.mark.parametrize("door", DOORS)
def test_a_good_one_is_taken(door: Callable[[Client, str], object]) -> None:
    answer = door(browser_of("administrator"), GOOD)

    assert answer.status_code == 302  # type: ignore[attr-defined]
    assert any(person.check_password(GOOD) for person in User.objects.all())
