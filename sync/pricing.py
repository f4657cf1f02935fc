"""What an item is worth in one billing cycle, or why it cannot be priced (billing-rules: Order of calculation).

Reads no row and writes none: everything comes from the item's mirror and from `World`. Hours are Decimal hours,
amounts and rates are in the currency beside them, dates are local dates of the rule set's zone.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from billing_console import clock, money
from billing_console.states import EntryState, Reason
from mappings.lookups import hour_rules, zone_of
from mappings.models import Client, ProjectMapping, RuleSet
from mappings.rates import has_currency_decimals
from mappings.rules import bill_hours
from sync import attributes, brakes, stories, words
from sync.attributes import BILLABLE, CLIENT, HOURS, RATE, STATUS, Unreadable
from sync.brakes import plain
from sync.cycles import Cycle, Judgement
from sync.models import WorkItem
from sync.world import World

FREE = "rate=0"
BILL_HERE = "bill_here"


def confirm_hours_token(raw_hours: Decimal) -> str:
    """What is remembered when a person confirms unusual hours: another number of hours asks again."""
    return f"hours={plain(raw_hours)}"


def judge(item: WorkItem, cycle: Cycle, world: World) -> Judgement:
    """Price `item` in `cycle`: ready, void, below_minimum, or held with the first reason that applies.

    What is known of a held entry's price is in the columns all the same.
    """
    return _Judge(item, cycle, world).decide()


def read_inputs(item: WorkItem) -> dict[str, Any]:
    """What somebody typed in Taiga that makes the price, as JSON texts: equal inputs mean nothing changed there."""
    raw = item.attributes
    return {
        "hours": attributes.quote(raw.get(HOURS)),
        "billable": attributes.quote(raw.get(BILLABLE)),
        "rate": attributes.quote(raw.get(RATE)),
        "client": attributes.parse_client(raw.get(CLIENT)),
        "not_billable": attributes.parse_status(raw.get(STATUS)) == attributes.NOT_BILLABLE,
        "project": item.taiga_project_id,
    }


def client_of(item: WorkItem, world: World) -> Client | None:
    """Who pays for the item: the client that somebody typed, else its project's; None for an unknown one."""
    mapping = world.mappings.get(item.taiga_project_id or 0)
    if mapping is None:
        return None
    typed = attributes.parse_client(item.attributes.get(CLIENT))
    return mapping.client if typed in ("", mapping.client.ninja_id) else world.typed_clients.get(typed)


