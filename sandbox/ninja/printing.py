"""What the server's PDF shows of a text: Markdown, elements, variables and a list of words that are cut out.

As 5.10.42 prints (einvoice-and-2026.md A3, A4): a text that is stored unchanged may be printed otherwise. Markdown is
CommonMark as far as a line of an invoice has it: emphasis, code, links, escapes, entities and what begins a line.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from typing import Final

_CUT: Final = re.compile(
    r'file:/|iframe|(?:<|&lt;)(?:embed|object)|127\.0\.0\.1|localhost|<\?xml encoding="UTF-8">|/etc/', re.IGNORECASE
)
_ELEMENT: Final = re.compile(r"<[a-zA-Z/!?][^>]*(?:>|\Z)")
_BLOCK: Final = re.compile(r"^ {0,3}(?:#{1,6}|>|[-+*]|\d{1,9}[.)])(?:\s+|$)|^ {0,3}(?:```|~~~).*$", re.MULTILINE)
_ESCAPE: Final = re.compile(r"\\([!-/:-@\[-`{-~])")
_CODE: Final = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK: Final = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")


def printed(text: str, variables: Mapping[str, str], *, has_markdown: bool) -> str:
    """The words that stand in the PDF where `text` is stored; `variables` as `$number`."""
    page = _render(text) if has_markdown else text
    for name, value in variables.items():
        page = page.replace(name, value)
    page = _CUT.sub("", page.replace("%24", "$"))
    return html.unescape(_ELEMENT.sub("", page)) if _ELEMENT.search(page) or has_markdown else page


def _render(text: str) -> str:
    text = _CODE.sub(lambda found: _kept(found[2].strip()), _BLOCK.sub("", text))
    text = _ESCAPE.sub(lambda found: _kept(found[1]), text)
    text = _LINK.sub(lambda found: found[1], text)
    for mark in "*_":
        text = _emphasised(text, mark)
    return text.translate({ord(_HIDDEN) + code: chr(code) for code in range(128)})


_HIDDEN: Final = "\U000f0000"  # private use: a character that is no mark any more


def _kept(text: str) -> str:
    return "".join(chr(ord(_HIDDEN) + ord(char)) if ord(char) < 128 else char for char in text)


def _emphasised(text: str, mark: str) -> str:
    """Without the pairs of marks that make bold or italic: each closer takes as much as it can of the last opener."""
    openers: list[list[int]] = []
    dropped: set[int] = set()
    for run in re.finditer(re.escape(mark) + "+", text):
        left, right = _flanks(text, *run.span())
        is_word = mark == "_" and left and right
        places = list(range(*run.span()))
        while right and not is_word and places and openers:
            taken = openers[-1].pop()
            dropped |= {taken, places.pop(0)}
            if not openers[-1]:
                openers.pop()
        if left and not is_word and places:
            openers.append(places)
    return "".join(char for place, char in enumerate(text) if place not in dropped)


def _flanks(text: str, begin: int, end: int) -> tuple[bool, bool]:
    """Whether a run of marks leans on what follows, and on what precedes (CommonMark: flanking)."""
    before, after = text[begin - 1 : begin] or " ", text[end : end + 1] or " "
    left = not after.isspace() and (not _is_mark(after) or before.isspace() or _is_mark(before))
    right = not before.isspace() and (not _is_mark(before) or after.isspace() or _is_mark(after))
    return left, right


def _is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] in "PS"
