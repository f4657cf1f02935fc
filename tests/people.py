"""One person of each group, a stranger on the staff, and the keys to try what each may do."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.auth.models import Group
from django.test import Client as Browser

from accounts.groups import ADMINISTRATOR, APPROVER, CLERK, VIEWER
from accounts.models import User

GROUPS = {"viewer": VIEWER, "clerk": CLERK, "approver": APPROVER, "administrator": ADMINISTRATOR}


def make_user(name: str) -> User:
    """A member of staff; `name` is a group's short name, or anything else for somebody in no group."""
    user = User.objects.create(username=name, is_staff=True)
    if name in GROUPS:
        user.groups.add(Group.objects.get(name=GROUPS[name]))
    return user


def browser_of(name: str) -> Browser:
    """A browser in which that person is signed in; "" is nobody."""
    browser = Browser()
    if name:
        browser.force_login(User.objects.filter(username=name).first() or make_user(name))
    return browser


def press(browser: Browser, address: str, form: dict[str, str] | None = None, **options: Any) -> Any:
    """Open the question at `address` and press its button: its hidden fields are posted with `form`."""
    return browser.post(address, {**hidden_fields(browser, address), **(form or {})}, **options)


def hidden_fields(browser: Browser, address: str) -> dict[str, str]:
    """What the form at `address` posts without being asked, by name; nothing where there is no form any more."""
    page = browser.get(address).content.decode()
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
