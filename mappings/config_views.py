"""The page "Import and export": configuration files in, after a preview of what they would change, and out as one file.

The preview travels with its files and a digest of what it said; what is confirmed is exactly that, or it is shown anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing_console import clock, shown
from billing_console.admin_base import PageView, site_page
from billing_console.errors import NotAllowed
from mappings import import_jobs, lookups
from mappings.config_files import MAX_BYTES
from mappings.exporter import export_config, to_json, to_yaml
from mappings.import_report import ADDED, CHANGED, FLAGGED, UNCHANGED, ImportReport
from mappings.importer import import_config
from mappings.models import ImportJob, ImportState

Files = list[tuple[str, str]]
FORMATS: Final = {"yaml": (to_yaml, "application/yaml"), "json": (to_json, "application/json")}
SUBJECT: Final = "configuration"
BADGES: Final = {ADDED: "created", CHANGED: "draft", FLAGGED: "warning"}
WORDS_OF_COUNT: Final = {
    ADDED: gettext_lazy("Added"),
    CHANGED: gettext_lazy("Changed"),
    UNCHANGED: gettext_lazy("As the files say already"),
    FLAGGED: gettext_lazy("To look at"),
}
WORDS: Final = {
    ADDED: gettext_lazy("added"),
    CHANGED: gettext_lazy("changed"),
    FLAGGED: gettext_lazy("look at it"),
}


@site_page("mappings/configuration/", "mappings_configuration")
class ConfigurationPage(PageView):
    """GET shows the form or downloads the export; POST previews, and with the preview's digest imports."""

    template_name = "mappings/configuration.html"
    permission = ("mappings.change_company", "mappings.change_projectmapping", "mappings.change_rate")
    act_permission = permission
    title = gettext_lazy("Import and export")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if (name := request.GET.get("export", "")) in FORMATS:
            return _download(name)
        return super().get(request, *args, **kwargs)

    def look_again(self) -> Mapping[str, Any]:
        """What the preview showed; files that are uploaded to be previewed were not shown yet."""
        if "carried" not in self.request.POST:
            return {}
        return shown.read(SUBJECT, self.request.POST.get(shown.FIELD))

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        files = _carried(request) if "carried" in request.POST else _uploaded(request)
        if "carried" in request.POST:
            report = self._import(files, self.seen)
            if report is None:
                return HttpResponseRedirect(reverse("admin:mappings_configuration"))
            messages.warning(request, _("Something changed meanwhile, so nothing was imported. Look at it again."))
        elif import_jobs.is_long(files):
            job = import_jobs.ask(files, request.user)
            return HttpResponseRedirect(reverse("admin:mappings_import_job", args=[job.pk]))
        else:
            report = import_config(files, is_dry_run=True, user=request.user)
        return self.render_to_response(self.get_context_data(**_preview(files, report)))

    def _import(self, files: Files, seen: Mapping[str, Any]) -> ImportReport | None:
        """Import what was previewed; returns the new preview when it would do something else by now."""
        try:
            with transaction.atomic():
                report = import_config(files, user=self.request.user)
                if shown.difference(seen, _as_shown(report)) or report.faults:
                    transaction.set_rollback(True)
                    return report
        except IntegrityError:
            raise NotAllowed(
                _("Somebody changed the same rates meanwhile, so nothing was imported. Try again.")
            ) from None
        messages.success(
            self.request,
            _("Imported: %(added)d added, %(changed)d changed, %(unchanged)d as they were.")
            % {action: report.count(action) for action in (ADDED, CHANGED, UNCHANGED)},
        )
        return None


