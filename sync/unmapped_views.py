"""The page "Unmapped": what nobody pays for yet, what it is worth, and the form that mends it, filled in already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing_console import formats
from billing_console.admin_base import PageView, site_page
from mappings import hooks
from sync import unmapped
from sync.unmapped import PersonWithoutRate, RoleWithoutRate, UnknownClient, Unmapped, UnmappedProject, Waiting


@dataclass(frozen=True)
class Row:
    """One line: what is unmapped, what waits for it, and where it is mended."""

    name: str
    below: str
    entries: str
    hours: str
    money: str
    oldest: str
    verb: str
    url: str


@dataclass(frozen=True)
class Section:
    """One table; `what` is the header of its first column."""

    title: str
    words: str
    what: str
    rows: list[Row]


@site_page("sync/unmapped/", "sync_unmapped")
class UnmappedPage(PageView):
    """GET shows; POST asks the worker to read the lists of both servers again."""

    template_name = "sync/unmapped.html"
    permission = "sync.view_workitem"
    act_permission = "mappings.change_projectmapping"
    title = gettext_lazy("Unmapped")
    needs_no_version = "Only has servers read again."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = unmapped.find()
        return super().get_context_data(
            found=found,
            sections=[section for section in sections_of(found) if section.rows],
            quiet_roles=[_role(row) for row in found.quiet_roles],
            limit=unmapped.LIMIT,
            may_map=self.request.user.has_perm("mappings.add_projectmapping"),
            may_refresh=self.request.user.has_perm("mappings.change_projectmapping"),
            **kwargs,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        hooks.want_lists()
        messages.success(request, _("The lists are read again now. Reload this page in a few seconds."))
        return HttpResponseRedirect(reverse("admin:sync_unmapped"))


def sections_of(found: Unmapped) -> list[Section]:
    """The four tables, those without rows too."""
    return [
        Section(
            _("Taiga projects that nobody pays for"),
            _("Closed billable work waits. The money is what the rates of people and roles would make of it."),
            _("Project"),
            [_project(row) for row in found.projects],
        ),
        Section(
            _("People without a rate"),
            _("No rate of their own, of their role, of the project or of the client holds on the day of the work."),
            _("Person"),
            [_person(row) for row in found.people],
        ),
        Section(
            _("Roles without a rate"),
            _("Roles that people have in Taiga. A role whose people have rates of their own needs none."),
            _("Role"),
            [_role(row) for row in found.roles],
        ),
        Section(
            _("Clients that Invoice Ninja does not have"),
            _("Typed on an item, or named by a mapping: unknown there, or deleted."),
            _("Client"),
            [_client(row) for row in found.clients],
        ),
    ]


def _project(row: UnmappedProject) -> Row:
    if row.mapping is not None:
        below = _("mapped to %(client)s, but not active on these days") % {"client": row.mapping.client}
        url = reverse("admin:mappings_projectmapping_change", args=[row.mapping.pk])
        return _row(row.name, below, row.waiting, _("Open the project"), url)
    if not row.is_known:
        below = _("The console's user is no member of it: add it in Taiga, then refresh the lists.")
        return _row(
            row.name, below, row.waiting, _("Look at the list"), reverse("admin:mappings_taigaproject_changelist")
        )
    return _row(
        row.name, "", row.waiting, _("Map…"), _prefilled("mappings_projectmapping_add", taiga_project=row.taiga_id)
    )


def _person(row: PersonWithoutRate) -> Row:
    if row.person is None:
        project = row.project
        url = _prefilled("mappings_rate_add", level="project", project=project.pk if project else "")
        name = _("nobody assigned")
        return _row(name, str(project or ""), row.waiting, _("Give the project a rate…"), url)
    url = _prefilled("mappings_rate_add", level="user", person=row.person.pk)
    return _row(str(row.person), ", ".join(row.roles), row.waiting, _("Add a rate…"), url)


def _role(row: RoleWithoutRate) -> Row:
    people = ngettext("%(count)d person", "%(count)d people", row.people) % {"count": row.people}
    if row.role is None:
        url = _prefilled("mappings_role_add", key=row.name)
        return _row(row.name, people, row.waiting, _("Make the role…"), url)
    return _row(
        row.name, people, row.waiting, _("Add a rate…"), _prefilled("mappings_rate_add", level="role", role=row.role.pk)
    )


def _client(row: UnknownClient) -> Row:
    if row.mapping is not None:
        url = reverse("admin:mappings_projectmapping_change", args=[row.mapping.pk])
        return _row(row.name, str(row.mapping), row.waiting, _("Mend the mapping"), url)
    url = _prefilled("sync_timeentry_changelist", reason="unknown_client", state__exact="held")
    return _row(row.name, _("typed on items in Taiga"), row.waiting, _("Open the entries"), url)


def _row(name: str, below: str, waiting: Waiting, verb: str, url: str) -> Row:
    figures = [formats.money(amount, currency) for currency, amount in sorted(waiting.money.items())]
    if waiting.unpriced and figures:
        figures.append(_("%(count)d without a rate") % {"count": waiting.unpriced})
    return Row(
        name=name,
        below=below,
        entries=str(waiting.count) if waiting.count else formats.NOTHING,
        hours=formats.hours(waiting.hours) if waiting.count else formats.NOTHING,
        money=" + ".join(figures) or formats.NOTHING,
        oldest=formats.age(waiting.oldest, settings.BILLING_TIMEZONE) if waiting.oldest else formats.NOTHING,
        verb=verb,
        url=url,
    )


def _prefilled(name: str, **values: object) -> str:
    return f"{reverse(f'admin:{name}')}?{urlencode(values)}"
