"""Long lists in the admin that nobody counts: newest first, quick at ten thousand rows and at a million."""

from __future__ import annotations

from typing import Any

from django.core.paginator import EmptyPage, Page
from django.http import HttpRequest
from unfold.paginator import InfinitePage, InfinitePaginator
from unfold.views import ChangeList

from billing_console.indexed_search import IndexedSearchAdmin


class JournalPaginator(InfinitePaginator):
    """Pages of a list whose length nobody knows; those from its end have negative numbers, -1 is the last one.

    The last page is read from the end of the index: to skip a million rows on the way to it would take their time.
    """

    template_name = "console/journal_pages.html"

    def page(self, number: Any) -> Page:
        """The rows of a page, in the order of the list. Raises InvalidPage for 0 and for what no page can be."""
        if isinstance(number, int) and abs(number) > self.num_pages:
            raise EmptyPage
        if not isinstance(number, int) or number >= 0:
            return super().page(number)
        first = (-number - 1) * self.per_page
        rows = list(self.object_list.reverse()[first : first + self.per_page])
        return InfinitePage(rows[::-1], number, self)


class _JournalChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # Else a page says how many rows nobody counted, and offers to select so many.
        self.full_result_count = self.result_count = len(self.result_list)


class JournalModelAdmin(IndexedSearchAdmin):
    """A long list, newest first, without counting its rows."""

    paginator = JournalPaginator
    show_full_result_count = False
    list_disable_select_all = True
    ordering = ("-id",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _JournalChangeList
