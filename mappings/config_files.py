"""Configuration files as text: find the documents in them and read their values, each with its line.

JSON, YAML and Markdown with fenced blocks are read into one tree whose every value knows its line, so that an
error can say where it is. Numbers stay text until they become Decimal. Pure: no database.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import import_module
from typing import Any, Final, NamedTuple

import yaml
from django.utils.translation import gettext as _

from billing_console.values import day_of

MAX_BYTES: Final = 1024 * 1024
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*(\w*)")  # the beginning of a line
_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?", re.ASCII)
_SCALAR_WORDS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line (from 1) of a file; prints as "rules.yaml, line 3"."""

    file: str
    line: int

    def __str__(self) -> str:
        return _("%(file)s, line %(line)s") % {"file": self.file, "line": self.line}


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """What is wrong at a place, in one sentence."""

    place: Place
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a file: `node` as parsed, `place` where it begins."""

    node: yaml.Node
    place: Place


class _Fence(NamedTuple):
    """A fenced block of a Markdown file: its language, its text, and the line (from 0) on which the text begins."""

    language: str
    text: str
    line: int


class _NoAliases:
    """A composer without aliases: a small file must not become a large one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        reader: Any = self
        if reader.check_event(yaml.events.AliasEvent):
            event = reader.peek_event()
            raise yaml.MarkedYAMLError(problem=_("references (*name) are not supported"), problem_mark=event.start_mark)
        return super().compose_node(parent, index)  # type: ignore[misc]


class _Loader(_NoAliases, yaml.SafeLoader):
    """PyYAML's own parser: its words for what is wrong, and characters that JSON writes as two halves."""


def _compose(text: str) -> yaml.Node | None:
    """The document. Read by the parser in C where there is one: a file of 1 MiB takes a quarter of the time."""
    if yaml.__with_libyaml__:
        with contextlib.suppress(yaml.YAMLError, UnicodeError):
            return _by_the_parser_in_c(text)
    found: yaml.Node | None = yaml.compose(text, Loader=_Loader)  # noqa: S506 (only composed, never constructed)
    return found


def _by_the_parser_in_c(text: str) -> yaml.Node | None:
    parser: Any = import_module("yaml.cyaml").CParser

    class Reader(_NoAliases, yaml.composer.Composer, parser, yaml.resolver.Resolver):
        def __init__(self) -> None:
            parser.__init__(self, text)
            yaml.composer.Composer.__init__(self)
            yaml.resolver.Resolver.__init__(self)

    found: yaml.Node | None = Reader().get_single_node()
    return found


