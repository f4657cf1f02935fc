"""Long lists in the admin that nobody counts: newest first, quick at ten thousand rows and at a million."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.paginator import Page
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.text import smart_split, unescape_string_literal
from unfold.paginator import InfinitePage, InfinitePaginator

from billing_console.admin_base import ReadOnlyModelAdmin


class JournalPaginator(InfinitePaginator):
    """Pages of a list whose length nobody knows; those from its end have negative numbers, -1 is the last one.

    The last page is read from the end of the index: to skip a million rows on the way to it would take their time.
    """

    template_name = "console/journal_pages.html"

    def page(self, number: Any) -> Page:
        """The rows of a page, in the order of the list. Raises InvalidPage for 0 and for what is no number."""
        if not isinstance(number, int) or number >= 0:
            return super().page(number)
        first = (-number - 1) * self.per_page
        rows = list(self.object_list.reverse()[first : first + self.per_page])
        return InfinitePage(rows[::-1], number, self)


class IndexedSearchAdmin(ReadOnlyModelAdmin):
    """A list whose search words are found by an index.

    Of `search_fields` those with "=" are asked for exactly, as what they are, and those with "^" by their beginning, in
    the letters that were typed; Django's own compare texts in capitals, which no index knows. A word that is no number
    is in no column of numbers.
    """

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        for word in smart_split(search_term):
            plain = unescape_string_literal(word) if word[:1] in "\"'" and word[:1] == word[-1:] else word
            wanted = Q()
            for name in self.search_fields:
                wanted |= self._lookup(str(name), plain)
            queryset = queryset.filter(wanted) if wanted else queryset.none()
        return queryset, False

    def _lookup(self, name: str, word: str) -> Q:
        if name.startswith("^"):
            return Q((f"{name.removeprefix('^')}__startswith", word))
        if not name.startswith("="):
            return Q((f"{name}__icontains", word))
        column = name.removeprefix("=")
        try:
            return Q((column, self.model._meta.get_field(column).to_python(word)))
        except ValidationError:
            return Q()


class JournalModelAdmin(IndexedSearchAdmin):
    """A long list, newest first, without counting its rows."""

    paginator = JournalPaginator
    show_full_result_count = False
    ordering = ("-id",)
