"""An invoice that differs in Invoice Ninja, side by side; and the two questions: take theirs, or write ours again?"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats
from billing_console.admin_base import Confirmation, ConfirmView, PageView
from billing_console.errors import NotAllowed
from invoicing import adopting, comparing, snapshots
from invoicing.models import Decision, Deviation, Invoice, Meaning
from sync import links

VIEW, SEND, APPROVE = "invoicing.view_invoice", "invoicing.send_invoice", "invoicing.approve_invoice"
ADOPT, OVERWRITE = "adopt", "overwrite"


class Differences(PageView):
    """Ours beside theirs, field by field and line by line, as it was last read. POST has it compared again."""

    template_name = "invoicing/differences.html"
    permission = VIEW
    act_permission = SEND
    title = gettext_lazy("Ours and theirs")
    needs_no_version = "Only has servers read again."

    @cached_property
    def invoice(self) -> Invoice:
        return get_object_or_404(Invoice.objects.select_related("client", "remote"), pk=self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        rows = Deviation.objects.filter(invoice=self.invoice).select_related("decided_by", "proposed_by")
        deviations = list(rows.order_by("-id")[:20])
        current = deviations[0] if deviations else None
        if current is not None:
            current.invoice = self.invoice
        is_open = current is not None and current.decision == Decision.OPEN
        may_decide = self.request.user.has_perms((SEND, APPROVE))
        remote_id = self.invoice.remote.remote_id if self.invoice.remote else None
        return super().get_context_data(
            invoice=self.invoice,
            deviation=current,
            is_open=is_open,
            groups=groups_of(current) if current is not None else [],
            choice=adopting.choice(current) if current is not None and is_open and may_decide else None,
            earlier=deviations[1:],
            ninja_url=links.ninja_invoice(remote_id),
            may_compare=self.request.user.has_perm(SEND),
            **kwargs,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        comparing.ask(self.invoice)
        messages.success(request, _("It is being read in Invoice Ninja; look again in a moment."))
        return HttpResponseRedirect(request.get_full_path())


def groups_of(deviation: Deviation) -> list[tuple[str, list[snapshots.Cell], bool]]:
    """(the invoice or a line, its fields, whether any differs), in order."""
    cells = snapshots.side_by_side(deviation.ours, deviation.theirs)
    groups = [(where, list(of)) for where, of in groupby(cells, key=lambda cell: cell.where)]
    return [(where, of, any(cell.differs for cell in of)) for where, of in groups]


class Decide(ConfirmView):
    """One of the two answers, with its effect, before it is given. The deviation in the address is what was seen."""

    permission = (SEND, APPROVE)
    act_permission = (SEND, APPROVE)
    title = gettext_lazy("Ours or theirs")

    @cached_property
    def deviation(self) -> Deviation:
        rows = Deviation.objects.select_related("invoice__client", "invoice__remote", "proposed_by")
        found: Deviation = get_object_or_404(rows, pk=self.kwargs["deviation"], invoice=self.kwargs["pk"])
        return found

    def get_confirmation(self) -> Confirmation:
        deviation, is_adopting = self.deviation, self._is_adopting()
        choice = adopting.choice(deviation)
        against = choice.against_adopting if is_adopting else choice.against_overwriting
        if against:
            raise NotAllowed(" ".join(against))
        invoice = deviation.invoice
        ours, theirs = (
            formats.money(snapshots.gross_of(side), invoice.currency) for side in (deviation.ours, deviation.theirs)
        )
        words = {"invoice": invoice, "number": invoice.number, "ours": ours, "theirs": theirs}
        differing = [cell for cell in snapshots.side_by_side(deviation.ours, deviation.theirs) if cell.differs]
        if is_adopting:
            question = _("Take over what Invoice Ninja holds for %(invoice)s %(number)s, %(theirs)s?")
            consequence = _(
                "It is sealed anew as it stands there; nothing is written to Invoice Ninja. Work whose line is gone "
                "waits for the next run. It can be sent once it was compared again."
            )
            label = _("Take over %(theirs)s")
            if adopting.needs_another(deviation, self.request.user):  # type: ignore[arg-type]
                consequence = _("Four eyes: another approver must agree and take it over. Until then nothing changes.")
                label = _("Propose to take over %(theirs)s")
        else:
            question = _("Write %(invoice)s %(number)s to Invoice Ninja again, %(ours)s?")
            consequence = _("What somebody typed there is lost. It can be sent once it was read back.")
            label = _("Write again, %(ours)s")
        return Confirmation(
            question=question % words,
            consequence=consequence,
            submit_label=label % words,
            cancel_label=_("Back, change nothing"),
            cancel_url=self.get_failure_url(),
            facts=[(_("Ours, with tax"), ours), (_("Invoice Ninja, with tax"), theirs)],
            columns=[_("Where"), _("What"), _("Ours"), _("Invoice Ninja")],
            rows=[(cell.where, cell.what, cell.ours, cell.theirs) for cell in differing],
            is_destructive=not is_adopting,
            needs_reason=True,
            option_name="meaning",
            option_label=_("Where the hours are other ones than in Taiga"),
            options=Meaning.choices if self._asks_for_meaning() else (),
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        said: dict[str, Any] = {"user": request.user, "reason": request.POST.get("reason", "")}
        if self._is_adopting() and adopting.needs_another(self.deviation, said["user"]):
            adopting.propose(self.deviation, **said)
            messages.success(request, _("It is proposed. Another approver takes it over on this page."))
            return HttpResponseRedirect(self.get_failure_url())
        if self._is_adopting():
            invoice = adopting.adopt(self.deviation, meaning=request.POST.get("meaning", ""), **said)
        else:
            invoice = adopting.overwrite(self.deviation, **said)
        text = (
            _("%(invoice)s is sealed as it stands in Invoice Ninja; it is compared once more now.")
            if self._is_adopting()
            else _("%(invoice)s is being written to Invoice Ninja again.")
        )
        messages.success(request, text % {"invoice": invoice})
        return HttpResponseRedirect(reverse("admin:invoicing_invoice_change", args=[invoice.pk]))

    def _asks_for_meaning(self) -> bool:
        user: Any = self.request.user
        if not self._is_adopting() or adopting.needs_another(self.deviation, user):
            return False
        return adopting.changes_hours(self.deviation)

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_invoice_differences", args=[self.kwargs["pk"]])

    def _is_adopting(self) -> bool:
        """Which of the two answers the address gives. Raises NotAllowed for a third."""
        if self.kwargs["answer"] not in (ADOPT, OVERWRITE):
            raise NotAllowed(_("Say either that theirs is taken over, or that ours is written again."))
        return bool(self.kwargs["answer"] == ADOPT)


PAGES = (
    ("<int:pk>/differences/", "differences", Differences),
    ("<int:pk>/differences/<int:deviation>/<slug:answer>/", "settle", Decide),
)
