"""`manage.py doctor [--json] [--project ID]`: is everything connected and set right? Exits 1 when it is not."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from invoicing import doctor_page
from invoicing.doctor_page import Line
from mappings.models import ProjectMapping
from sync.doctor import checking
from sync.doctor.findings import ERROR, OK
from sync.models import DoctorCheck, Server

_MARKS = {"error": "✗", "warning": "!", "ok": "✓"}


class Command(BaseCommand):
    """Exit code 0: no error (there may be warnings); 1: an error, or something could not be looked at."""

    help = "Ask both servers whether everything is connected and set right, and say in one line each what is not."

    requires_system_checks = ()  # it says itself what they find

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", type=int, help="Only the project with this id in Taiga, and Taiga itself.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        mapping = None
        if options["project"] is not None:
            mapping = ProjectMapping.objects.filter(taiga_project_id=options["project"]).first()
            if mapping is None or not mapping.is_active:
                words = {"id": options["project"]}
                raise CommandError(
                    _("No active project has the id %(id)d in Taiga. Look at the list of projects.") % words
                )
        checking.check_now(mapping)
        zone = settings.BILLING_TIMEZONE
        checks = list(DoctorCheck.objects.select_related("project"))
        if mapping is not None:
            checks = [check for check in checks if check.key in (Server.TAIGA, checking.key_of(mapping))]
            lines = doctor_page.worst_first(doctor_page.found_lines(checks, zone))
        else:
            lines = doctor_page.all_lines(checks, zone)
        unchecked = doctor_page.unchecked(checks, zone)
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(lines, unchecked), indent=2))
        else:
            for line in lines:
                self._say(line)
            for names, why in unchecked:
                self.stdout.write(_("? Not checked: %(names)s. %(why)s") % {"names": names, "why": why})
            self.stdout.write(doctor_page.summary(lines, is_complete=not unchecked))
        if unchecked or any(line.severity == ERROR for line in lines):
            sys.exit(1)

    def _say(self, line: Line) -> None:
        self.stdout.write(f"{_MARKS[line.severity]} {line.what}: {line.sentence}")
        if line.severity != OK:
            for detail in line.details:
                self.stdout.write(f"    {detail}")
            if line.url:
                self.stdout.write(f"    {_address(line.url)}")


def _address(url: str) -> str:
    return f"{settings.PUBLIC_URL.rstrip('/')}{url}" if url.startswith("/") else url


def _as_json(lines: list[Line], unchecked: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "findings": [
            {
                "severity": line.severity,
                "what": line.what,
                "code": line.code,
                "sentence": line.sentence,
                "url": _address(line.url) if line.url else "",
                "details": list(line.details),
            }
            for line in lines
        ],
        "unchecked": [{"what": names, "why": why} for names, why in unchecked],
    }
