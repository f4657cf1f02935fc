"""The list of time entries, and the acts on one: hold, release, confirm, exclude, write off."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, FilteredRelation, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from billing_console import formats
from billing_console.admin_base import (
    ChoicesCheckboxFilter,
    DialogForm,
    RangeDateFilter,
    RelatedDropdownFilter,
    badge,
    dialog_action,
    display,
)
from billing_console.indexed_search import IndexedSearchAdmin
from billing_console.states import EntryState, ItemKind, Reason
from billing_console.values import number_of
from sync import as_shown, attention, entry_page, hooks
from sync import entries as entry_service
from sync.admin.common import WORK
from sync.models import (
    TimeEntry,
)


def _is_held(entry: TimeEntry) -> bool:
    return entry.state == EntryState.HELD


def _is_waiting(entry: TimeEntry) -> bool:
    return entry.state in entry_service.WAITING


def _is_holdable(entry: TimeEntry) -> bool:
    return _is_waiting(entry) and not entry.held_by_person


def _is_confirmable(entry: TimeEntry) -> bool:
    return _is_held(entry) and entry.reason in attention.CONFIRMABLE and not _is_of_a_family(entry)


def _printed(entry: TimeEntry) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """Hours, rate and amount of the entry's line; of the entry where it is on none."""
    line: hooks.Printed | None = getattr(entry, "printed", None)
    if line is None or not line.is_living:
        return entry.billed_hours, entry.rate, entry.amount
    return line.hours, line.rate, line.amount


def _is_of_a_family(entry: TimeEntry) -> bool:
    return _is_held(entry) and entry.reason == Reason.STORY_AND_TASK


