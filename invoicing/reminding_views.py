"""The pages of reminders: who is reminded tonight and of how much; one sent by hand; one that nobody is sure of.

Everything shown is what the last poll read: no server is asked while a page is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import F, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing_console import clock, formats
from billing_console.admin_base import Confirmation, ConfirmView, PageView, site_page
from billing_console.errors import NotAllowed
from billing_console.states import ReminderState
from invoicing import pausing, payments, receivers, reminding, reminding_rules, unapplied
from invoicing.models import Invoice, Reminder, ReminderPause, ReminderText
from invoicing.payments import OWED
from sync.models import Heartbeat

VIEW = ("invoicing.view_invoice", "invoicing.view_reminder")
SEND, PREPARE = "invoicing.send_invoice", "invoicing.prepare_invoice"
ROWS_ON_A_PAGE, SHOWN_BY_HAND = 50, 30
TONIGHT, OVERDUE, OPEN, PAUSED = "tonight", "overdue", "open", "paused"


@dataclass(frozen=True)
class Tab:
    """One way to look at the open invoices."""

    key: str
    label: str
    count: int
    is_current: bool


@site_page("invoicing/reminders/", "invoicing_reminders")
class Reminders(PageView):
    """Every open invoice with the next mail of Invoice Ninja's schedule and what went before; 50 on a page."""

    template_name = "invoicing/reminders.html"
    permission = VIEW
    title = gettext_lazy("Reminders")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        tabs = _tabs()
        wanted = self.request.GET.get("show", TONIGHT)
        wanted = wanted if wanted in tabs else TONIGHT
        rows = tabs[wanted][1].select_related("client").prefetch_related("reminders__by")
        page = Paginator(rows.order_by(F("next_reminder_at").asc(nulls_last=True), "due_date", "pk"), ROWS_ON_A_PAGE)
        by_hand = Reminder.objects.select_related("invoice__client", "by")
        beat = Heartbeat.objects.filter(name="payments").first()
        current = page.get_page(self.request.GET.get("page"))
        pauses = pausing.of_many(current)
        here = unapplied.by_client({invoice.client_id for invoice in current})
        asking = list(by_hand.filter(state=ReminderState.ATTENTION).order_by("pk"))
        return super().get_context_data(
            tabs=[Tab(key, str(label), found.count(), key == wanted) for key, (label, found) in tabs.items()],
            shown=wanted,
            query=f"show={wanted}",
            page_of_rows=current,
            rows=[
                {**_row(invoice, pauses.get(invoice.pk)), "hint": _hint(here.get(invoice.client_id))}
                for invoice in current
            ],
            mailed_all_the_same=tabs[TONIGHT][1].filter(pausing.is_paused()).count(),
            may_pause=self.request.user.has_perm(PREPARE),
            tonight=_tonight_in_words(tabs[TONIGHT][1]),
            asking=asking,
            by_hand=by_hand.exclude(state=ReminderState.ATTENTION).order_by("-pk")[:SHOWN_BY_HAND],
            polled_at=beat.at if beat else None,
            zone=settings.BILLING_TIMEZONE,
            may_send=self.request.user.has_perm(SEND),
            **kwargs,
        )


def _tabs() -> dict[str, tuple[Any, QuerySet[Invoice]]]:
    owed = Invoice.objects.filter(state__in=OWED, balance__gt=0)
    now, day = clock.now(), reminding_rules.TONIGHT
    planned = Q(next_reminder_at__gte=now - day, next_reminder_at__lte=now + day)
    return {
        TONIGHT: (_("Tonight"), owed.filter(planned)),
        OVERDUE: (_("Overdue"), payments.overdue()),
        OPEN: (_("All open"), owed),
        PAUSED: (_("Paused"), owed.filter(pausing.is_paused())),
    }


def _tonight_in_words(rows: QuerySet[Invoice]) -> str:
    sums = rows.order_by("currency").values("currency").annotate(open_sum=Sum("balance"))
    return " + ".join(formats.money(row["open_sum"], row["currency"]) for row in sums)


