"""manage.py close_month --month 2025-12: reads both servers, closes the month, says by its exit code how it went."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console.errors import ConsoleError
from invoicing.books import closing as closings
from invoicing.management.commands.reconcile import month, read_now
from invoicing.models import Closing
from invoicing.reconcile_months import name_of
from sync.fit_command import FitCommand

REFUSED, NOT_READ = 1, 3


class Command(FitCommand):
    help = (
        "Close a month: keep its certificate and lists, and date nothing into it any more. Exits with 0 when it is "
        "closed, with 1 when that was refused, with 3 when the servers could not be read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--month", type=month, required=True, help="The month, e.g. 2025-12.")
        parser.add_argument("--reason", default="", help="Why it is closed although something differs.")
        parser.add_argument("--user", default="", help="Who closes it, by user name; nobody where it is left out.")
        parser.add_argument(
            "--last-reading",
            action="store_true",
            help="Compare with the last reading of both servers instead of reading them now.",
        )
        parser.add_argument("--json", action="store_true", help="Print the closing as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        period = options["month"]
        try:
            user = self._user(options["user"])
            if why := closings.why_not(period):
                self._stop(why, REFUSED)
            if not options["last_reading"] and (why := read_now()):
                self._stop(why, NOT_READ)
            closing = closings.close(period, user=user, reason=options["reason"])
        except ConsoleError as error:
            self._stop(error.sentence, REFUSED)
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(closing), indent=2))
        else:
            words = {"month": name_of(period), "verdict": closing.verdict_words, "hash": closing.hash}
            self.stdout.write(_("%(month)s is closed. %(verdict)s. sha256 %(hash)s") % words)

    def _stop(self, sentence: str, code: int) -> None:
        self.stderr.write(sentence)
        sys.exit(code)

    @staticmethod
    def _user(name: str) -> User | None:
        if not name:
            return None
        user = User.objects.filter(username=name, is_active=True).first()
        if user is None or not user.has_perm("invoicing.close_month"):
            raise ConsoleError(_("There is no active user “%(name)s” who may close a month.") % {"name": name})
        return user


def _as_json(closing: Closing) -> dict[str, Any]:
    return {
        "month": f"{closing.period_start:%Y-%m}",
        "closed_on": closing.closed_on.isoformat(),
        "verdict": closing.verdict,
        "sentence": closing.verdict_words,
        "reason": closing.reason,
        "hash": closing.hash,
        "files": {file.name: file.sha256 for file in closing.files.order_by("name")},
    }
