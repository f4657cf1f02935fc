"""What a person typed into a dialog of a draft that was refused: kept with their session, shown once beside what is so.

The page of the draft offers the same dialog again with what was typed; what the line says by now stands next to it, and
only that is compared when it is posted again.
"""

from __future__ import annotations

import json
from typing import Any, Final

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_console import formats
from billing_console import shown as versions
from invoicing import as_shown
from invoicing.models import Invoice, InvoiceLine

KEY: Final = "refused_on_a_draft"
TYPED: Final = ("text", "hours", "rate", "meaning", "reason")
# The dialog of the page that each address is posted from.
DIALOGS: Final = {
    "edit_line": "line-text",
    "adjust_line": "line-figures",
    "exclude_line": "line-exclude",
    "hold_line": "line-hold",
    "add_line": "line-add",
}


def keep(request: HttpRequest, act: str, invoice_id: int, line_id: int | None) -> None:
    """Remember what was typed for the page that follows the refusal, which says why."""
    typed = {name: request.POST[name][:2000] for name in TYPED if request.POST.get(name)}
    request.session[KEY] = {"act": act, "invoice": invoice_id, "line": line_id, "typed": typed}


def shown(kept: dict[str, Any], line: InvoiceLine | None, invoice: Invoice) -> dict[str, Any] | None:
    """What the page shows of it: label, typed and present value of each field, and how its dialog opens again."""
    if kept["line"] and line is None:
        return None
    now = {}
    if line is not None:
        hours, rate = formats.number(line.billed_hours, 2), formats.rate(line.rate, "")
        now = {"text": line.notes, "hours": hours, "rate": rate}
    labels = {
        "text": _("Text on the invoice"),
        "hours": _("Hours") if line is None or not line.is_manual else _("Quantity"),
        "rate": _("Rate"),
        "reason": _("Reason"),
    }
    typed = kept["typed"]
    fill = {**typed, "what": line.notes if line is not None else ""}
    args = [invoice.pk] if line is None else [invoice.pk, line.pk]
    if line is not None:
        fill[versions.FIELD] = versions.seal(f"line:{line.pk}", as_shown.line(line))
    else:
        fill[versions.FIELD] = versions.seal(f"draft:{invoice.pk}:add", as_shown.adding(invoice))
    dialog = DIALOGS[kept["act"]]
    return {
        "what": fill["what"],
        "rows": [(labels[name], typed[name], now.get(name, "")) for name in labels if name in typed],
        "dialog": "line-remove" if dialog == "line-exclude" and line is not None and line.is_manual else dialog,
        "action": reverse(f"admin:invoicing_invoice_{kept['act']}", args=args),
        "fill": json.dumps(fill),
    }