def _row(invoice: Invoice, pause: ReminderPause | None) -> dict[str, Any]:
    today = clock.today(invoice.timezone)
    late = (today - invoice.due_date).days if invoice.due_date else 0
    text = reminding_rules.next_text(invoice)
    open_one = next((row for row in invoice.reminders.all() if row.state in reminding_rules.OPEN_STATES), None)
    return {
        "invoice": invoice,
        "late": ngettext("%(days)d day overdue", "%(days)d days overdue", late) % {"days": late} if late > 0 else "",
        "is_tonight": reminding_rules.is_tonight(invoice),
        "went": _went(invoice),
        "text": text.label,
        "pause": pause,
        "pause_sentence": pausing.sentence(pause) if pause else "",
        "why_not": reminding_rules.already(invoice) if open_one else reminding_rules.too_early(invoice),
    }


def _went(invoice: Invoice) -> list[str]:
    """What went: the schedule's reminders by their day, ours with who sent them; the oldest first."""
    texts = (*reminding_rules.TEXTS, ReminderText.FURTHER)
    pairs = list(zip(texts, invoice.reminded_on, strict=False))
    known = {day for text, day in pairs[:3] if day}  # the fourth day repeats the latest of the three
    found = [
        (day, _("%(text)s by schedule") % {"text": text.label})
        for text, day in pairs
        if day and not (text == ReminderText.FURTHER and day in known)
    ]
    for row in invoice.reminders.all():
        if row.state == ReminderState.SENT and row.reminded_at:
            day = clock.local_date(row.reminded_at, invoice.timezone).isoformat()
            words = {"text": row.get_text_display(), "who": row.by or _("the console")}
            found.append((day, _("%(text)s by %(who)s") % words))
    return [f"{formats.day(_as_day(day))}: {words}" for day, words in sorted(found)]


def _hint(amounts: dict[str, Decimal] | None) -> str:
    """What of the client came in without an invoice, short."""
    money = " + ".join(formats.money(amount, code) for code, amount in sorted((amounts or {}).items()))
    return _("%(money)s came in without an invoice") % {"money": money} if money else ""


def _as_day(text: str) -> Any:
    return clock.dt.date.fromisoformat(text)


