"""One person of each group, a stranger on the staff, and the keys to try what each may do."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.models import AnonymousUser, Group
from django.http import Http404
from django.test import Client as Browser
from django.test import RequestFactory
from django.urls import resolve

from accounts.groups import ADMINISTRATOR, APPROVER, CLERK, VIEWER
from accounts.models import User
from billing_console import shown
from billing_console.errors import ConsoleError
from billing_console.pages import PageView

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


def post(browser: Browser, address: str, form: dict[str, Any] | None = None, **options: Any) -> Any:
    """Post what a person sends who has the page open as it is now: what it shows, and `form` with what was typed.

    A `shown` in `form` is what an older page showed.
    """
    return browser.post(address, {**on_page(browser, address, form), **(form or {})}, **options)


def on_page(browser: Browser, address: str, form: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the form of a page, dialog or list that acts at `address` says was shown; {} where it says nothing."""
    found = resolve(urlsplit(address).path)
    view_class = getattr(found.func, "view_class", None)
    if view_class is None:
        page = browser.get(address).content.decode()
        rows = re.findall(r'name="shown_rows" value="([^"]*)"', page)
        one = re.findall(r'<input type="hidden" name="shown" value="([^"]*)">', page)
        return ({"shown_rows": rows} if rows else {}) | ({"shown": one[-1]} if one else {})
    if not issubclass(view_class, PageView) or view_class.needs_no_version:
        return {}
    request = getattr(RequestFactory(), "post" if "post" in view_class.http_method_names else "get")(address, form)
    request.user = User.objects.filter(pk=browser.session.get("_auth_user_id")).first() or AnonymousUser()
    if view_class.get_shown is PageView.get_shown:  # a page of many forms
        return _form_with(browser.get(address).content.decode(), form or {})
    view = view_class(**found.func.view_initkwargs)
    view.setup(request, **found.kwargs)
    try:
        return {"shown": shown.seal(view.get_subject(), view.get_shown())}
    except (ConsoleError, Http404):
        return {}


def _form_with(page: str, posted: dict[str, Any]) -> dict[str, Any]:
    for form in re.findall(r"<form.*?</form>", page, re.DOTALL):
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))
        if posted.items() <= fields.items():
            return {"shown": fields["shown"]}
    return {}


def press(browser: Browser, address: str, form: dict[str, str] | None = None, **options: Any) -> Any:
    """Open the question at `address` and press its button: its hidden fields are posted with `form`."""
    return browser.post(address, {**hidden_fields(browser, address), **(form or {})}, **options)


def hidden_fields(browser: Browser, address: str) -> dict[str, str]:
    """What the form at `address` posts without being asked, by name; nothing where there is no form any more."""
    return fields_in(browser.get(address))


def fields_in(answer: Any) -> dict[str, str]:
    """The hidden fields of a page, by name."""
    return dict(re.findall(r'<input type="hidden" name="([\w-]+)" value="([^"]*)">', answer.content.decode()))
