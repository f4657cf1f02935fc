"""manage.py setup_schedule: what beat rings."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils.translation import gettext as _

from sync import schedule


class Command(BaseCommand):
    help = "Make the missing schedules; those that an administrator edited stay as they are."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            made = schedule.set_up()
        if options["json"]:
            self.stdout.write(json.dumps({"made": made}))
        else:
            self.stdout.write(_("%(count)d schedules made.") % {"count": len(made)})