@site_page("invoicing/reminders/invoice/<int:pk>/", "invoicing_remind")
class ConfirmReminder(ConfirmView):
    """Remind of one invoice? GET asks, POST asks the worker to; `?text=` chooses another of the four texts."""

    permission = SEND
    act_permission = SEND
    title = gettext_lazy("Remind")

    def get_confirmation(self) -> Confirmation:
        invoice = self._invoice()
        chosen = self.request.GET.get("text") or reminding_rules.next_text(invoice).value
        if why := reminding_rules.why_not(invoice, chosen):
            raise NotAllowed(why)
        text = ReminderText(chosen)
        owed = formats.money(invoice.balance, invoice.currency)
        words = {"client": invoice.client, "number": invoice.number, "open": owed}
        late = (clock.today(invoice.timezone) - invoice.due_date).days if invoice.due_date else 0
        due = formats.day(invoice.due_date)
        to = ", ".join(receivers.known(invoice).emails)
        return Confirmation(
            question=_("Remind %(client)s of %(open)s?") % words,
            consequence=_(
                "Invoice Ninja mails the reminder to the contacts below, after its balance was read once more. "
                "A mail that left cannot be called back."
            ),
            submit_label=_("Remind of %(open)s") % words,
            cancel_label=_("Back, remind nobody"),
            cancel_url=reverse("admin:invoicing_reminders"),
            facts=[
                (_("Invoice"), f"{invoice.number}, {formats.period(invoice.period_start, invoice.period_end)}"),
                (_("With tax"), formats.money(invoice.gross, invoice.currency)),
                *(
                    [(_("Fees by Invoice Ninja itself"), formats.money(invoice.fees, invoice.currency))]
                    if invoice.fees
                    else []
                ),
                (_("Paid"), formats.money(invoice.paid_by_money, invoice.currency)),
                *(
                    [(_("Settled by credits and written off"), formats.money(invoice.credited, invoice.currency))]
                    if invoice.credited
                    else []
                ),
                (_("Open"), owed),
                *([(_("Paid already?"), hint)] if (hint := unapplied.hint_for(invoice)) else []),
                (_("Due"), f"{due}, {_('not overdue yet')}" if late <= 0 else f"{due}, {_days_late(late)}"),
                (_("To"), to),
                (_("Text"), self._texts(text)),
                (_("What went"), "; ".join(_went(invoice)) or _("no reminder yet")),
            ],
            marks={"text": text.value, "balance": str(invoice.balance), "to": to},
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        invoice = self._invoice()
        reminding.request_reminder(
            invoice,
            text=self.mark("text"),
            balance=Decimal(self.mark("balance")),
            user=request.user,  # type: ignore[arg-type]
            shown_to=[email for email in self.mark("to").split(", ") if email],
        )
        messages.success(request, _("%(invoice)s is being reminded of.") % {"invoice": invoice})
        return HttpResponseRedirect(reverse("admin:invoicing_reminders"))

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_reminders")

    def _texts(self, chosen: ReminderText) -> SafeString:
        """The chosen text, and links to the question with each of the others."""
        links: Sequence[tuple[str, str]] = [
            (f"?text={text.value}", str(text.label)) for text in ReminderText if text != chosen
        ]
        others = format_html_join(" · ", '<a href="{}">{}</a>', links)
        return format_html('{} <span class="bc-sub">{} {}</span>', chosen.label, _("or"), others)

    def _invoice(self) -> Invoice:
        rows = Invoice.objects.select_related("client").prefetch_related("reminders__by")
        invoice = rows.filter(pk=self.kwargs["pk"]).first()
        if invoice is None:
            raise NotAllowed(_("This invoice is not there. Open it from the list of reminders."))
        return invoice


def _days_late(days: int) -> str:
    return ngettext("%(days)d day overdue", "%(days)d days overdue", days) % {"days": days}


@site_page("invoicing/reminders/<int:pk>/decide/<slug:answer>/", "invoicing_reminder_decide")
class DecideReminder(ConfirmView):
    """Nobody knows whether it left: a person says so, with a reason."""

    permission = SEND
    act_permission = SEND
    title = gettext_lazy("Decide")

    def get_confirmation(self) -> Confirmation:
        reminder = self._reminder()
        arrived = self._arrived()
        words = {"number": reminder.invoice.number, "client": reminder.invoice.client}
        return Confirmation(
            question=_("Did the reminder of %(number)s reach %(client)s?") % words
            if arrived
            else _("Did the reminder of %(number)s never leave?") % words,
            consequence=_("It counts as sent; the next one may leave after the gap.")
            if arrived
            else _(
                "Invoice Ninja is read once more first: if the proof is there, it counts as sent, else as not sent. If "
                "it arrived without a proof, the client may be reminded twice."
            ),
            submit_label=_("It arrived") if arrived else _("It did not leave"),
            cancel_label=_("Back, decide nothing"),
            cancel_url=reverse("admin:invoicing_reminders"),
            facts=[
                (_("What happened"), reminder.sentence),
                (_("Open when asked"), formats.money(reminder.balance, reminder.invoice.currency)),
                (_("Proven for"), ", ".join(reminder.proven) or _("nobody")),
                (_("No proof for"), ", ".join(reminder.unproven) or _("nobody")),
            ],
            is_destructive=not arrived,
            needs_reason=True,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        reminder = self._reminder()
        is_done = reminding.decide(
            reminder,
            arrived=self._arrived(),
            user=request.user,  # type: ignore[arg-type]
            note=request.POST.get("reason", ""),
        )
        read_first = _(
            "Noted: %(reminder)s. Invoice Ninja is read once more first; if the mail left, it counts as sent."
        )
        messages.success(request, (_("Noted: %(reminder)s.") if is_done else read_first) % {"reminder": reminder})
        return HttpResponseRedirect(reverse("admin:invoicing_reminders"))

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_reminders")

    def _arrived(self) -> bool:
        if self.kwargs["answer"] not in ("arrived", "not-sent"):
            raise NotAllowed(_("Say either that it arrived, or that it did not leave."))
        return bool(self.kwargs["answer"] == "arrived")

    def _reminder(self) -> Reminder:
        rows = Reminder.objects.select_related("invoice__client", "by")
        reminder = rows.filter(pk=self.kwargs["pk"]).first()
        if reminder is None:
            raise NotAllowed(_("This reminder is not there. Open it from the list of reminders."))
        if reminder.state != ReminderState.ATTENTION:
            words = {"reminder": reminder, "state": reminder.get_state_display()}
            raise NotAllowed(_("%(reminder)s does not wait for a decision any more: it is “%(state)s” by now.") % words)
        return reminder
