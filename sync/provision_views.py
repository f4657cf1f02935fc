"""The pages "Connect": which Taiga projects there are and who may be meant, the question, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing_console.admin_base import Confirmation, ConfirmView, PageView, site_page
from billing_console.errors import NotAllowed, StaleRevision
from billing_console.states import ItemKind, RecordState
from billing_console.values import number_of
from mappings.matching import suggest_each
from mappings.models import Company, ProjectMapping, TaigaProject
from sync import discovery, lists, provision_plan, provisioning, taiga_projects
from sync.attribute_names import configured_names
from sync.models import RecordKind, RemoteRecord, Server
from sync.provision_choices import choices_for
from sync.provision_preview import name_of
from sync.provisioning import Target
from sync.wanted import WANTED

ADMINISTER = "sync.change_upstreampin"
# --- all projects -----------------------------------------------------------------------------------------------------


@dataclass
class ProjectRow:
    """One Taiga project: who pays or may be meant, and how far its things are. `state` is the badge's."""

    project: TaigaProject
    mapping: ProjectMapping | None
    suggestion: Target | None
    state: str
    words: str
    url: str
    verb: str


@site_page("sync/provision/", "sync_provision")
class ProvisionPage(PageView):
    """Every project that our Taiga user sees, those of nobody first.

    POST has the worker read the lists of both servers again; `project` in it leads back to the question about that
    project.
    """

    template_name = "sync/provision.html"
    permission = ADMINISTER
    act_permission = ADMINISTER
    title = gettext_lazy("Connect projects")
    needs_no_version = "Only has the lists read again."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        rows = _project_rows()
        return super().get_context_data(
            rows=rows,
            read_at=taiga_projects.read_at(),
            failure=taiga_projects.failure(),
            unmapped=sum(row.mapping is None for row in rows),
            **kwargs,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        lists.want_lists()
        messages.success(request, _("The lists of both servers are read again now. Reload this page in a few seconds."))
        number = number_of(request.POST.get("project"))
        if number is not None and TaigaProject.objects.filter(taiga_id=number, is_known=True).exists():
            return HttpResponseRedirect(reverse("admin:sync_provision_connect", args=[number]))
        return HttpResponseRedirect(reverse("admin:sync_provision"))


def _project_rows() -> list[ProjectRow]:
    projects = list(TaigaProject.objects.filter(is_known=True))
    mappings = {row.taiga_project_id: row for row in _mappings()}
    things: dict[int, list[RemoteRecord]] = {}
    for row in RemoteRecord.objects.filter(server=Server.TAIGA, kind=RecordKind.PROVISION).order_by("pk"):
        things.setdefault(_project_of(row), []).append(row)
    free = [project for project in projects if project.taiga_id not in mappings]
    among = provisioning.candidates(provisioning.targets()) if free else []
    meant = dict(zip((row.pk for row in free), suggest_each([row.name for row in free], among), strict=True))
    rows = []
    for project in projects:
        number, found = project.taiga_id, meant.get(project.pk)
        state, words = _how_far(project, things.get(number, []))
        page, verb = (
            ("sync_provision_progress", _("See")) if number in things else ("sync_provision_connect", _("Connect…"))
        )
        rows.append(
            ProjectRow(
                project,
                mappings.get(number),
                found.value if found else None,
                state,
                words,
                reverse(f"admin:{page}", args=[number]),
                verb,
            )
        )
    return sorted(rows, key=lambda row: (row.mapping is not None, row.project.name.casefold()))


def _project_of(record: RemoteRecord) -> int:
    return int(record.our_key[1:].partition("/")[0])


def _how_far(project: TaigaProject, things: Sequence[RemoteRecord]) -> tuple[str, str]:
    """State and words of the badge."""
    if not things:
        return ("open", _("Not connected")) if project.is_admin else ("warning", _("No administrator there"))
    asking = sum(row.state == RecordState.ATTENTION for row in things)
    if asking:
        return "attention", ngettext("%(count)d needs you", "%(count)d need you", asking) % {"count": asking}
    if provisioning.is_running(things):
        return "in_flight", _("Being connected")
    wrong = sum(len(row.seen.get("wrong", [])) for row in things)
    if wrong:
        return "warning", ngettext("Connected, %(count)d remark", "Connected, %(count)d remarks", wrong) % {
            "count": wrong
        }
    return "synced", _("Connected and tested")


# --- one project: the question ----------------------------------------------------------------------------------------


@site_page("sync/provision/<int:number>/", "sync_provision_connect")
class ConnectPage(ConfirmView):
    """Who pays, for which kinds, and what will be made. GET searches and asks; only POST acts."""

    template_name = "sync/provision_connect.html"
    permission = ADMINISTER
    act_permission = ADMINISTER
    title = gettext_lazy("Connect a project")

    @cached_property
    def project(self) -> TaigaProject:
        """The row in Taiga's list; 404 without one."""
        project = TaigaProject.objects.filter(taiga_id=self.kwargs["number"], is_known=True).first()
        if project is None:
            raise Http404
        return project

    @cached_property
    def mapping(self) -> ProjectMapping | None:
        """Who pays now."""
        return _mappings().filter(taiga_project_id=self.kwargs["number"]).first()

    @cached_property
    def things(self) -> list[RemoteRecord]:
        """What was wanted in Taiga before."""
        return provisioning.things_of(self.kwargs["number"])

    def get_confirmation(self) -> Confirmation:
        project, mapping = self.project, self.mapping
        names = configured_names(Company.current())
        door = provision_plan.door_of(settings.PUBLIC_URL, mapping.uuid if mapping else "…", "")
        return Confirmation(
            question=_("Connect %(project)s?") % {"project": project},
            consequence=_(
                "What Taiga lacks is made there, a webhook with a key of its own too. What is there already is taken "
                "over as it is; nothing is changed or deleted."
            ),
            submit_label=_("Connect %(project)s") % {"project": project},
            cancel_label=_("Back, connect nothing"),
            cancel_url=reverse("admin:sync_provision"),
            facts=[
                (_("Taiga project"), f"{project.taiga_id} · {project.slug}"),
                (_("Webhook address"), door.own),
                (_("Who pays now"), str(provisioning.target_of(mapping)) if mapping else _("nobody")),
            ],
            columns=[_("Attribute"), _("Type"), _("Options")],
            rows=[[names[each.field], each.type, ", ".join(each.options or ()) or "–"] for each in WANTED.values()],
            marks={"revision": provisioning.revision_of(mapping, self.things)},
        )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        search = self.request.GET.get("q", "").strip()[:100]
        choices, more = choices_for(self.project.name, self.mapping, search)
        kinds = {row.desired.get("kind") for row in self.things}
        failure = discovery.failure()
        return super().get_context_data(
            failure=failure,
            # Nobody to choose and the lists asked for: the page looks again by itself until they were read.
            is_running=not choices and not search and not failure and discovery.read_at() is None,
            sentence=_("The lists are being read; this page looks again by itself."),
            poll_url=self.request.get_full_path(),
            project=self.project,
            mapping=self.mapping,
            search=search,
            choices=choices,
            more=more,
            kinds=[(str(kind), kind in kinds) for kind in (ItemKind.STORY, ItemKind.ISSUE)],
            **kwargs,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        project = self.project
        code = request.POST.get("target", "")
        payers = [*provisioning.targets(), *([provisioning.target_of(self.mapping)] if self.mapping else [])]
        target = next((each for each in payers if each.code == code), None)
        if target is None:
            raise NotAllowed(_("Choose who pays, then connect."))
        progress = reverse("admin:sync_provision_progress", args=[project.taiga_id])
        try:
            provisioning.connect(
                project.taiga_id,
                project.name,
                project.slug,
                target,
                request.POST.getlist("kind"),
                user=request.user,  # type: ignore[arg-type]
                revision=self.mark("revision"),
            )
        except StaleRevision as stale:
            messages.info(request, stale.sentence)
            return HttpResponseRedirect(progress if self.mapping else reverse("admin:sync_provision"))
        messages.success(request, _("%(project)s belongs to %(target)s now.") % {"project": project, "target": target})
        return HttpResponseRedirect(progress)

    def get_failure_url(self) -> str:
        return self.request.get_full_path()


def _mappings() -> QuerySet[ProjectMapping]:
    """With who pays, without the keys: those stay in the database."""
    rows = ProjectMapping.objects.select_related("client", "ninja_project")
    return rows.defer("webhook_key", "previous_webhook_key")


# --- one project: how far it is ---------------------------------------------------------------------------------------


@dataclass
class ThingRow:
    """One thing in Taiga: what, its state, where it came from, and what is to be said of it."""

    name: str
    record: RemoteRecord | None
    origin: str
    sentences: list[str]
    delivery: int | None = None


@site_page("sync/provision/<int:number>/progress/", "sync_provision_progress")
class ProgressPage(PageView):
    """Refreshes itself while something is on its way. POST looks at everything once more."""

    template_name = "sync/provision_progress.html"
    permission = ADMINISTER
    act_permission = ADMINISTER

    def get_shown(self) -> dict[str, Any]:
        things = provisioning.things_of(self._mapping().taiga_project_id)
        return {name_of(row): f"{row.get_state_display()} {row.sentence}".strip() for row in things}

    def look_again(self) -> Mapping[str, Any]:
        """As everywhere; what is on its way says so, whatever was shown."""
        if provisioning.is_running(provisioning.things_of(self.kwargs["number"])):
            return {}
        return super().look_again()

    def get_title(self) -> str:
        return _("Connecting %(project)s") % {"project": self._mapping()}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        things = provisioning.things_of(self.kwargs["number"])
        running = provisioning.is_running(things)
        done = sum(row.state == RecordState.SYNCED for row in things)
        asking = sum(row.state == RecordState.ATTENTION for row in things)
        rows = [_thing_row(row) for row in things]
        if things and not any(row.desired["thing"] == provisioning.TEST for row in things):
            rows.append(ThingRow(_("Test of the webhook"), None, "", [_("Follows when the webhook is there.")]))
        sentence = _("%(done)d of %(all)d there, %(asking)d waiting for you.")
        return super().get_context_data(
            mapping=self._mapping(),
            rows=rows,
            is_running=running,
            poll_url=self.request.get_full_path(),
            sentence=sentence % {"done": done, "all": len(rows), "asking": asking},
            **kwargs,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        here = reverse("admin:sync_provision_progress", args=[self.kwargs["number"]])
        if provisioning.is_running(provisioning.things_of(self.kwargs["number"])):
            messages.info(request, _("It is being looked at already; nothing was done twice."))
            return HttpResponseRedirect(here)
        count = provisioning.check_again(self._mapping(), user=request.user)  # type: ignore[arg-type]
        words = ngettext("%(count)d thing is looked at again.", "%(count)d things are looked at again.", count)
        messages.success(request, words % {"count": count})
        return HttpResponseRedirect(here)

    def _mapping(self) -> ProjectMapping:
        mapping = _mappings().filter(taiga_project_id=self.kwargs["number"]).first()
        if mapping is None:
            raise Http404
        return mapping


def _thing_row(record: RemoteRecord) -> ThingRow:
    desired, seen = record.desired, record.seen
    is_there = record.state == RecordState.SYNCED
    sentences = list(seen.get("wrong", [])) if is_there else [record.sentence] if record.sentence else []
    if desired["thing"] == provisioning.HOOK and seen.get("is_own", True):
        sentences.append(desired["address"])
    origin = ""
    if is_there and desired["thing"] != provisioning.TEST:
        origin = (
            _("made by the console") if seen.get("made") else _("was there") if "id" in seen else _("left as it is")
        )
    return ThingRow(name_of(record), record, origin, sentences, seen.get("delivery") if is_there else None)
