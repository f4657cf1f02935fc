"""The two servers as they are called: paused by a person, left alone by the breaker, and what alarms were raised."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from billing_console import formats
from billing_console.admin_base import DialogForm, ReadOnlyModelAdmin, badge, dialog_action, display
from sync import as_shown, gate, rests, tokens
from sync.admin.common import ADMINISTER, moment
from sync.models import Alarm, Server, UpstreamGate


@admin.register(UpstreamGate)
class UpstreamGateAdmin(ReadOnlyModelAdmin):
    """Whether each server is called; an administrator may pause writing and let it go on."""

    list_display = ("name", "state_cell", "why", "calls_again", "login_ends")
    list_display_links = ("name",)
    fields = (
        "server",
        ("is_paused", "pause_reason", "paused_at", "paused_by"),
        ("failures", "open_since", "resume_at"),
        "sentence",
    )
    actions_detail = ("ask_now", "pause_writing", "resume_writing")

    def shown_of(self, row: UpstreamGate) -> as_shown.Words:
        return as_shown.gate(row)

    @display(description=_("Server"), ordering="server")
    def name(self, row: UpstreamGate) -> str:
        return str(Server(row.server).label)

    @display(description=_("State"))
    def state_cell(self, row: UpstreamGate) -> SafeString:
        if row.open_since is not None:
            return badge("error", _t("Not called"))
        if rests.is_resting(row):
            return badge("attention", _t("Left alone until %(time)s") % {"time": moment(row.resume_at)})
        return badge("held", _t("Writing paused")) if row.is_paused else badge("ok", _t("Called"))

    @display(description=_("Why"))
    def why(self, row: UpstreamGate) -> str:
        what_happened = row.sentence if rests.is_left_alone(row) else ""
        return " ".join(filter(None, [what_happened, row.pause_reason])) or formats.NOTHING

    @display(description=_("Asked again"))
    def calls_again(self, row: UpstreamGate) -> str:
        return moment(row.resume_at)

    @display(description=_("Login ends"))
    def login_ends(self, row: UpstreamGate) -> str:
        end = tokens.end_of(settings.TAIGA_TOKEN) if row.server == Server.TAIGA else None
        return moment(end) if end is not None else _t("does not end")

    @dialog_action(
        title=_("Ask now…"),
        description=_(
            "It is called again at once, with what waits for it, although it asked for a pause or did not answer."
        ),
        permission=ADMINISTER,
        submit_text=_("Ask now"),
        form_class=DialogForm,
        offered_when=rests.is_left_alone,
    )
    def ask_now(self, request: HttpRequest, form: DialogForm, row: UpstreamGate) -> str:
        gate.ask_now(row.server, user=request.user)
        return _t("It is asked now.")

    @dialog_action(
        title=_("Pause writing…"),
        description=_("Nothing is written there until somebody resumes it. Reading goes on, and nothing is lost."),
        permission=ADMINISTER,
        submit_text=_("Pause writing"),
        offered_when=lambda row: not row.is_paused,
    )
    def pause_writing(self, request: HttpRequest, form: DialogForm, row: UpstreamGate) -> str:
        gate.pause(row.server, form.cleaned_data["reason"], user=request.user)
        return _t("Paused. What is due waits.")

    @dialog_action(
        title=_("Write again…"),
        description=_("What waited is written at once."),
        permission=ADMINISTER,
        submit_text=_("Write again"),
        form_class=DialogForm,
        offered_when=lambda row: row.is_paused,
    )
    def resume_writing(self, request: HttpRequest, form: DialogForm, row: UpstreamGate) -> str:
        gate.resume(row.server, user=request.user)
        return _t("Writing goes on.")


@admin.register(Alarm)
class AlarmAdmin(ReadOnlyModelAdmin):
    """What alarmed somebody, when it was over, and whether it was mailed."""

    list_display = ("sentence", "since", "over", "mailed")
    list_display_links = None
    show_full_result_count = False

    @display(description=_("Since"), ordering="raised_at")
    def since(self, row: Alarm) -> str:
        return moment(row.raised_at)

    @display(description=_("Over"))
    def over(self, row: Alarm) -> str | SafeString:
        return moment(row.cleared_at) if row.cleared_at else badge("attention", _t("Lasts"))

    @display(description=_("Mailed"))
    def mailed(self, row: Alarm) -> str:
        return row.mail_error or moment(row.mailed_at)
