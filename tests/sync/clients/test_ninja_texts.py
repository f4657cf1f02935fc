"""Texts that Invoice Ninja keeps and prints as they were reviewed, held against a CommonMark of others."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from sync.clients import ninja_texts
from sync.clients.ninja_texts import JOINER, line_text, neutralise, trim

J = JOINER
MARKDOWN = MarkdownIt("commonmark")

# What each generation cuts or replaces, in any case; einvoice-and-2026.md A3 and A4, README f.
CUT_ANYWHERE = (
    *("file:/", "iframe", "<embed", "&lt;embed", "<object", "&lt;object", "127.0.0.1", "localhost", "/etc/"),
    *('<?xml encoding="utf-8">', "</sc", "onerror", "prompt(", "alert(", "%24"),
    *(":month", ":year", ":quarter", ":week"),
)
PIECES = (*CUT_ANYWHERE, *"*_`[]()<>&;#:\\-+.!~$ \n12ab", "amp", "__", "**", "month|", JOINER, "\u200b", "\ufeff")
texts = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("Implement payment gateway", "Task #45: Implement payment gateway"),
        ("  two\n lines\t", "Task #45: two lines"),
        ("Report for :MONTH", "Task #45: Report for \u2236MONTH"),
        ("Close :YEAR-1 and :quarter+2", "Task #45: Close \u2236YEAR-1 and \u2236quarter+2"),
        ("Plan :WEEK_AHEAD :MONTHYEAR", "Task #45: Plan \u2236WEEK_AHEAD \u2236MONTHYEAR"),
        ("Fee [MONTH|MONTH+2]", "Task #45: Fee [MONTH\u2223MONTH+2]"),
        ("Note: a :MONDAY", "Task #45: Note: a :MONDAY"),
        ("Fix alert(1) and onError", f"Task #45: Fix alert{J}(1) and onErro{J}r"),
        ("Close </script>", f"Task #45: Close <{J}/script>"),
        ("Serve the iframe from localhost:8080", f"Task #45: Serve the i{J}frame from local{J}host:8080"),
        ("Ping 127.0.0.1, not 127.0.0.2", f"Task #45: Ping 127{J}.0.0.1, not 127.0.0.2"),
        ("Read file:/etc/passwd", f"Task #45: Read file:{J}/{J}etc/passwd"),
        ("List<String> foo", f"Task #45: List<{J}String> foo"),
        ("a <!doctype> and <?xml?>", f"Task #45: a <{J}!doctype> and <{J}?xml?>"),
        ("1 < 2 && 3 > 2", "Task #45: 1 < 2 && 3 > 2"),
        ("Fish &amp; chips &#38; tea", f"Task #45: Fish &{J}amp; chips &{J}#38; tea"),
        ("50%24 of $number, $5", f"Task #45: 50%{J}24 of ${J}number, $5"),
        ("Fix __init__.py *now*", f"Task #45: Fix {J}__{J}init{J}__{J}.py \u2217now\u2217"),
        ("a snake_case_name and 2 * 3 * 4", "Task #45: a snake_case_name and 2 * 3 * 4"),
        ("only *one, only _one, only `one", "Task #45: only *one, only _one, only `one"),
        ("Use `make` here", "Task #45: Use \u02cbmake\u02cb here"),
        ("see [wiki](http://a.test)", f"Task #45: see [wiki]{J}(http://a.test)"),
        (r"the path C:\_x and \d", rf"Task #45: the path C:\{J}_x and \d"),
        ("zero width\u200b", "Task #45: zero width"),
        ("\ufeffmark \u200e", "Task #45: mark"),
        ("joiner\u2060", "Task #45: joiner\u2060"),
        ("a\u200bb", "Task #45: a\u200bb"),
        ("\u200b", "Task #45"),
        ("", "Task #45"),
    ],
)
def test_the_text_of_a_line(subject: str, expected: str) -> None:
    assert line_text("T", 45, subject) == expected


def test_the_text_of_a_line_names_the_kind() -> None:
    assert line_text("U", 7, "Checkout") == "User story #7: Checkout"
    assert line_text("I", None, "Outage") == "Issue: Outage"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("# Head", f"{J}# Head"),
        ("- one\n- two", f"{J}- one\n{J}- two"),
        ("Reverse charge\n---", f"Reverse charge\n{J}---"),
        ("1. one", f"{J}1. one"),
        ("> said", f"{J}> said"),
        ("```\ncode", f"{J}```\ncode"),
        ("[1]: http://a.test", f"{J}[1]: http://a.test"),
        ("-5 % and 1.5 h", "-5 % and 1.5 h"),
    ],
)
def test_a_line_that_begins_like_a_list_or_a_heading(typed: str, expected: str) -> None:
    """Public notes, and lines that a person wrote: what begins with "Task #45" cannot."""
    assert neutralise(typed) == expected


@pytest.mark.parametrize(
    "char", [*"\0\t\n\x0b\x0c\r ", *"\x85\xa0\u1680\u180e\u2003\u2028\u202f\u205f\u3000", *"\u200b\u200e\ufeff"]
)
def test_what_the_server_cuts_at_the_ends_is_never_sent(char: str) -> None:
    """The framework's set: recordings 870 to 882 of 5.10.42, and white space."""
    assert trim(f"{char}a{char}b{char}{char}") == f"a{char}b"


@pytest.mark.parametrize("char", ["\u200f", "\u2060", "\xad", "\u200d", "\u202c"])
def test_what_the_server_keeps_at_the_ends_is_sent(char: str) -> None:
    assert trim(f"{char}a{char}") == f"{char}a{char}"


@given(texts)
@example("*a `*b` c*")
@example("_a*b_ c* _d_")
@example("\\\\*a*")
@example("__\n__")
def test_nothing_of_it_is_rewritten_cut_or_marked(text: str) -> None:
    once = neutralise(text)

    assert neutralise(once) == once == trim(once)
    assert [piece for piece in CUT_ANYWHERE if piece in once.lower()] == []
    assert not re.search(r"<[a-z/!]", once, re.IGNORECASE)
    assert _printed(once) == _lines(once)
    assert _seen(once) == _seen(trim(text))


@given(texts)
def test_where_nothing_is_suspect_the_subject_is_copied(subject: str) -> None:
    is_suspect = re.search(ninja_texts.SUSPECT, subject, re.IGNORECASE)
    assert is_suspect or line_text("T", 7, subject) == (f"Task #7: {subject}" if subject else "Task #7")


def _printed(text: str) -> list[str]:
    """The words of the page that CommonMark makes, line by line."""
    page = re.sub(r"</?(?:p|br /)>\n?", "\n", MARKDOWN.render(text))
    assert not re.search(r"<[a-z]", page), f"an element is in {page}"
    return _lines(html.unescape(page))


def _lines(text: str) -> list[str]:
    return [line.strip(" \t") for line in re.split(r"[\r\n]+", text) if line.strip(" \t")]


def _seen(text: str) -> str:
    """What a reader sees: without the joiner, characters of the same look as one."""
    look = {"\u2236": ":", "\u2223": "|", "\u2217": "*", "\u02cb": "`", JOINER: ""}
    return "".join(look.get(char, char) for char in text)
