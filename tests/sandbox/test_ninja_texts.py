"""Texts in the stand-in Invoice Ninja: what is cut when they are stored, and what the PDF shows of them."""

from __future__ import annotations

import pytest

from sandbox.ninja.printing import printed
from tests.sandbox.ninja_api import Api

VARIABLES = {"$number": "0007"}


@pytest.fixture
def api() -> Api:
    api = Api()
    api.seed()
    return api


@pytest.mark.parametrize(
    ("stored", "marked", "plain"),
    [
        ("Serve the iframe from localhost:8080", "Serve the  from :8080", "Serve the  from :8080"),
        ("Ping 127.0.0.1", "Ping ", "Ping "),
        ("Fix __init__.py *now*", "Fix init.py now", "Fix __init__.py *now*"),
        ("**bold** _it_ `code`", "bold it code", "**bold** _it_ `code`"),
        ("snake_case_name, 2 * 3 * 4", "snake_case_name, 2 * 3 * 4", "snake_case_name, 2 * 3 * 4"),
        ("`a*b` *c*", "a*b c", "`a*b` *c*"),
        (r"C:\_x", "C:_x", r"C:\_x"),
        ("[wiki](http://a.test)", "wiki", "[wiki](http://a.test)"),
        ("# Head", "Head", "# Head"),
        ("List<String> foo", "List foo", "List foo"),
        ("Fish &amp; chips", "Fish & chips", "Fish &amp; chips"),
        ("50%24 of $number", "50$ of 0007", "50$ of 0007"),
        ("1 < 2 && 3 > 2", "1 < 2 && 3 > 2", "1 < 2 && 3 > 2"),
    ],
)
def test_what_the_pdf_shows(stored: str, marked: str, plain: str) -> None:
    assert printed(stored, VARIABLES, has_markdown=True) == marked
    assert printed(stored, VARIABLES, has_markdown=False) == plain


def test_what_2026_stores_of_a_description_and_of_notes(api: Api) -> None:
    """einvoice-and-2026.md A3 and A4: read in the source, not run."""
    text = "Fix localhost in List<String> foo, 50%24, </sc 127.0.0.1"
    for version, description, notes in (
        ("5.10.42", text, "Fix localhost in List<String> foo, 50%24, <- 127.0.0.1"),
        ("5.13.0", "Fix  in List<String> foo, 50%24,  ", "Fix localhost in List"),
    ):
        api.ninja.seed({"switches": {"version": version}})
        assert api.post("/tasks", {"description": text})["description"] == description
        line = {"quantity": 1, "cost": 1, "notes": text}
        invoice = api.post("/invoices", {"client_id": "client_abc123", "line_items": [line]})
        assert invoice["line_items"][0]["notes"] == notes
