"""manage.py reconcile --month 2025-12: reads both servers and says by its exit code what is proven of a month."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from billing_console import money
from billing_console.errors import ConsoleError
from invoicing import readings
from invoicing.identities import Identity, Term
from invoicing.reconcile_months import name_of, read_month
from invoicing.verdict import Proof, Verdict, prove
from mappings.rules import Period
from sync import gate
from sync.fit_command import FitCommand

# 2 is what Python answers to wrong arguments.
EXIT_CODES = {Verdict.BALANCES: 0, Verdict.NOTHING: 0, Verdict.DIFFERS: 1, Verdict.OURS: 3}
NOT_READ = 3


def month(text: str) -> Period:
    """The period of a month written as 2025-12. Raises ArgumentTypeError with one sentence."""
    found = read_month(text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no month; write it as 2025-12.")
    return found


class Command(FitCommand):
    help = (
        "Prove that what was worked in a month is what was billed. Exits with 0 when it balances or nothing is to be "
        "proven, with 1 when something differs, with 3 when our side balances but the servers were not read since."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--month", type=month, required=True, help="The month of the work dates, e.g. 2025-12.")
        parser.add_argument(
            "--last-reading",
            action="store_true",
            help="Compare with the last reading of both servers instead of reading them now.",
        )
        parser.add_argument("--json", action="store_true", help="Print the verdict and the identities as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        refused = "" if options["last_reading"] else read_now()
        proof = prove(options["month"])
        if options["json"]:
            self.stdout.write(json.dumps(_proof_json(options["month"], proof, refused), indent=2))
        else:
            for identity in proof.identities:
                self.stdout.write(_as_text(identity))
            self.stdout.write(f"{proof.words}. {proof.sentence}")
        if refused:
            self.stderr.write(refused)
        code = EXIT_CODES[proof.verdict] or (NOT_READ if refused else 0)
        if code:
            sys.exit(code)
        # Only a month with rows, read now, proves that the servers and a restored database belong together.
        if proof.verdict is Verdict.BALANCES and not options["last_reading"] and gate.reconciled():
            self.stderr.write(_("Writing to Taiga and Invoice Ninja goes on after the restore."))


def read_now() -> str:
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


def _proof_json(period: Period, proof: Proof, refused: str) -> dict[str, Any]:
    read_at = proof.reading.read_at if proof.reading else None
    return {
        "month": name_of(period),
        "verdict": proof.verdict.value,
        "sentence": f"{proof.words}. {proof.sentence}",
        "read_at": read_at.isoformat() if read_at else None,
        "reading_failed": refused,
        "identities": [_as_json(identity) for identity in proof.identities],
    }


def _as_json(identity: Identity) -> dict[str, Any]:
    return {
        "name": identity.name,
        "is_true": identity.is_true,
        "left": _term_json(identity.left),
        "of_left": [_term_json(term) for term in identity.of_left],
        "right": [_term_json(term) for term in identity.right],
        "residue": list(identity.residue),
        "differing": [
            {"sentence": row.sentence, "changed_since_the_reading": row.is_newer} for row in identity.leftovers
        ],
    }


def _term_json(term: Term) -> dict[str, Any]:
    return {
        "name": term.name,
        "count": term.count,
        "hours": str(term.hours),
        "rows": [row.sentence for row in term.rows],
        "amounts": {currency: str(amount) for currency, amount in term.amounts.items()},
    }