@admin.register(TimeEntry)
class TimeEntryAdmin(IndexedSearchAdmin):
    """What was worked, where is it, why this amount?"""

    list_display = ("task", "person", "day", "raw_to_billed", "rate_cell", "amount_cell", "state_cell")
    list_display_links = ("task",)
    list_filter = (
        ("state", ChoicesCheckboxFilter),
        "reason",
        ("item__kind", ChoicesCheckboxFilter),
        ("client", RelatedDropdownFilter),
        ("project", RelatedDropdownFilter),
        ("person", RelatedDropdownFilter),
        ("work_date", RangeDateFilter),
        "item__closing_found_by",
    )
    secondary_columns = ("person", "rate_cell")
    reference_field = "=item__ref"
    search_fields = ("item__subject", "=item__ref", "^remote_task__our_key")
    search_help_text = _("Subject, reference, or number in Invoice Ninja")
    list_select_related = ("item", "client", "project", "person", "rule_set")
    actions = ("try_again",)
    acts_at_once = True
    actions_detail = (
        "hold",
        "release",
        "confirm",
        "bill_both",
        "leave_to_tasks",
        "exclude_for_good",
        "include",
        "write_off",
        "try_entry_again",
    )
    change_form_before_template = "sync/entry.html"

    def shown_of(self, row: TimeEntry) -> as_shown.Words:
        return as_shown.entry(row)

    def locked(self, pk: Any) -> TimeEntry | None:
        return attention.lock(pk)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """The reconciliation's list of what nobody pays for is no filter that anybody would choose, and is allowed."""
        return lookup == "item__project__isnull" or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def get_fieldsets(self, request: HttpRequest, obj: TimeEntry | None = None) -> list[Any]:
        """None: the page shows the entry itself, not the raw columns."""
        return []

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        entry = self._entry(object_id)
        page = entry_page.context_of(entry) if entry else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **page})

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """With what is printed of each row on the page: once on a line, that is what is billed."""
        page = super().get_changelist_instance(request)
        printed = hooks.printed([entry.pk for entry in page.result_list])
        for entry in page.result_list:
            entry.printed = printed.get(entry.pk)
        return page

    def get_list_totals(self, request: HttpRequest, rows: QuerySet[TimeEntry]) -> list[tuple[str, str]]:
        on_line = FilteredRelation("lines", condition=Q(lines__is_voided=False))  # at most one
        sums = (
            rows.alias(line=on_line)
            .values("currency")
            .annotate(
                count=Count("pk"),
                hours=Sum(Coalesce("line__billed_hours", "billed_hours")),
                amount=Sum(Coalesce("line__amount", "amount")),
            )
        )
        totals = list(sums.order_by("currency"))
        lines = [(_t("Entries"), str(sum(row["count"] for row in totals)))]
        hours = sum((row["hours"] for row in totals if row["hours"]), start=0)
        lines.append((_t("Billed hours"), formats.hours(hours or None)))
        lines += [(_t("Before tax"), formats.money(row["amount"], row["currency"])) for row in totals if row["amount"]]
        return lines

    @staticmethod
    def _entry(object_id: str) -> TimeEntry | None:
        rows = TimeEntry.objects.select_related(
            "item__project", "client", "project", "person", "rule_set", "remote_task"
        )
        number = number_of(str(object_id))
        return rows.filter(pk=number).first() if number is not None else None

    @display(description=_("Item"), ordering="item__ref")
    def task(self, entry: TimeEntry) -> SafeString:
        kind = "" if entry.item.kind == ItemKind.TASK else entry.item.get_kind_display()
        place = " · ".join(str(part) for part in (kind, entry.project, entry.client) if part)
        return format_html('#{} {}<span class="bc-sub">{}</span>', entry.item.ref, entry.item.subject, place)

    @display(description=_("Worked"), ordering="work_date")
    def day(self, entry: TimeEntry) -> str:
        return formats.day(entry.work_date)

    @display(description=_("Raw → billed"), ordering="billed_hours")
    def raw_to_billed(self, entry: TimeEntry) -> SafeString:
        return formats.raw_to_billed(entry.raw_hours, _printed(entry)[0])

    @display(description=_("Rate"), ordering="rate")
    def rate_cell(self, entry: TimeEntry) -> SafeString:
        return formats.cell(formats.rate(_printed(entry)[1], entry.currency))

    @display(description=_("Before tax"), ordering="amount")
    def amount_cell(self, entry: TimeEntry) -> SafeString:
        return formats.cell(formats.money(_printed(entry)[2], entry.currency))

    @display(description=_("State"), ordering="state")
    def state_cell(self, entry: TimeEntry) -> SafeString:
        why = entry.reason_sentence if entry.state == "held" else ""
        return format_html('{}<span class="bc-sub">{}</span>', badge(entry.state, entry.get_state_display()), why)

    @admin.action(description=_("Try again"), permissions=["work"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[TimeEntry]) -> None:
        """Read the items of the selected entries again; nothing else changes, so there is nothing to confirm."""
        tried = self.act_on_selected(request, queryset.select_related("item", "remote_task"), attention.try_again)
        messages.success(
            request,
            ngettext("%(count)d entry is read again.", "%(count)d entries are read again.", tried) % {"count": tried},
        )

    def has_work_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(WORK)

    @dialog_action(title=_("Hold…"), offered_when=_is_holdable, permission=WORK, submit_text=_("Hold"))
    def hold(self, request: HttpRequest, form: DialogForm, row: TimeEntry) -> str:
        attention.hold_entry(row, user=request.user, note=form.cleaned_data["reason"])
        return _t("Held until you release it.")

    @dialog_action(title=_("Release…"), offered_when=attention.can_release, permission=WORK, submit_text=_("Release"))
    def release(self, request: HttpRequest, form: DialogForm, row: TimeEntry) -> str:
        attention.release_entry(row, user=request.user, note=form.cleaned_data["reason"])
        return _t("Released.")

    @dialog_action(
        title=_("Confirm value…"),
        description=_("The value is right as it stands. Another value asks again."),
        offered_when=_is_confirmable,
        permission=WORK,
        submit_text=_("Confirm"),
    )
    def confirm(self, request: HttpRequest, form: DialogForm, row: TimeEntry) -> str:
        attention.confirm_entry(row, user=request.user, note=form.cleaned_data["reason"])
        return _t("Confirmed.")

    @dialog_action(title=_("Bill both…"), offered_when=_is_of_a_family, permission=WORK, submit_text=_("Bill both"))
    def bill_both(self, request: HttpRequest, form: DialogForm, row: TimeEntry) -> str:
        attention.confirm_entry(row, user=request.user, note=form.cleaned_data["reason"])
        return _t("The story and its task are both billed.")

    @dialog_action(
        title=_("Bill the tasks only…"),
        offered_when=attention.can_leave_to_tasks,
        permission=WORK,
        submit_text=_("Bill the tasks only"),
    )
    def leave_to_tasks(self, request: HttpRequest, form: DialogForm, row: TimeEntry) -> str:
        attention.leave_to_tasks(row, user=request.user, note=form.cleaned_data["reason"])
        return _t("The tasks are billed, the story is not, as long as one of them is billable.")

    @dialog_action(title=_("Exclude…"), offered_when=_is_waiting, permission=WORK, submit_text=_("Exclude for good"))
    def exclude_for_good(self, request: HttpRequest, form: DialogForm, row: TimeEntry) -> str:
        attention.exclude_entry(row, user=request.user, note=form.cleaned_data["reason"])
        return _t("Excluded; it is never billed by the console.")

    @dialog_action(
        title=_("Take back…"), offered_when=attention.can_include, permission=WORK, submit_text=_("Decide anew")
    )
    def include(self, request: HttpRequest, form: DialogForm, row: TimeEntry) -> str:
        attention.include_entry(row, user=request.user, note=form.cleaned_data["reason"])
        return _t("Evaluated again.")

    @dialog_action(title=_("Write off…"), offered_when=_is_waiting, permission=WORK, submit_text=_("Write off"))
    def write_off(self, request: HttpRequest, form: DialogForm, row: TimeEntry) -> str:
        attention.write_off_entry(row, user=request.user, note=form.cleaned_data["reason"])
        return _t("Written off.")

    @dialog_action(
        title=_("Read again…"),
        offered_when=_is_held,
        permission=WORK,
        submit_text=_("Read again"),
        form_class=DialogForm,
    )
    def try_entry_again(self, request: HttpRequest, form: DialogForm, row: TimeEntry) -> str:
        attention.try_again(row, user=request.user)
        return _t("It is read again from Taiga.")
