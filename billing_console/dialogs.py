"""One row, one act: the dialog that asks, and the acts of a list. A part of `admin_base`, which others import.

Both carry what was shown of a row, and act only while it is locked and still the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action as kit_action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from billing_console import shown
from billing_console.errors import ConsoleError
from billing_console.pages import Text
from billing_console.values import number_of

ROW_FIELD = "shown_rows"


class DialogForm(BaseDialogForm):
    """Base of the forms in dialogs; the kit gives it `request` and `object_id`.

    Above its fields stands what the act is about, and the form carries that.
    """

    def render_before_template(self) -> str:
        about = getattr(self.request, "dialog_is_about", None)
        return SafeString((about() if about else "") + super().render_before_template())


class ReasonForm(DialogForm):
    """Asks why; the reason goes into the history of the row."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        max_length=1000,
        help_text=gettext_lazy("Is shown in the history."),
    )


# A button ends in dots because a question follows; the question itself does not.
_without_dots = lazy(lambda title: str(title).removesuffix("…"), str)


def dialog_action(
    *,
    title: Text,
    permission: str,
    submit_text: Text,
    description: Text = "",
    form_class: type[DialogForm] = ReasonForm,
    url_path: str | None = None,
    icon: str | None = None,
    variant: ActionVariant = ActionVariant.DEFAULT,
    offered_when: Callable[[Any], bool] | None = None,
    needs_no_version: str = "",
) -> Callable[[Callable[..., Text | None]], Any]:
    """A button (`actions_detail`, `actions_row`, `actions_list`) that opens a form and acts only when it is posted.

    The method is `(self, request, form, row)`, for `actions_list` without a row. The row is locked and is what the
    dialog showed (`ModelAdmin.shown_of`), else the act is refused. The method calls its service and returns the
    sentence to show, or None. A ConsoleError is shown as its sentence. `permission` is "app.codename".
    `offered_when` says of a row whether its form shows the button; the service checks the state again all the same.
    `needs_no_version` says why an act of a list is about nothing on the screen.
    """

    def decorate(method: Callable[..., Text | None]) -> Any:
        @wraps(method)
        def act(model_admin: Any, request: HttpRequest, form: DialogForm, *args: Any, **kwargs: Any) -> HttpResponse:
            object_id = kwargs.pop("object_id", None)
            try:
                with transaction.atomic():
                    rows = [] if object_id is None else [_as_shown(model_admin, request, object_id)]
                    sentence = method(model_admin, request, form, *rows, *args, **kwargs)
            except ConsoleError as error:
                messages.error(request, error.sentence)
            else:
                if sentence:
                    messages.success(request, sentence)
            return redirect_after(request, _back_url(model_admin, object_id))

        asking = kit_action(
            description=title,  # type: ignore[arg-type]
            permissions=[permission],
            url_path=url_path,
            icon=icon,
            variant=variant,
            dialog={  # type: ignore[arg-type]
                "title": _without_dots(title),
                "description": description,
                "form_class": form_class,
                "form_submit_text": submit_text,
            },
        )(act)

        @wraps(asking)
        def action(model_admin: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            object_id = kwargs.get("object_id")
            request.dialog_is_about = lambda: _about(model_admin, object_id)  # type: ignore[attr-defined]
            return asking(model_admin, request, *args, **kwargs)

        action.offered_when, action.needs_no_version = offered_when, needs_no_version  # type: ignore[attr-defined]
        return action

    return decorate


def redirect_after(request: HttpRequest, url: str) -> HttpResponse:
    """Redirect after an act: a dialog of the kit needs a header, or it stays open, empty."""
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


def row_field(model_admin: Any, row: Any) -> SafeString:
    """What a list shows of one row, for the acts of that list."""
    token = shown.seal(_subject(row), model_admin.shown_of(row))
    return format_html('<input type="hidden" name="{}" value="{}:{}">', ROW_FIELD, row.pk, token)


def rows_seen(request: HttpRequest, model: type[Model]) -> dict[str, Any]:
    """What the list showed of its rows, by their ids. Raises NotAllowed for what no list of ours sends."""
    pairs = (posted.split(":", 1) for posted in request.POST.getlist(ROW_FIELD) if ":" in posted)
    return {pk: shown.read(f"{model._meta.label_lower}:{pk}", token) for pk, token in pairs}


def on_shown(act: Callable[..., Any]) -> Callable[..., Any]:
    """An action of a list that others wrote, with those rows alone that are still what the list showed."""

    @wraps(act)
    def checked(model_admin: Any, request: HttpRequest, rows: QuerySet[Any]) -> Any:
        same: list[Any] = []
        act_on_shown(
            request,
            rows,
            lambda row, user: same.append(row.pk),
            seen=rows_seen(request, rows.model),
            lock=model_admin.locked,
            words=model_admin.shown_of,
        )
        return act(model_admin, request, rows.filter(pk__in=same)) if same else None

    return checked


def act_on_shown(
    request: HttpRequest,
    rows: Iterable[Any],
    act: Callable[..., Any],
    *,
    seen: Mapping[str, Any],
    lock: Callable[[Any], Any],
    words: Callable[[Any], Mapping[str, Any]],
) -> int:
    """Do `act(row, user=…)` with each row that is, once locked, what was `seen` of it; what is refused is said.

    Each row by itself, in a transaction of its own. Returns with how many it was done.
    """
    done = 0
    for row in rows:
        try:
            with transaction.atomic():
                locked = _found(lock(row.pk))
                shown.require_same(seen.get(str(row.pk)), words(locked))
                act(locked, user=request.user)
            done += 1
        except ConsoleError as error:
            messages.warning(request, f"{row}: {error.sentence}")
    return done


def _about(model_admin: Any, object_id: Any) -> SafeString:
    """What a dialog is about, as its person sees it, and the field that carries it."""
    rows = model_admin.model._default_manager
    number = number_of(str(object_id))
    row = rows.filter(pk=number).first() if number is not None else None
    if row is None:
        return SafeString()
    words = model_admin.shown_of(row)
    facts = [(label, value) for label, value in words.items() if not str(label).startswith("_") and str(value)]
    return render_to_string("console/_shown.html", {"facts": facts}) + shown.field(_subject(row), words)


def _as_shown(model_admin: Any, request: HttpRequest, object_id: Any) -> Any:
    """The row, locked. Raises ConsoleError where it is gone, or another one than the dialog showed."""
    locked = _found(None if number_of(str(object_id)) is None else model_admin.locked(object_id))
    shown.require(_subject(locked), request.POST.get(shown.FIELD), model_admin.shown_of(locked))
    return locked


def _found(row: Any) -> Any:
    if row is None:
        raise ConsoleError(_("This row is gone. Reload the list."))
    return row


def _subject(row: Model) -> str:
    return f"{row._meta.label_lower}:{row.pk}"


def _back_url(model_admin: Any, object_id: str | int | None) -> str:
    prefix = f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}"
    if object_id is None:
        return reverse(f"{prefix}_changelist")
    return reverse(f"{prefix}_change", args=[object_id])
