"""What the lists read from both servers have in common: they are refreshed by the worker, never by a page."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from billing_console.admin_base import DialogForm, dialog_action
from billing_console.values import number_of
from mappings import hooks


class RefreshesLists:
    """The button "Refresh the lists…" over a list. Goes before the console's ModelAdmin."""

    actions_list = ("refresh_lists",)

    @dialog_action(
        title=_("Refresh the lists…"),
        description=_(
            "Clients and projects of Invoice Ninja and projects of Taiga are read again. They are read every ten "
            "minutes by themselves."
        ),
        permission="mappings.change_projectmapping",
        submit_text=_("Read them now"),
        form_class=DialogForm,
        needs_no_version="Only has the lists read again.",
    )
    def refresh_lists(self, request: HttpRequest, form: DialogForm) -> str:
        """Ask the worker; the page calls no server."""
        hooks.want_lists()
        return _t("The lists are read again now. Reload this page in a few seconds.")


def is_choice_for(request: HttpRequest, model_name: str) -> bool:
    """Whether the request fills a choice on the form of `model_name`."""
    return request.path.endswith("/autocomplete/") and request.GET.get("model_name") == model_name


def of_chosen_client(request: HttpRequest, rows: QuerySet) -> QuerySet:  # type: ignore[type-arg]
    """Only the rows of the client that stands on the form (`client`, sent by its script), where one does."""
    client = number_of(request.GET.get("client"))
    return rows if client is None else rows.filter(client=client)
