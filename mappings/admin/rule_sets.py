"""Rule sets: a save makes the next version, an old version is only looked at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from billing_console.admin_base import AutocompleteSelectFilter, ModelAdmin, PageView, display, hours, percent, pill
from billing_console.errors import StaleRevision
from billing_console.values import number_of
from mappings.admin.effects import ShowsEffect
from mappings.effects import Change
from mappings.lookups import RULE_FIELDS, new_rule_set_version, rule_set_for, zone_of
from mappings.models import MinimumMode, Rounding, RuleSet, TaxDecision
from mappings.models.rule_sets import is_time_zone
from mappings.rule_set_form import RuleSetForm, warnings_of
from mappings.texts import next_run_sentence, next_run_words


class VersionFilter(admin.SimpleListFilter):
    """Current versions unless all are asked for."""

    title = _("versions")
    parameter_name = "versions"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Beside the current ones, everything."""
        return [("all", _("All versions"))]

    def choices(self, changelist: Any) -> Any:
        """The usual choice is called what it is."""
        for choice in super().choices(changelist):
            if choice["query_string"].find(f"{self.parameter_name}=") < 0:
                choice["display"] = _t("Current versions")
            yield choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[RuleSet]) -> QuerySet[RuleSet]:
        """Only what holds now, unless all are asked for."""
        return queryset if self.value() == "all" else queryset.filter(is_current=True)


SAID_IN_WORDS = (
    "frequency",
    "generation_day",
    "generation_weekday",
    "anchor_date",
    "billing_timezone",
    "rounding",
    "min_billable_hours",
    "product_key",
)


def words_of(rule_set: RuleSet) -> SafeString:
    """What the next run of the rules, stored or not, does, and each thing that is usually a slip, a line each."""
    is_known = is_time_zone(zone_of(rule_set)) and (rule_set.frequency != "biweekly" or rule_set.anchor_date)
    says = next_run_sentence(rule_set) if is_known else _t("The next run is said here once the values are right.")
    lines = [format_html("{}", says)]
    lines += [pill("warning", "triangle", warning) for warning in warnings_of(rule_set)]
    return format_html_join(mark_safe("<br>"), "{}", ((line,) for line in lines))


class RuleSetWords(PageView):
    """What rules would do, said from values that are typed and not saved: the part of the form that follows them."""

    template_name = "mappings/rule_words.html"
    title = _("Rules in words")
    permission = "mappings.view_ruleset"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        form = RuleSetForm(self.request.GET)
        form.is_valid()  # other fields may be missing: only these are said
        wrong = [message for name in SAID_IN_WORDS for message in form.errors.get(name, ())]
        typed = {name: form.cleaned_data[name] for name in SAID_IN_WORDS if name in form.cleaned_data}
        words = " ".join(wrong) if wrong else words_of(RuleSet(**typed))
        return super().get_context_data(words=words, **kwargs)