@site_page("mappings/configuration/<int:pk>/", "mappings_import_job")
class ImportPage(PageView):
    """A long import: how far it is, what it would change, and what became of it. POST has it imported as shown."""

    template_name = "mappings/import_job.html"
    permission = ConfigurationPage.permission
    act_permission = ConfigurationPage.permission
    title = gettext_lazy("Import")

    @cached_property
    def job(self) -> ImportJob:
        return get_object_or_404(ImportJob.objects.defer("files").select_related("asked_by"), pk=self.kwargs["pk"])

    def get_shown(self) -> Mapping[str, Any]:
        return {_("State"): self.job.get_state_display(), "_what": self.job.digest}

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not import_jobs.confirm(self.job):
            raise NotAllowed(_("Something changed meanwhile, so nothing was imported. Look at it again."))
        return HttpResponseRedirect(request.path)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        job, report = self.job, self.job.report
        moving = report.get(ADDED, 0) + report.get(CHANGED, 0)
        words = {"done": job.done, "total": job.total}
        is_running = job.state in (ImportState.WAITING, ImportState.RUNNING)
        if not is_running:
            sentence = job.sentence or job.get_state_display()
        elif not job.total:
            sentence = _("A worker reads the files soon.")
        elif job.is_trial:
            sentence = _("%(done)d of %(total)d things looked through.") % words
        else:
            sentence = _("%(done)d of %(total)d things imported; all of them, or none.") % words
        return super().get_context_data(
            job=job,
            is_running=is_running,
            sentence=sentence,
            poll_url=self.request.path,
            counts=[(WORDS_OF_COUNT[action], report[action]) for action in WORDS_OF_COUNT if report.get(action)],
            rows=[(BADGES[action], WORDS[action], *rest) for action, *rest in report.get("changes", ())],
            can_import=job.state == ImportState.PREVIEWED and moving > 0,
            button=ngettext("Import %(count)d change", "Import %(count)d changes", moving) % {"count": moving},
            **kwargs,
        )


def _download(name: str) -> HttpResponse:
    write, content_type = FORMATS[name]
    today = clock.today(lookups.zone_of(lookups.rule_set_for(None)))
    answer = HttpResponse(write(export_config()), content_type=f"{content_type}; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="billing-console-{today.isoformat()}.{name}"'
    answer["Cache-Control"] = "no-store"
    return answer


def _uploaded(request: HttpRequest) -> Files:
    uploads = request.FILES.getlist("files")
    if not uploads:
        raise NotAllowed(_("Choose at least one file: JSON, YAML, or Markdown with such blocks."))
    if sum(upload.size or 0 for upload in uploads) > MAX_BYTES:
        raise NotAllowed(_("The files are larger than 1 MiB together; that is no configuration."))
    files = []
    for upload in uploads:
        try:
            files.append((str(upload.name), upload.read().decode("utf-8")))
        except UnicodeDecodeError:
            raise NotAllowed(_("%(file)s is no UTF-8 text file.") % {"file": upload.name}) from None
    return files


def _carried(request: HttpRequest) -> Files:
    """The files of a preview, as its form sends them back."""
    try:
        rows = json.loads(request.POST.get("carried", ""))
        return [(str(name), str(text)) for name, text in rows]
    except (ValueError, TypeError):
        raise NotAllowed(_("The preview is incomplete. Choose the files again.")) from None


def _preview(files: Files, report: ImportReport) -> dict[str, Any]:
    changes = [change for change in report.changes if change.action != UNCHANGED]
    moving = report.count(ADDED) + report.count(CHANGED)
    return {
        "report": report,
        "file_names": ", ".join(name for name, _text in files),
        "rows": [(BADGES[change.action], WORDS[change.action], change.sentence, change.place) for change in changes],
        "unchanged": report.count(UNCHANGED),
        "button": ngettext("Import %(count)d change", "Import %(count)d changes", moving) % {"count": moving},
        "can_import": not report.faults and moving > 0,
        "carried": json.dumps(files, ensure_ascii=False),
        "shown_field": shown.field(SUBJECT, _as_shown(report)),
    }


def _as_shown(report: ImportReport) -> dict[str, str]:
    """What the preview shows of each change, by its place in the files."""
    return {str(n): f"{one.action} {one.sentence} {one.place}" for n, one in enumerate(report.changes)}