@dataclass
class FileReader:
    """Reads one file; what is wrong collects in `faults`, so that one run names every mistake."""

    file: str
    faults: list[Fault] = field(default_factory=list)
    _offset: int = 0

    # --- documents ---

    def documents(self, text: str, known_keys: frozenset[str]) -> Iterator[Value]:
        """The top-level mappings of the file; of a Markdown file its fenced JSON and YAML blocks with a known key."""
        if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
            self.fault(Place(self.file, 1), _("The file is larger than 1 MiB; it is no configuration file."))
            return
        text = text.removeprefix("\ufeff")
        if self._is_markdown(text):
            yield from self._fenced(text, known_keys)
            return
        is_json = self.file.lower().endswith(".json") or text.lstrip().startswith(("{", "["))
        node = self._parse(text, is_json=is_json)
        if node is not None:
            yield Value(node, self._place(node))

    def _is_markdown(self, text: str) -> bool:
        if self.file.lower().endswith((".json", ".yaml", ".yml")):
            return False
        return self.file.lower().endswith((".md", ".markdown")) or next(_fences(text), None) is not None

    def _fenced(self, text: str, known_keys: frozenset[str]) -> Iterator[Value]:
        found = False
        for fence in _fences(text):
            if fence.language not in ("json", "yaml", "yml") or not any(key in fence.text for key in known_keys):
                continue
            found = True
            self._offset = fence.line
            node = self._parse(fence.text, is_json=fence.language == "json")
            if node is not None:
                yield Value(node, self._place(node))
        self._offset = 0
        if not found:
            self.fault(Place(self.file, 1), _("The file has no block with %(keys)s.") % {"keys": _listed(known_keys)})

    def _parse(self, text: str, *, is_json: bool) -> yaml.Node | None:
        try:
            if is_json:
                json.loads(text, parse_constant=_refuse_constant)
                # JSON allows tabs between values, YAML does not; inside a JSON string there can be none.
                text = text.replace("\t", " ")
            node = _compose(text)
        except json.JSONDecodeError as error:
            self._fault_at(error.lineno, _("This is no valid JSON: %(detail)s.") % {"detail": error.msg})
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            detail = {"detail": error.problem or error.context}
            self._fault_at(mark.line + 1 if mark else 1, _("This is no valid YAML: %(detail)s.") % detail)
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            self._fault_at(line, _("The file holds a character that no text file may hold."))
        except (ValueError, RecursionError):
            self._fault_at(1, _("This cannot be read: a number is not finite, too long, or the lists are too deep."))
        else:
            if node is None:
                self._fault_at(1, _("The file is empty."))
            return node
        return None

    def _place(self, node: yaml.Node) -> Place:
        return Place(self.file, node.start_mark.line + 1 + self._offset)

    def _fault_at(self, line: int, sentence: str) -> None:
        self.fault(Place(self.file, line + self._offset), sentence)

    def fault(self, place: Place, sentence: str) -> None:
        """Note that something is wrong at `place`."""
        self.faults.append(Fault(place, sentence))

    # --- values; each returns None after noting a fault ---

    def mapping(self, value: Value, what: str) -> dict[str, Value] | None:
        """Keys and values; a key that stands twice is a fault."""
        if not isinstance(value.node, yaml.MappingNode):
            self.fault(value.place, _("%(what)s must be a list of keys and values.") % {"what": what})
            return None
        entries: dict[str, Value] = {}
        for key_node, child in value.node.value:
            key = _joined(key_node.value) if isinstance(key_node, yaml.ScalarNode) else str(key_node.tag)
            if not _is_storable(key):
                self.fault(self._place(key_node), _("A name here holds a character that cannot be stored."))
                continue
            if key in entries:
                self.fault(self._place(key_node), _("“%(key)s” stands here twice.") % {"key": key})
                continue
            entries[key] = Value(child, self._place(key_node))
        return entries

    def sequence(self, value: Value, what: str) -> list[Value] | None:
        """The items of a list."""
        if not isinstance(value.node, yaml.SequenceNode):
            self.fault(value.place, _("%(what)s must be a list.") % {"what": what})
            return None
        return [Value(child, self._place(child)) for child in value.node.value]

    def text(self, value: Value, key: str, *, longest: int = 255, may_be_empty: bool = False) -> str | None:
        """A text (numbers count as text)."""
        scalar = self._scalar(value)
        if scalar is None or not _is_storable(scalar):
            self.fault(value.place, _("%(key)s must be a text.") % {"key": key})
        elif not scalar.strip() and not may_be_empty:
            self.fault(value.place, _("%(key)s is empty.") % {"key": key})
        elif len(scalar) > longest:
            self.fault(value.place, _("%(key)s is longer than %(n)s characters.") % {"key": key, "n": longest})
        else:
            return scalar.strip()
        return None

    def number(self, value: Value, key: str, *, low: Decimal, high: Decimal, decimals: int) -> Decimal | None:
        """A number from `low` to `high` with at most so many decimals; exact, never through a float."""
        scalar = self._scalar(value) or ""
        if _NUMBER.fullmatch(scalar):
            number = Decimal(scalar)
            if low <= number <= high and number == round(number, decimals):
                return number
        facts = {"key": key, "low": low, "high": high, "decimals": decimals, "value": self.quoted(value)}
        if decimals:
            sentence = _(
                "%(key)s must be a number from %(low)s to %(high)s with at most %(decimals)s decimals, not %(value)s."
            )
        else:
            sentence = _("%(key)s must be a whole number from %(low)s to %(high)s, not %(value)s.")
        self.fault(value.place, sentence % facts)
        return None

    def choice(self, value: Value, key: str, choices: list[str]) -> str | None:
        """One of the words of `choices`."""
        scalar = self._scalar(value)
        # `rounding: none` is a word here, also where a YAML reader would say null.
        if scalar in choices:
            return scalar
        facts = {"key": key, "choices": ", ".join(choices), "value": self.quoted(value)}
        self.fault(value.place, _("%(key)s must be one of %(choices)s, not %(value)s.") % facts)
        return None

    def flag(self, value: Value, key: str) -> bool | None:
        """true or false."""
        scalar = (self._scalar(value) or "").lower()
        if scalar in _SCALAR_WORDS:
            return _SCALAR_WORDS[scalar]
        facts = {"key": key, "value": self.quoted(value)}
        self.fault(value.place, _("%(key)s must be true or false, not %(value)s.") % facts)
        return None

    def day(self, value: Value, key: str) -> dt.date | None:
        """A date, YYYY-MM-DD."""
        day = day_of(self._scalar(value))
        if day is None:
            facts = {"key": key, "value": self.quoted(value)}
            self.fault(value.place, _("%(key)s must be a date like 2025-12-31, not %(value)s.") % facts)
        return day

    def is_empty(self, value: Value) -> bool:
        """Whether an empty text stands there (not null, which says nothing)."""
        return self._scalar(value) == ""

    def is_word(self, value: Value, word: str) -> bool:
        """Whether exactly this word stands there."""
        return self._scalar(value) == word

    def is_null(self, value: Value) -> bool:
        """Whether nothing stands there (null, or an empty YAML value)."""
        return isinstance(value.node, yaml.ScalarNode) and value.node.tag == "tag:yaml.org,2002:null"

    def quoted(self, value: Value) -> str:
        """The value as typed, short, for an error."""
        if not isinstance(value.node, yaml.ScalarNode):
            return _("a list")
        return f"“{value.node.value[:60]}”".encode("utf-8", "replace").decode()

    def _scalar(self, value: Value) -> str | None:
        node = value.node
        if not isinstance(node, yaml.ScalarNode) or self.is_null(value):
            return None
        return _joined(str(node.value))


def _fences(text: str) -> Iterator[_Fence]:
    """The fenced blocks that are closed, line by line: a fence ends at the next line that is the same fence alone.

    Each line is looked at twice at most, however many fences are opened and never closed.
    """
    lines = text.split("\n")
    opened = [_FENCE.match(line) for line in lines]
    last_closing = {line.strip(" \t\r"): number for number, line in enumerate(lines) if opened[number]}
    number = 0
    while number < len(lines):
        found = opened[number]
        number += 1
        if found is None or last_closing.get(found[1], -1) < number:
            continue
        begin = number
        while lines[number].strip(" \t\r") != found[1]:
            number += 1
        yield _Fence(found[2].lower(), "\n".join([*lines[begin:number], ""]), begin)
        number += 1


def _joined(text: str) -> str:
    """JSON writes a character beyond U+FFFF as two halves, each escaped; they are one character."""
    if not any("\ud800" <= char <= "\udbff" for char in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _listed(keys: frozenset[str]) -> str:
    return ", ".join(sorted(keys))


def _is_storable(text: str) -> bool:
    return not any(char == "\x00" or "\ud800" <= char <= "\udfff" for char in text)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)
