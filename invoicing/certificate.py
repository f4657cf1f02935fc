"""A reconciliation as a document: the same figures as rows, and a hash by which two copies are compared. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal

from invoicing.reconcile import Identity, Term

Row = tuple[str, str, str, str, str, str]


def rows(identities: Sequence[Identity]) -> Iterator[Row]:
    """(identity, side, term, count, hours, "EUR 12.50; USD 3.00") for every term; residues last, as their own side."""
    for identity in identities:
        yield _row(identity, "left", identity.left)
        for term in identity.also:
            yield _row(identity, "left", term)
        for term in identity.right:
            yield _row(identity, "right", term)
        for residue in identity.residue:
            yield identity.name, "residue", residue, "", "", ""


def hash_of(about: str, identities: Sequence[Identity]) -> str:
    """sha256 over `about` (the period and the filters) and every figure."""
    content = json.dumps([about, *rows(identities)], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def _row(identity: Identity, side: str, term: Term) -> Row:
    amounts = "; ".join(f"{code} {_plain(amount)}" for code, amount in sorted(term.amounts.items()))
    return identity.name, side, term.name, str(term.count), _plain(term.hours), amounts


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
