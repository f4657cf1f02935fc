"""What changed in Taiga after an entry was claimed: a stale draft, a Difference, or the next cycle.

A claimed entry is never priced again. What somebody typed is compared with what was typed when it was priced; a
changed mapping or rate row touches nothing here (billing-rules: Rate, After the fact).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console import money
from billing_console.states import DifferenceState, EntryState, ItemState
from mappings.lookups import hour_rules
from mappings.models import Client, RuleSet
from mappings.rules import bill_hours
from sync import attributes, hooks, pricing, reasons, settled, standing
from sync.attributes import Unreadable
from sync.cycles import Judgement
from sync.models import Difference, TimeEntry, WorkItem
from sync.settled import Piece
from sync.transitions import advance, record
from sync.world import World

if TYPE_CHECKING:
    from accounts.models import User


def follow(item: WorkItem, entries: list[TimeEntry], world: World, user: User | None) -> bool:
    """Do what a claimed or invoiced last entry needs; True when the caller must open the next cycle.

    An unapproved draft that holds the entry is marked stale and nothing else happens: its refresh releases the entry
    and prices it again. Runs in the caller's transaction, which holds the item and its entries.
    """
    last = entries[-1]
    if item.state == ItemState.GONE:
        hooks.claimed_entry_changed(last, _("#%(ref)s is no longer in Taiga.") % {"ref": item.ref})
        return False
    if item.state == ItemState.OPEN:
        hooks.claimed_entry_changed(last, _("#%(ref)s was reopened in Taiga.") % {"ref": item.ref})
        return False
    changes = _changes(last, item, world)
    is_closed_again = item.closings > last.closing
    credited = standing.credited_of(item.pk)
    if not changes:
        hooks.claimed_entry_restored(last)
    pieces = settled.stand(entries, credited, world.printed)
    if not changes and not credited and not _asks_for_word(item, pieces, is_closed_again=is_closed_again):
        _count_closing(last, item)
        _close_difference(item, _("Taiga says again what was billed."), user)
        return False
    payer = _new_payer(item, last, pieces, world)
    if changes:
        sentence = _("#%(ref)s changed in Taiga: %(changes)s.") % {"ref": item.ref, "changes": "; ".join(changes)}
        if hooks.claimed_entry_changed(last, sentence) == hooks.DRAFT:
            return False
    elif credited:
        sentence = _("#%(ref)s says again what was billed at first, but a part was credited.") % {"ref": item.ref}
    else:
        sentence = _("#%(ref)s still says in Taiga what a person billed otherwise.") % {"ref": item.ref}
    if word := standing.word_of(entries, world, credited):
        sentence += " " + reasons.word_sentence(word)
    if is_closed_again:
        return _close_again(item, last, pieces, world, sentence, user, payer)
    _note_difference(item, last, pieces, world, sentence, user, payer)
    return False


def _asks_for_word(item: WorkItem, pieces: list[Piece], *, is_closed_again: bool) -> bool:
    """Whether a closing without a change is asked about: a person had written what Taiga still does not say."""
    if not any(piece.is_said for piece in pieces):
        return False
    return is_closed_again or Difference.objects.filter(item=item, state=DifferenceState.OPEN).exists()


def _close_again(
    item: WorkItem,
    last: TimeEntry,
    pieces: list[Piece],
    world: World,
    sentence: str,
    user: User | None,
    payer: Client | None,
) -> bool:
    """A closing after the claim: more hours (or hours nobody can read) are the next cycle, fewer a Difference.

    More hours that a person left unbilled are not billed unasked: the same ones stay left, others are asked about.
    """
    hours_now = billable_now(item, world.rule_set(last.client))
    if hours_now is None:
        is_more, is_same = True, False
    elif payer is not None:
        is_more = is_same = False
    else:
        is_more = settled.moved_hours(pieces, hours_now) > 0
        is_same = not settled.deltas(pieces, hours_now, _rate_now(item, world, last), last.currency)
    if is_more and hours_now is not None and _was_left(item, pieces):
        _count_closing(last, item)
        _note_difference(item, last, pieces, world, sentence, user, payer)
        return False
    if is_more:
        _close_difference(item, _("Closed again: what changed is billed in the next cycle."), user)
        return True
    if is_same:
        _count_closing(last, item)
        _close_difference(item, _("Closed again with nothing more to bill."), user)
        return False
    _note_difference(item, last, pieces, world, sentence, user, payer)
    return False


def follow_earlier(
    item: WorkItem, entries: list[TimeEntry], judgement: Judgement, world: World, user: User | None
) -> None:
    """For an unclaimed later cycle: what earlier ones billed to another client than Taiga names since stands as a
    Difference, all of it; else the hours that were taken away below it. The Difference closes when neither is so."""
    earlier = entries[:-1]
    pieces = settled.stand(earlier, standing.credited_of(item.pk), world.printed)
    payer = _new_payer(item, earlier[-1], pieces, world)
    facts = {"ref": item.ref, "before": earlier[-1].client, "now": payer}
    if payer is not None:
        sentence = _("#%(ref)s changed in Taiga: client %(before)s → %(now)s.") % facts
        _write_difference(item, earlier[-1], pieces, money.ZERO, None, sentence, user, payer)
        return
    hours_now = money.ZERO if judgement.state == EntryState.VOID else billable_now(item, judgement.columns["rule_set"])
    if hours_now is None:
        return  # the hours cannot be read: the cycle waits for that
    if settled.moved_hours(pieces, hours_now) < 0:
        sentence = _("#%(ref)s now has fewer hours in Taiga than were billed.") % facts
        _write_difference(item, earlier[-1], pieces, hours_now, None, sentence, user)
    else:
        _close_difference(item, _("Taiga says again what stands billed."), user)


def billed_to_another(item: WorkItem, earlier: list[TimeEntry], pieces: list[Piece], world: World) -> str:
    """The client whom these (earlier) cycles, as `pieces`, stand billed to, where Taiga names another one since and
    nobody decided what becomes of that; else ""."""
    if not earlier or _new_payer(item, earlier[-1], pieces, world) is None:
        return ""
    return str(earlier[-1].client)


def _note_difference(
    item: WorkItem,
    last: TimeEntry,
    pieces: list[Piece],
    world: World,
    sentence: str,
    user: User | None,
    payer: Client | None,
) -> None:
    hours_now = billable_now(item, last.rule_set or world.rule_set(last.client)) if payer is None else money.ZERO
    if hours_now is None:
        hours_now, sentence = settled.settled_hours(pieces), sentence + " " + _("The hours can no longer be read.")
    _write_difference(item, last, pieces, hours_now, _rate_now(item, world, last), sentence, user, payer)


def _write_difference(
    item: WorkItem,
    last: TimeEntry,
    pieces: list[Piece],
    hours_now: Decimal,
    rate_now: Decimal | None,
    sentence: str,
    user: User | None,
    payer: Client | None = None,
) -> None:
    """Open the item's Difference, or bring the open one up to date; one that a person decided stays decided.

    `payer` is the other client whom somebody named in Taiga since: all that stands billed is given back then.
    """
    if payer is not None:
        pieces = settled.as_printed(pieces)
    if rate_now is not None and all(piece.rate == rate_now for piece in pieces if not piece.is_given):
        rate_now = None
    columns: dict[str, Any] = {
        "entry": last,
        "billed_hours": settled.hours_of(pieces),
        "hours_now": hours_now,
        "rate_now": rate_now,
        "amount": settled.total(settled.deltas(pieces, hours_now, rate_now, last.currency)),
        "currency": last.currency,
        "payer_now": payer,
        "sentence": sentence,
    }
    if not settled.moved_hours(pieces, hours_now) and columns["amount"] == 0 and not _is_unreadable(item):
        _close_difference(item, _("Taiga says again what stands billed."), user)
        return
    # The open one need not be the newest: what a person credits meanwhile is a credited one, of that moment.
    if Difference.objects.filter(item=item, state=DifferenceState.OPEN).update(**columns):
        return
    latest = Difference.objects.filter(item=item).order_by("-id").first()
    is_decided = latest is not None and latest.state == DifferenceState.IGNORED
    if latest is not None and is_decided and latest.hours_now == hours_now and latest.amount == columns["amount"]:
        return
    difference = Difference.objects.create(item=item, noticed_at=timezone.now(), **columns)
    record(difference, "", DifferenceState.OPEN, why=sentence, user=user, correlation_id=item.correlation_id)


def _was_left(item: WorkItem, pieces: list[Piece]) -> bool:
    """Whether a person decided last that more hours than are settled stay unbilled."""
    latest = Difference.objects.filter(item=item).order_by("-id").first()
    if latest is None or latest.state != DifferenceState.IGNORED:
        return False
    return latest.hours_now > settled.settled_hours(pieces)


def _close_difference(item: WorkItem, why: str, user: User | None) -> None:
    difference = Difference.objects.filter(item=item, state=DifferenceState.OPEN).first()
    if difference is not None:
        advance(difference, DifferenceState.CLOSED, why=why, user=user, correlation_id=item.correlation_id)


def _count_closing(entry: TimeEntry, item: WorkItem) -> None:
    if entry.closing != item.closings:
        entry.closing = item.closings
        TimeEntry.objects.filter(pk=entry.pk).update(closing=item.closings)


def _new_payer(item: WorkItem, last: TimeEntry, pieces: list[Piece], world: World) -> Client | None:
    """The other client for whom somebody in Taiga named the item, or moved it, since it was billed; else None.

    A project that was mapped to another client says nothing about what was billed: hours now do not depend on who
    pays (billing-rules, What was billed). Nor does a client whom a person decided to leave it at, nor one that
    nothing stands billed against any more.
    """
    billed, now = last.facts.get("inputs", {}), pricing.read_inputs(item)
    is_same = all(billed.get(name) == now[name] for name in ("client", "project"))
    if is_same or not settled.hours_of(pieces):
        return None
    client = pricing.client_of(item, world)
    if client is None or client.pk == last.client_id:
        return None
    left = Difference.objects.filter(item=item, entry=last, state=DifferenceState.IGNORED, payer_now=client)
    return None if left.exists() else client


def billable_now(item: WorkItem, rule_set: RuleSet) -> Decimal | None:
    """Billable hours of the item now by `rule_set`, whoever pays; 0 when it is not billable.

    None when somebody typed what cannot be read.
    """
    raw = item.attributes
    try:
        not_billable = attributes.parse_status(raw.get(attributes.STATUS)) == attributes.NOT_BILLABLE
        if not_billable or not attributes.parse_billable(raw.get(attributes.BILLABLE)):
            return money.ZERO
        total = attributes.parse_hours(raw.get(attributes.HOURS))
    except Unreadable:
        return None
    return bill_hours(total, hour_rules(rule_set)).billed


def _rate_now(item: WorkItem, world: World, entry: TimeEntry) -> Decimal | None:
    """The rate by what the item's own says now, None when nobody changed that or it cannot be read.

    One that says again what was billed counts where a part was credited because of it.
    """
    raw = item.attributes.get(attributes.RATE)
    if attributes.quote(raw) == entry.facts.get("inputs", {}).get("rate"):
        return entry.rate if any(row.rate_now is not None for row in standing.credited_of(item.pk)) else None
    try:
        typed = attributes.parse_rate(raw)
    except Unreadable:
        return None
    if typed is not None or entry.project is None or entry.work_date is None:
        return typed if typed is not None else entry.rate
    chosen = world.find_rate(
        None,
        person=entry.person,
        project=entry.project,
        client=entry.client,
        on=entry.work_date,
        prefer=world.rule_set(entry.client).prefer,
    )
    return chosen.amount if chosen is not None else entry.rate


def _is_unreadable(item: WorkItem) -> bool:
    try:
        attributes.parse_hours(item.attributes.get(attributes.HOURS))
    except Unreadable:
        return True
    return False


def _changes(last: TimeEntry, item: WorkItem, world: World) -> list[str]:
    """What somebody typed otherwise since `last` was priced, in words for who bills: names instead of ids."""
    before, now = last.facts.get("inputs", {}), pricing.read_inputs(item)
    labels = {
        "hours": _("hours"),
        "billable": _("billable"),
        "rate": _("hourly rate"),
        "client": _("client"),
        "not_billable": _("not billable"),
        "project": _("project"),
    }
    payers = ["", ""]
    if before.get("client") != now["client"] and (payer := pricing.client_of(item, world)) != last.client:
        payers = [str(last.client or ""), str(payer or "")]
    return [
        f"{label} {_in_words(name, before.get(name), payers[0], world)} → "
        f"{_in_words(name, now.get(name), payers[1], world)}"
        for name, label in labels.items()
        if before.get(name) != now.get(name)
    ]


def _in_words(name: str, value: Any, payer: str, world: World) -> str:
    if name == "client" and payer:
        return payer
    if name == "project" and (mapping := world.mappings.get(value)) is not None:
        return str(mapping)
    words = {"true": _("yes"), "false": _("no"), "null": _("nothing"), '""': _("nothing"), "": _("nothing")}
    text = str(value).lower() if isinstance(value, bool) else str(value if value is not None else "")
    return words.get(text, text)
