"""A reconciliation as a document: its figures as rows, as a file, and a hash by which two copies are compared. Pure."""

from __future__ import annotations

import csv
import hashlib
import json
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from decimal import Decimal
from io import StringIO

from billing_console.cells import harmless
from invoicing.identities import Identity, Term

Row = tuple[str, str, str, str, str, str]


def rows(identities: Sequence[Identity]) -> Iterator[Row]:
    """(identity, side, term, count, hours, "EUR 12.50; USD 3.00") for every term; residues last, as their own side."""
    for identity in identities:
        yield _row(identity, "left", identity.left)
        for term in identity.of_left:
            yield _row(identity, "of it", term)
        for term in identity.right:
            yield _row(identity, "right", term)
            for row in term.rows:
                yield identity.name, "row of it", row.sentence, "", "", ""
        for residue in identity.residue:
            yield identity.name, "residue", residue, "", "", ""
        for leftover in identity.leftovers:
            yield identity.name, "row that differs", leftover.sentence, "", "", ""


def as_csv(
    about: str, identities: Sequence[Identity], before: Sequence[Sequence[str]] = (), verdict: str = ""
) -> bytes:
    """The file: rows of its own first (`before`), then the figures, at last verdict and hash; no cell is a formula."""
    file = StringIO()
    writer = csv.writer(file)
    for cells in before:
        writer.writerow([harmless(cell) for cell in cells])
    writer.writerow(["identity", "side", "term", "count", "hours", "amounts"])
    for row in rows(identities):
        writer.writerow([harmless(cell) if column < 3 else cell for column, cell in enumerate(row)])
    writer.writerow(["verdict", "", harmless(verdict), "", "", ""])
    writer.writerow(["sha256", "", hash_of(about, identities, before), "", "", ""])
    return BOM_UTF8 + file.getvalue().encode()


def hash_of(about: str, identities: Sequence[Identity], before: Sequence[Sequence[str]] = ()) -> str:
    """sha256 over `about` (the days and the filters, or the run; which reading; the verdict) and every figure."""
    content = json.dumps([about, *(list(cells) for cells in before), *rows(identities)], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def _row(identity: Identity, side: str, term: Term) -> Row:
    amounts = "; ".join(f"{code} {_plain(amount)}" for code, amount in sorted(term.amounts.items()))
    return identity.name, side, term.name, str(term.count), _plain(term.hours), amounts


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