@admin.register(RuleSet)
class RuleSetAdmin(ShowsEffect, ModelAdmin):
    """How hours become invoices, for the company and for clients with rules of their own."""

    form = RuleSetForm
    list_display = (
        "whose",
        "rules_name",
        "next_run_column",
        "rounding_words",
        "tax_words",
        "payment_terms",
        "currentness",
    )
    list_select_related = ("client",)
    list_filter = (VersionFilter, "frequency", ("client", AutocompleteSelectFilter))
    secondary_columns = ("rounding_words", "payment_terms")
    search_fields = ("name", "client__name", "client__ninja_id")
    autocomplete_fields = ("client",)
    ordering = ("client__name", "-version")
    fieldsets = (
        (None, {"fields": ("client", "name")}),
        (
            _("Hours"),
            {"fields": ("rounding", "rounding_mode", "min_billable_hours", "min_mode", "prefer")},
        ),
        (
            _("Invoices"),
            {"fields": ("grouping", "product_key", "payment_terms", "footer", "auto_send", "taiga_invoiced_when")},
        ),
        (_("Tax"), {"fields": ("tax_decision", "tax_name", "tax_rate", "no_tax_text")}),
        (
            _("When"),
            {
                "fields": (
                    "frequency",
                    "generation_day",
                    "generation_weekday",
                    "anchor_date",
                    "billing_timezone",
                    "next_run",
                )
            },
        ),
    )

    pages = (("words/", "words", RuleSetWords),)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Whose rules they are is chosen once."""
        return ("client", "next_run") if obj else ("next_run",)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Only the current version is a starting point for the next."""
        may = super().has_change_permission(request, obj)
        return may and (not isinstance(obj, RuleSet) or obj.is_current)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never: invoices and entries point at the version that made them."""
        return False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A save on a version that is no longer current leads to the current one, with the reason."""
        if request.method == "POST" and self.has_view_or_change_permission(request):
            number = number_of(object_id)
            shown = RuleSet.objects.filter(pk=number, is_current=False).first() if number is not None else None
            if shown is not None:
                return self._to_current(request, shown)
        try:
            return super().change_view(request, object_id, form_url, extra_context)
        except StaleRevision:
            return self._to_current(request, RuleSet.objects.get(pk=object_id))

    def change_of(self, form: RuleSetForm) -> Change:
        """The version that a save would make, and the rules that hold for the same clients until then."""
        typed = {name: form.cleaned_data[name] for name in RULE_FIELDS if name in form.cleaned_data}
        client = form.instance.client
        before = rule_set_for(client)
        version = before.version + 1 if before.client_id == form.instance.client_id else 1
        values = {name: getattr(form.instance, name) for name in RULE_FIELDS} | typed
        return Change(rule_set=RuleSet(client=client, version=version, **values), rules_before=before)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """New rules of a client begin as the company's are now."""
        company = RuleSet.objects.filter(client__isnull=True, is_current=True).first()
        values = {name: getattr(company, name) for name in RULE_FIELDS} if company is not None else {}
        return values | super().get_changeform_initial_data(request)

    def save_model(self, request: HttpRequest, obj: Any, form: RuleSetForm, change: bool) -> None:
        """Make the next version of what was on the screen; the object becomes that version."""
        changes = {name: form.cleaned_data[name] for name in RULE_FIELDS if name in form.cleaned_data}
        shown = RuleSet.objects.get(pk=obj.pk) if change else None
        made = new_rule_set_version(obj.client, changes, request.user, based_on=shown)
        obj.__dict__.update(made.__dict__)
        for warning in form.warnings():
            messages.warning(request, warning)
        messages.info(request, f"{made}: {next_run_sentence(made)}")

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """ "Save and continue" continues with the version just made."""
        if "_continue" in request.POST:
            messages.success(request, _t("%(rules)s was saved. You can go on editing it.") % {"rules": obj})
            return HttpResponseRedirect(reverse("admin:mappings_ruleset_change", args=[obj.pk]))
        return super().response_change(request, obj)

    def _to_current(self, request: HttpRequest, shown: RuleSet) -> HttpResponse:
        current = RuleSet.objects.filter(client=shown.client_id, is_current=True).first() or shown
        facts = {"current": current}
        messages.error(
            request, _t("Somebody made %(current)s since you opened the page. Check it and do it again.") % facts
        )
        return HttpResponseRedirect(reverse("admin:mappings_ruleset_change", args=[current.pk]))

    @display(description=_("whose"), ordering="client__name")
    def whose(self, rule_set: RuleSet) -> str:
        """The client, or the company."""
        return str(rule_set.client) if rule_set.client else _t("The company")

    @display(description=_("rules"), ordering="name")
    def rules_name(self, rule_set: RuleSet) -> str:
        """Name and version."""
        return str(rule_set)

    @display(description=_("next run"))
    def next_run(self, rule_set: RuleSet) -> SafeString:
        """What the next run does, by the values in the form; asked again whenever one of them changes."""
        return format_html(
            '<span role="status" hx-get="{}" hx-include="{}" hx-trigger="change from:#ruleset_form">{}</span>',
            reverse("admin:mappings_ruleset_words"),
            ", ".join(f"#ruleset_form [name={name}]" for name in SAID_IN_WORDS),
            words_of(rule_set),
        )

    @display(description=_("next run"))
    def next_run_column(self, rule_set: RuleSet) -> str:
        """The same under its own header; a version that was followed runs no more."""
        return next_run_words(rule_set) if rule_set.is_current else "–"

    @display(description=_("rounding"))
    def rounding_words(self, rule_set: RuleSet) -> str:
        """Rounding and minimum in a line."""
        rounding = rule_set.get_rounding_display()
        if rule_set.rounding != Rounding.NONE:
            rounding = f"{rounding}, {rule_set.get_rounding_mode_display()}"
        if not rule_set.min_billable_hours:
            return rounding
        facts = {"rounding": rounding, "minimum": hours(rule_set.min_billable_hours)}
        if rule_set.min_mode == MinimumMode.SKIP:
            return _t("%(rounding)s; below %(minimum)s not billed") % facts
        return _t("%(rounding)s; at least %(minimum)s") % facts

    @display(description=_("tax"))
    def tax_words(self, rule_set: RuleSet) -> SafeString | str:
        """The decision; an open one blocks approval."""
        if rule_set.tax_decision == TaxDecision.UNDECIDED:
            return pill("warning", "triangle", _("not decided"))
        if rule_set.tax_decision == TaxDecision.NO_TAX:
            return format_html("{}<br>{}", _t("no tax"), rule_set.no_tax_text)
        decimals = 0 if rule_set.tax_rate == int(rule_set.tax_rate) else 2
        return f"{rule_set.tax_name} {percent(rule_set.tax_rate, decimals=decimals)}"

    @display(description=_("state"))
    def currentness(self, rule_set: RuleSet) -> SafeString:
        """Current or followed by a newer version."""
        if rule_set.is_current:
            return pill("success", "check", _("current"))
        return pill("neutral", "cross", _("followed"))
