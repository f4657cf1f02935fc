"""Who is mailed an invoice, and who should be. Pure: nobody is called.

Invoice Ninja mails every invitation of an invoice. Invitations are made with it and ignore what becomes of the contacts
later: one who was switched off is mailed, a new one is not (recordings 635 to 641). So a mail leaves only where the
invitations and the contacts who want mail are the same people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from invoicing.models import Invoice
from sync.clients.ninja_rows import NinjaClient, NinjaInvoice


@dataclass(frozen=True)
class Person:
    """One contact of a client; `email` is "" where there is none, `wants_mail` what the contact's own switch says."""

    id: str
    name: str
    email: str
    wants_mail: bool

    def __str__(self) -> str:
        return " ".join(part for part in (self.name, f"({self.email})" if self.email else "") if part)


@dataclass(frozen=True)
class Receivers:
    """`invited` would be mailed, in the order of the invitations; `wanted` are the contacts who want mail."""

    client: str
    invited: tuple[Person, ...]
    wanted: tuple[Person, ...]

    @property
    def emails(self) -> list[str]:
        """The addresses that would be mailed."""
        return [person.email for person in self.invited if person.email]

    @property
    def superfluous(self) -> list[Person]:
        """Who would be mailed without wanting it."""
        ids = {person.id for person in self.wanted}
        return [person for person in self.invited if person.id not in ids]

    @property
    def missing(self) -> list[Person]:
        """Who wants mail and would get none."""
        ids = {person.id for person in self.invited}
        return [person for person in self.wanted if person.id not in ids]

    @property
    def differ(self) -> bool:
        """Whether the invitations can and must be put right."""
        return bool(self.wanted) and bool(self.superfluous or self.missing)

    def why_not(self) -> str:
        """Why no mail may leave, in a sentence that says what to do; "" where it may."""
        words = {"client": self.client}
        if not self.wanted:
            return (
                _(
                    "No contact of client %(client)s gets invoices by mail. Switch that on for one in Invoice Ninja, "
                    "then try again."
                )
                % words
            )
        without = [person.name or _("a contact") for person in self.wanted if not person.email]
        if without:
            sentence = _("Client %(client)s: %(who)s has no e-mail address. Add it in Invoice Ninja, then try again.")
            return sentence % {**words, "who": ", ".join(without)}
        if self.differ:
            return self.difference() + " " + _("Put the receivers right on the page of the invoice, then try again.")
        return ""

    def difference(self) -> str:
        """How the invitations and the contacts differ, with the names; "" where they do not."""
        parts = []
        if self.superfluous:
            sentence = ngettext(
                "Invoice Ninja would mail it to %(who)s, who does not want invoices by mail.",
                "Invoice Ninja would mail it to %(who)s, who do not want invoices by mail.",
                len(self.superfluous),
            )
            parts.append(sentence % {"who": _names(self.superfluous)})
        if self.missing:
            sentence = ngettext(
                "%(who)s wants invoices by mail, but would not be mailed this one.",
                "%(who)s want invoices by mail, but would not be mailed this one.",
                len(self.missing),
            )
            parts.append(sentence % {"who": _names(self.missing)})
        return " ".join(parts)


def of(there: NinjaInvoice, client: NinjaClient) -> Receivers:
    """By the invoice and its client as they were just read."""
    people = {
        str(contact.id): Person(contact.id, contact.name, contact.email, contact.gets_mail)
        for contact in client.contacts
    }
    return _made(client.name, [invitation.contact_id for invitation in there.invitations], people)


def known(invoice: Invoice) -> Receivers:
    """By what was last read of the invoice's invitations and of its client's contacts.

    Before the invitations were read the first time they are taken to be whom Invoice Ninja invites: those who want it.
    """
    people = {
        str(contact.get("id") or contact.get("email")): Person(
            str(contact.get("id") or contact.get("email")),
            contact.get("name", ""),
            (contact.get("email") or "").strip(),
            bool(contact.get("send_email")),
        )
        for contact in invoice.client.contacts
    }
    invited = (
        [key for key, person in people.items() if person.wants_mail]
        if invoice.invitations is None
        else [one["contact"] for one in invoice.invitations]
    )
    return _made(str(invoice.client), invited, people)


def as_kept(there: NinjaInvoice, before: list[dict[str, str]] | None) -> list[dict[str, str]]:
    """The invitations as they are kept beside our invoice: whose, and what became of the last mail.

    `before` is what was kept so far: a bounce that a person settled stays settled as long as no other mail went.
    """
    settled = {one["contact"]: one["settled"] for one in before or [] if one.get("settled")}
    return [
        {
            "contact": one.contact_id,
            "status": one.email_status,
            "error": one.email_error,
            "message": one.message_id,
            **({"settled": mark} if settled.get(one.contact_id) == (mark := one.message_id or "-") else {}),
        }
        for one in there.invitations
    ]


def _made(client: str, invited: Iterable[str], people: Mapping[str, Person]) -> Receivers:
    gone = _("a contact who was deleted")
    return Receivers(
        client,
        tuple(people.get(key) or Person(key, gone, "", wants_mail=False) for key in invited),
        tuple(person for person in people.values() if person.wants_mail),
    )


def _names(people: Iterable[Person]) -> str:
    return ", ".join(str(person) or _("a contact") for person in people)


def ids_of(people: Iterable[Person]) -> list[str]:
    """Invoice Ninja's ids of these contacts, sorted."""
    return sorted(person.id for person in people)
