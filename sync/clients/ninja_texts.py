"""What Invoice Ninja does to a text of ours, and how a text is written so that nothing of it happens. Pure.

Reviewed = sent = printed (billing-rules: Terms, dates and text): the neutralised text is what is shown, sealed, sent,
compared and printed. It looks as it was typed: a character that is not seen, or one of the same look, stands where the
server would act. It is the same for every version and every setting, so a change of either changes nothing printed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from billing_console.states import KIND_WORDS

JOINER: Final = "\N{WORD JOINER}"  # U+2060: not seen, no white space; kept by the server everywhere (recording 876)
RATIO: Final = "\N{RATIO}"  # U+2236, looks like a colon and is none
DIVIDES: Final = "\N{DIVIDES}"  # U+2223, looks like a vertical bar
ASTERISK: Final = "\N{ASTERISK OPERATOR}"  # U+2217
GRAVE: Final = "\N{MODIFIER LETTER GRAVE ACCENT}"  # U+02CB

# White space in the eyes of Invoice Ninja's framework (recordings 870 to 882, 5.10.42) and in Python's.
_BREAKS: Final = "\t-\r\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_WHITE: Final = f" {_BREAKS}"
_UNSEEN: Final = "\u180e\u200b\u200e\ufeff"
_ENDS: Final = re.compile(rf"\A[\x00{_WHITE}{_UNSEEN}]+|[\x00{_WHITE}{_UNSEEN}]+\Z")

_SPLIT: Final = rf"\1{JOINER}\2"
TABLE: Final[tuple[tuple[str, str | Callable[[re.Match[str]], str], str], ...]] = (
    # Rewritten in line notes when an invoice is made (recordings 402, 513): a word behind a colon, a range in brackets.
    (r":(?=(?:MONTH|YEAR|QUARTER|WEEK))", RATIO, "reserved words"),
    (r"\[\s*(?:MONTH|YEAR|QUARTER|WEEK)[^\]]*", lambda found: found[0].replace("|", DIVIDES), "reserved ranges"),
    # Made "<-" in line notes, like "</sc" (recording 884).
    (r"(onerro)(r)", _SPLIT, "scripts"),
    (r"(prompt|alert)(\()", _SPLIT, "scripts"),
    # Cut out of every PDF, and in 2026 out of task descriptions (A4).
    (r"(local)(host)", _SPLIT, "hosts"),
    (r"(127)(\.0\.0\.1)", _SPLIT, "hosts"),
    (r"(i)(frame)", _SPLIT, "elements"),
    (r"(file:)(/)", _SPLIT, "files"),
    (r"(/)(etc/)", _SPLIT, "files"),
    # An element for the printer, and for the cleaner of 2026, which cuts it out with what is inside (A3).
    (r"(<)([a-z/!?])", _SPLIT, "elements"),
    (r"(&)(#?\w+;)", _SPLIT, "entities"),
    (r"(%)(24)", _SPLIT, "dollars"),
    # A variable of the PDF: `$number` would print the number of the invoice.
    (r"(\$)([a-z_])", _SPLIT, "variables"),
    # Markdown: the address of a link is not printed, a backslash before a mark is not either.
    (r"(\])(\()", _SPLIT, "links"),
    (r"(\\)(?=[!-/:-@\[-`{-~\n])", rf"\1{JOINER}", "escapes"),
)
_RULES: Final = tuple((re.compile(pattern, re.IGNORECASE), written) for pattern, written, _what in TABLE)

# The lines that Markdown makes a heading, a quotation, a list, a rule, code or a reference of.
_BLOCK: Final = re.compile(
    r"^(?= {0,3}(?:#{1,6}(?:\s|$)|>|[-+*](?:\s|$)|\d{1,9}[.)](?:\s|$)|~~~|```|[-_*=][-_*= \t]*$|\[[^\]\n]+\]:)"
    r"| {4}| {0,3}\t)",
    re.MULTILINE,
)
_EMPHASIS: Final = re.compile(r"\*(?=[^\s*]).*[^\s*]\*", re.DOTALL)

SUSPECT: Final = rf"[:[<(*_`\\&%$]|onerror|localhost|iframe|127\.0\.0\.1|/etc/|^ | $|  |[{_BREAKS}{_UNSEEN}]"
"""Where a subject has nothing of this, whatever the case, its text is the subject behind its number and no more.

For PostgreSQL and for Python alike; what may stand at the beginning of a line only is not in it.
"""


def line_text(kind: str, ref: int | None, subject: str) -> str:
    """The words of an item on tasks and invoice lines, "Task #45: Implement payment gateway", neutralised."""
    words = " ".join(trim(subject).split())
    head = f"{KIND_WORDS[kind]} #{ref}" if ref is not None else KIND_WORDS[kind]
    return neutralise(f"{head}: {words}" if words else head)


def neutralise(text: str) -> str:
    """`text` as Invoice Ninja keeps and prints it unchanged, in 5.10.17, 5.10.42 and 2026, Markdown on or off.

    Neutralising twice changes nothing more.
    """
    text = _without_marks(_BLOCK.sub(JOINER, trim(text)))
    for pattern, written in _RULES:
        text = pattern.sub(written, text)
    return text


def trim(text: str) -> str:
    """`text` without what the server cuts at both ends: white space, U+180E, U+200B, U+200E, U+FEFF and NUL."""
    return _ENDS.sub("", text)


def _without_marks(text: str) -> str:
    """Pairs of Markdown that print as bold, italic or code, each mark put so that it is none."""
    if _EMPHASIS.search(text):
        text = re.sub(r"\*(?=\S)|(?<=\S)\*", ASTERISK, text)
    if len(re.findall("`+", text)) > 1:
        text = text.replace("`", GRAVE)
    runs = [run.span() for run in re.finditer("_+", text) if _may_mark(text, *run.span())]
    if len(runs) > 1:
        for begin, end in reversed(runs):
            text = f"{text[:begin]}{JOINER}{text[begin:end]}{JOINER}{text[end:]}"
    return text


def _may_mark(text: str, begin: int, end: int) -> bool:
    """Whether underscores may open or close: not within a word (`snake_case`), not between spaces."""
    sides = (_is_word(text[begin - 1 : begin]), _is_word(text[end : end + 1]))
    is_lonely = not text[begin - 1 : begin].strip() and not text[end : end + 1].strip()
    return not all(sides) and not is_lonely


def _is_word(char: str) -> bool:
    """Neither white space nor punctuation nor a symbol, in CommonMark's eyes; the joiner is as good as a letter."""
    return bool(char.strip()) and unicodedata.category(char)[0] not in "PS"