class _Judge:
    def __init__(self, item: WorkItem, cycle: Cycle, world: World) -> None:
        self.item, self.cycle, self.world = item, cycle, world
        self.raw: dict[str, Any] = item.attributes
        self.reasons: list[str] = []
        self.columns: dict[str, Any] = {
            "project": None,
            "client": None,
            "rule_set": None,
            "rate_row_id": None,
            "raw_value": attributes.quote(self.raw.get(HOURS)),
            "raw_hours": None,
            "billed_hours": None,
            "rate": None,
            "currency": "",
            "amount": None,
            "work_date": None,
        }
        self.facts: dict[str, Any] = {
            "ref": item.ref,
            "inputs": read_inputs(item),
            "person": str(cycle.person) if cycle.person else "",
            "project": str(item.project) if item.project else f"{item.taiga_project_id}",
            "is_known_there": cycle.is_known_there,
        }

    def hold(self, reason: str, **facts: Any) -> None:
        """Note a reason to wait; the facts of the first one make the sentence."""
        if not self.reasons:
            self.facts.update(facts)
        self.reasons.append(reason)

    def decide(self) -> Judgement:
        hours = self._read_hours()
        mapping = self._find_project()
        client = self._find_client()
        rule_set = self.world.rule_set(client)
        self._set_work_date(rule_set)
        if not self._is_billable():
            return self._judgement(EntryState.VOID)
        self._ask_billed_elsewhere()
        if self._is_left_to_its_tasks(hours):
            return self._judgement(EntryState.VOID)
        if hours is None:
            self._hold_unreadable_hours()
        else:
            self._ask_unusual_hours(hours)
        self._check_mapping(mapping, client)
        billed = self._bill(hours, rule_set) if hours is not None else None
        if mapping is not None:
            self._price(mapping, client, rule_set, billed)
        if self.cycle.billed_to and billed is not None and billed > 0:
            self.hold(Reason.BILLED_TO_ANOTHER, billed_to=self.cycle.billed_to, billed=f"{billed:.2f}")
        if not self.reasons and billed is not None and billed > 0:
            self._brake(hours or money.ZERO, billed)
        if not self.reasons and billed is not None and billed <= 0:
            self.columns.update(rate=None, rate_row_id=None, amount=None, currency="", billed_hours=money.ZERO)
            return self._judgement(EntryState.BELOW_MINIMUM)
        return self._judgement(EntryState.HELD if self.reasons else EntryState.READY)

    def _judgement(self, state: str) -> Judgement:
        reason = self.reasons[0] if state == EntryState.HELD else ""
        return Judgement(state, reason, self.columns, self.facts)

    # --- hours ---

    def _read_hours(self) -> Decimal | None:
        try:
            total = attributes.parse_hours(self.raw.get(HOURS))
        except Unreadable:
            return None
        self.columns["raw_hours"] = total - self.cycle.raw_before
        self.facts["raw_hours"] = plain(total - self.cycle.raw_before)
        self.facts["total_raw_hours"] = plain(total)
        return total

    def _hold_unreadable_hours(self) -> None:
        raw = self.raw.get(HOURS)
        self.hold(
            Reason.UNREADABLE_HOURS,
            attribute=self.world.company.attribute_hours,
            quoted=attributes.quote(raw),
            is_blank=attributes.is_blank(raw),
        )

    def _ask_unusual_hours(self, hours: Decimal) -> None:
        limit = self.world.company.max_item_hours
        if hours == 0:
            self.hold(Reason.NO_HOURS)
        elif hours > limit:
            self.facts["hours_confirmed"] = confirm_hours_token(hours) in self.cycle.confirmed
            if not self.facts["hours_confirmed"]:
                self.hold(Reason.TOO_MANY_HOURS, hours=plain(hours), limit=plain(limit))

    def _bill(self, total: Decimal, rule_set: RuleSet) -> Decimal:
        rules = hour_rules(rule_set)
        result = bill_hours(total, rules)
        billed = result.billed - self.cycle.billed_before
        self.columns["billed_hours"] = billed
        self.facts["hours_words"] = {
            "rounding": rules.rounding,
            "mode": rules.mode,
            "minimum": plain(rules.minimum),
            "minimum_mode": rules.minimum_mode,
            "rounded": f"{result.rounded:f}",
            "billed_total": f"{result.billed:f}",
            "billed_before": f"{self.cycle.billed_before:f}",
            "billed": f"{billed:f}",
        }
        return billed

    # --- billable ---

    def _is_billable(self) -> bool:
        if attributes.parse_status(self.raw.get(STATUS)) == attributes.NOT_BILLABLE:
            self.facts["not_billable_because"] = "status"  # only a person writes this word
            return False
        raw = self.raw.get(BILLABLE)
        if attributes.is_blank(raw) and self.raw.get(attributes.LEFT_BEHIND):
            self.hold(Reason.UNREADABLE_BILLABLE, is_left_behind=True)
            return True
        try:
            is_billable = attributes.parse_billable(raw)
        except Unreadable:
            self.hold(
                Reason.UNREADABLE_BILLABLE,
                attribute=self.world.company.attribute_billable,
                quoted=attributes.quote(raw),
            )
            return True
        if not is_billable:
            self.facts["not_billable_because"] = "checkbox"
        return is_billable

    def _ask_billed_elsewhere(self) -> None:
        says_invoiced = attributes.parse_status(self.raw.get(STATUS)) == attributes.INVOICED
        is_ours = self.cycle.is_known_there or self.cycle.is_pushed or BILL_HERE in self.cycle.confirmed
        if says_invoiced and not is_ours:
            self.hold(Reason.BILLED_ELSEWHERE)

    def _is_left_to_its_tasks(self, hours: Decimal | None) -> bool:
        """Ask about a story beside its task, unless a person has said which is billed."""
        if not hours or stories.BOTH in self.cycle.confirmed:
            return False
        others = self.world.others_of_family(self.item)
        if others and stories.TASKS_ONLY in self.cycle.confirmed:
            self.facts["not_billable_because"] = "tasks"
            return True
        if others:
            self.hold(Reason.STORY_AND_TASK, others=", ".join(f"#{ref}" for ref in others))
        return False

    # --- who pays ---

    def _find_project(self) -> ProjectMapping | None:
        mapping = self.world.mappings.get(self.item.taiga_project_id or 0)
        self.columns["project"] = mapping
        if mapping is not None:
            self.facts["project"] = str(mapping)
        return mapping

    def _find_client(self) -> Client | None:
        client = client_of(self.item, self.world)
        self.columns["client"] = client
        self.facts["client"] = str(client) if client is not None else attributes.parse_client(self.raw.get(CLIENT))
        return client

    def _set_work_date(self, rule_set: RuleSet) -> None:
        zone = zone_of(rule_set)
        day = clock.local_date(self.cycle.first_closed_at, zone)
        self.columns.update(work_date=day, rule_set=rule_set)
        self.facts.update(
            work_date=day.isoformat(),
            zone=zone,
            rule_set={"id": rule_set.pk, "name": rule_set.name, "version": rule_set.version},
        )

    def _check_mapping(self, mapping: ProjectMapping | None, client: Client | None) -> None:
        day = self.columns["work_date"]
        if (
            mapping is None
            or not mapping.is_active
            or (mapping.active_from is not None and day < mapping.active_from)
            or (mapping.active_to is not None and day > mapping.active_to)
        ):
            self.hold(Reason.UNMAPPED_PROJECT)
        elif client is None or not client.is_known or client.is_deleted:
            typed = attributes.parse_client(self.raw.get(CLIENT))
            if typed in ("", mapping.client.ninja_id):
                self.hold(Reason.UNKNOWN_CLIENT)
            else:
                attribute, quoted = self.world.company.attribute_client, attributes.quote(self.raw.get(CLIENT))
                self.hold(Reason.UNKNOWN_CLIENT, attribute=attribute, quoted=quoted)

    # --- price ---

    def _price(self, mapping: ProjectMapping, client: Client | None, rule_set: RuleSet, billed: Decimal | None) -> None:
        currency = self.world.currency_of(client)
        try:
            item_rate = self._read_item_rate(currency)
        except Unreadable:
            return
        self.facts["item_rate"] = plain(item_rate) if item_rate is not None else None
        chosen = self.world.find_rate(
            item_rate,
            person=self.cycle.person,
            project=mapping,
            client=client,
            on=self.columns["work_date"],
            prefer=rule_set.prefer,
        )
        if chosen is None:
            self.hold(Reason.NO_RATE)
            return
        self.facts |= {"rate": chosen.facts(), "prefer": rule_set.prefer}
        self.columns.update(rate=chosen.amount, currency=chosen.currency, rate_row_id=chosen.row_id)
        if chosen.currency != currency:
            self.hold(Reason.CURRENCY, rate_currency=chosen.currency, client_currency=currency)
        if billed is not None and billed > 0:
            amount = money.line_amount(billed, chosen.amount, chosen.currency)
            self.columns["amount"] = amount
            self.facts["amount"] = f"{amount:f}"

    def _brake(self, hours: Decimal, billed: Decimal) -> None:
        """Hold what nothing is wrong with, but what is too unlikely to be billed unseen."""
        if self.cycle.was_billed:
            return
        columns = self.columns
        self._ask_about_word(hours, billed)
        priced = brakes.Priced(
            item=self.item,
            mapping=columns["project"],
            client=columns["client"],
            hours=hours,
            # Hours that were credited are billed again without having been worked again.
            raw=max(columns["raw_hours"], hours - self.cycle.billed_before),
            billed=billed,
            rate=columns["rate"],
            currency=columns["currency"],
            amount=columns["amount"],
            work_date=columns["work_date"],
            closed_at=self.cycle.first_closed_at,
            typed_at=self.cycle.typed_at,
        )
        for brake in brakes.applied(priced, self.world):
            if brake.token not in self.cycle.confirmed:
                self.hold(brake.reason, asked=brake.token, **brake.facts)

    def _ask_about_word(self, hours: Decimal, billed: Decimal) -> None:
        """After a person's word every change is asked, unless Taiga says now what they said (billing-rules)."""
        own, word, token = self.cycle.own_word, self.cycle.word, words.said_token(hours)
        if own is not None and own.is_said:
            rate = self.columns["rate"]
            if (billed, rate) in ((own.first_hours, own.first_rate), (own.hours, own.rate)):
                return
            word, token = words.facts_of(own), f"{token}@{plain(rate)}"
        if word and token not in self.cycle.confirmed:
            self.hold(Reason.SAID_OTHERWISE, asked=token, now=plain(hours), billed=f"{billed:.2f}", **word)

    def _read_item_rate(self, currency: str) -> Decimal | None:
        raw = self.raw.get(RATE)
        try:
            rate = attributes.parse_rate(raw)
            # Printed hours × printed rate is the amount, so a rate finer than the currency cannot be billed.
            if rate is not None and not has_currency_decimals(rate, currency):
                raise Unreadable
        except Unreadable:
            self.hold(
                Reason.UNREADABLE_RATE,
                attribute=self.world.company.attribute_rate,
                quoted=attributes.quote(raw),
            )
            raise
        if rate == 0:
            self.facts["free_confirmed"] = FREE in self.cycle.confirmed
            if not self.facts["free_confirmed"]:
                self.hold(Reason.FREE_OF_CHARGE)
        return rate
