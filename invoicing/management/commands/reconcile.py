"""manage.py reconcile --month 2025-12: reads both servers and exits 1 when a month does not balance."""

from __future__ import annotations

import json
import re
import sys
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.translation import gettext as _

from billing_console import money
from billing_console.errors import ConsoleError
from invoicing import against_readings, readings
from invoicing.identities import Identity, Term
from mappings import rules
from mappings.rules import Period
from sync import gate


def month(text: str) -> Period:
    """The period of a month written as 2025-12. Raises ArgumentTypeError with one sentence."""
    found = re.fullmatch(r"(\d{4})-(\d{2})", text)
    if not found or not 1 <= int(found[2]) <= 12:
        raise ArgumentTypeError(f"{text!r} is no month; write it as 2025-12.")
    return rules.month(int(found[1]), int(found[2]))


class Command(BaseCommand):
    help = "Prove that what was worked in a month is what was billed; exits with 1 when it does not balance."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--month", type=month, required=True, help="The month of the work dates, e.g. 2025-12.")
        parser.add_argument(
            "--last-reading",
            action="store_true",
            help="Compare with the last reading of both servers instead of reading them now.",
        )
        parser.add_argument("--json", action="store_true", help="Print the identities as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        refused = "" if options["last_reading"] else _read_now()
        identities = against_readings.check_all(options["month"])
        if options["json"]:
            self.stdout.write(json.dumps([_as_json(identity) for identity in identities], indent=2))
        else:
            for identity in identities:
                self.stdout.write(_as_text(identity))
        if refused or readings.latest() is None:
            self.stderr.write(refused or _("Both servers were never read. Leave out --last-reading."))
            sys.exit(1)
        if not all(identity.is_true for identity in identities):
            self.stderr.write(_("This month does not balance; the lines with ✗ say by how much."))
            sys.exit(1)
        if gate.reconciled():
            self.stderr.write(_("Writing to Taiga and Invoice Ninja goes on after the restore."))


def _read_now() -> str:
    """Read both servers; returns the sentence why that failed, else ""."""
    try:
        return readings.read_now().sentence
    except ConsoleError as error:
        return error.sentence


def _as_text(identity: Identity) -> str:
    mark = "✓" if identity.is_true else "✗"
    terms = " + ".join(_term(term) for term in identity.right if term.count or term.amounts)
    gap = "" if identity.is_true else f"  ({'; '.join(identity.residue)})"
    lines = [f"{mark} {identity.name}: {_term(identity.left)} = {terms or '0'}{gap}"]
    named = [row for term in identity.right for row in term.rows] + list(identity.leftovers)
    return "\n".join([*lines, *(f"    {row.sentence}" for row in named)])


def _term(term: Term) -> str:
    figures = [str(term.count)] if term.count else []
    figures += [f"{term.hours.normalize():f} h"] if term.hours else []
    figures += [f"{money.quantize(amount, currency)} {currency}" for currency, amount in sorted(term.amounts.items())]
    return f"{term.name} {', '.join(figures) or '0'}"


def _as_json(identity: Identity) -> dict[str, Any]:
    return {
        "name": identity.name,
        "is_true": identity.is_true,
        "left": _term_json(identity.left),
        "of_left": [_term_json(term) for term in identity.of_left],
        "right": [_term_json(term) for term in identity.right],
        "residue": list(identity.residue),
        "differing": [leftover.sentence for leftover in identity.leftovers],
    }


def _term_json(term: Term) -> dict[str, Any]:
    return {
        "name": term.name,
        "count": term.count,
        "hours": str(term.hours),
        "rows": [row.sentence for row in term.rows],
        "amounts": {currency: str(amount) for currency, amount in term.amounts.items()},
    }
