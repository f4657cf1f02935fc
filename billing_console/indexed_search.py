"""Search words of long lists, each found by the index of the column it stands in."""

from __future__ import annotations

import re
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.text import smart_split, unescape_string_literal

from billing_console.admin_base import ReadOnlyModelAdmin

NEVER: Final = Q(pk__in=())
_REFERENCE: Final = re.compile(r"#\d+")


class IndexedSearchAdmin(ReadOnlyModelAdmin):
    """A list in which every word of a search must stand somewhere.

    Of `search_fields` those with "=" are asked for exactly, as what they are, and those with "^" by their beginning, in
    the letters that were typed; Django's own compare texts in capitals, which no index knows. A word that is no number
    is in no column of numbers. Other tables are searched by themselves: joined with each other, none of their indexes
    would be of use. A word like #45 is looked for in `reference_field` alone, where there is one.
    """

    reference_field = ""

    def find_otherwise(self, text: str) -> Q:
        """What a word finds beside `search_fields`, or the whole search where it has spaces ("2 696,03"); or nothing.

        Only columns of the row itself: no other table is joined.
        """
        return Q()

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        words = Q()
        for word in smart_split(search_term):
            plain = unescape_string_literal(word) if word[:1] in "\"'" and word[:1] == word[-1:] else word
            names, wanted = self.search_fields, Q()
            if self.reference_field and _REFERENCE.fullmatch(plain):
                names, plain = (self.reference_field,), plain.removeprefix("#")
            for name in names:
                wanted |= _condition(self.model, str(name), plain)
            words &= (wanted | self.find_otherwise(plain)) or NEVER
        whole = self.find_otherwise(search_term) if len(search_term.split()) > 1 else Q()
        return queryset.filter(words | whole if whole else words), False


def _condition(model: Any, name: str, word: str) -> Q:
    """Where `word` stands in the search field `name` of `model`; an empty Q where it cannot."""
    how = name[:1] if name[:1] in "=^" else ""
    column, _dots, rest = name.removeprefix(how).partition("__")
    field = model._meta.get_field(column)
    if rest:
        there = _condition(field.related_model, how + rest, word)
        return _through(field, field.related_model._default_manager.filter(there).order_by()) if there else Q()
    if how == "=":
        try:
            return Q((column, field.to_python(word)))
        except ValidationError:
            return Q()
    return Q((f"{column}__{'startswith' if how else 'icontains'}", word))


def _through(field: Any, rows: QuerySet) -> Q:
    """The rows that `field` ties to some of the other table's `rows`."""
    if isinstance(field, models.ManyToOneRel):
        return Q(pk__in=rows.values(field.field.name))
    return Q((f"{field.name}__in", rows.values("pk")))
