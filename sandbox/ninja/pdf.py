"""GET /invoice/{invitation key}/download: the PDF as a contact gets it. It changes nothing, a draft stays a draft."""

from __future__ import annotations

from werkzeug.wrappers import Response

from sandbox.memory import Row
from sandbox.ninja.call import Call
from sandbox.ninja.data import currency_ids
from sandbox.ninja.errors import Refusal
from sandbox.ninja.printing import printed
from sandbox.ninja.store import Store
from sandbox.ninja.values import as_text

_LINES = """%PDF-1.4
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj
3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>
endobj
4 0 obj << /Length {length} >> stream
{text}
endstream endobj
5 0 obj << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> endobj
trailer << /Root 1 0 R >>
%%EOF
"""


def printed_texts(store: Store, invoice: Row) -> list[str]:
    """The texts of the lines, then the public notes, as the PDF shows them."""
    client = store["clients"].get(invoice["client_id"]) or {}
    variables = {"$client.name": as_text(client.get("name")), "$number": invoice["number"]}
    has_markdown = bool(store.company()["markdown_enabled"])
    texts = [*(as_text(line.get("notes")) for line in invoice["line_items"]), invoice["public_notes"]]
    return [printed(text, variables, has_markdown=has_markdown) for text in texts]


def _hexadecimal(text: str) -> str:
    return ("\ufeff" + text).encode("utf-16-be").hex().upper()


def download(call: Call, invitation_key: str) -> Response:
    """A PDF of the invoice as it is now, the same bytes each time. Raises Refusal 500 where pdf_engine is off."""
    for invoice in call.store["invoices"].all():
        if any(invitation["key"] == invitation_key for invitation in invoice["invitations"]):
            break
    else:
        raise Refusal(400, {"message": "no record found"})
    if not call.store.switch("pdf_engine", False):
        raise Refusal(500, {"message": "Unable to generate the raw PDF"})
    headers = {"Content-Disposition": f"attachment; filename=Invoice_{invoice['number']}.pdf"}
    return Response(_pdf(call.store, invoice), 200, headers, content_type="application/pdf")


def _pdf(store: Store, invoice: Row) -> bytes:
    """Amounts in the currency that the client has now, whatever it had when the invoice was sent."""
    currency = str(store.setting("currency_id", store["clients"].get(invoice["client_id"])))
    code = next((code for code, key in currency_ids().items() if key == currency), "")
    words = f"Invoice {invoice['number']}, {invoice['date']}: {invoice['amount']} {code}".rstrip()
    parts = [f"({words}) Tj", *(f"0 -16 Td <{_hexadecimal(line)}> Tj" for line in printed_texts(store, invoice))]
    text = f"BT /F1 12 Tf 60 780 Td {' '.join(parts)} ET"
    return _LINES.format(length=len(text), text=text).encode("latin-1", "replace")
