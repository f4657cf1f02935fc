"""`manage.py ninja_webhook`: the address that Invoice Ninja's webhooks are given, and the events that are of use."""

from __future__ import annotations

import json
from typing import Any, Final

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from sync.fit_command import FitCommand
from sync.views import ninja_hook_secret

# By Invoice Ninja's own numbers; each of them tells of money or of the end of an invoice.
EVENTS: Final = {
    4: gettext_lazy("payment created"),
    31: gettext_lazy("payment updated"),
    12: gettext_lazy("payment deleted"),
    8: gettext_lazy("invoice updated"),
    60: gettext_lazy("invoice sent"),
    9: gettext_lazy("invoice deleted"),
}


class Command(FitCommand):
    """Exit code 0: printed; 1: a variable is missing. Calls nobody. What it prints is a secret: it lets a stranger

    have the console look at Invoice Ninja, nothing more.
    """

    help = "Print the address for Invoice Ninja's webhooks, and which events to choose."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        missing = [name for name in ("PUBLIC_URL", "WEBHOOK_SECRET") if not getattr(settings, name)]
        if missing:
            raise CommandError(
                _("%(name)s is not set. Set it and start the console again.") % {"name": ", ".join(missing)}
            )
        address = f"{settings.PUBLIC_URL.rstrip('/')}/webhooks/invoice-ninja/{ninja_hook_secret()}"
        if options["json"]:
            events = [{"id": number, "name": str(name)} for number, name in EVENTS.items()]
            self.stdout.write(json.dumps({"address": address, "events": events}, indent=2))
            return
        self.stdout.write(address)
        self.stdout.write("")
        self.stdout.write(_("In Invoice Ninja: Settings → Account Management → Integrations → API Webhooks."))
        self.stdout.write(_("One webhook for each of these events, with this address and the method POST:"))
        for number, name in EVENTS.items():
            self.stdout.write(f"  {number:>2}  {name}")
