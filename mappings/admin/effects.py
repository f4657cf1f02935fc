"""A form that shows what a save would move: on a button, and before the save where anything unclaimed moves.

"Show the effect" shows the form again with the effect above its fields. A save that moves unclaimed entries is asked
back on a page of its own with the typed values in it; only the answer to exactly that page saves.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django import forms
from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _t
from django.utils.translation import ngettext

from billing_console.admin_base import Confirmation, environment_label
from mappings import hooks
from mappings.admin.effect_words import headline, shown_all
from mappings.effects import Change

SHOW, BACK, CONFIRMED = "_effect", "_back", "_confirmed"
_NOT_TYPED = ("csrfmiddlewaretoken", SHOW, BACK, CONFIRMED)


class _OnlyShown:
    """A form that is looked at and not saved: checked like any other, and then shown again as it is."""

    def is_valid(self) -> bool:
        """Checks the fields and their errors; never lets the page go on to save."""
        super().is_valid()  # type: ignore[misc]
        return False


class ShowsEffect:
    """Mixin of the forms whose save moves prices; goes before the console's ModelAdmin."""

    change_form_before_template = "mappings/form_effect.html"
    change_form_after_template = "mappings/form_effect_button.html"

    def change_of(self, form: Any) -> Change:
        """What saving the valid `form` would change."""
        raise NotImplementedError

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        """The form, or one that is only shown."""
        form_class = super().get_form(request, obj, change=change, **kwargs)  # type: ignore[misc]
        if not getattr(request, "is_only_shown", False):
            return form_class
        return type(f"Shown{form_class.__name__}", (_OnlyShown, form_class), {})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The form; before a save that moves unclaimed entries, the question whether it may."""
        context = dict(extra_context or {})
        if request.method == "POST":
            asked = self._before_saving(request, object_id, context)
            if asked is not None:
                return asked
        return super().changeform_view(request, object_id, form_url, context)  # type: ignore[misc]

    def _before_saving(
        self, request: HttpRequest, object_id: str | None, context: dict[str, Any]
    ) -> HttpResponse | None:
        form, stored = self._checked(request, object_id)
        if SHOW in request.POST or BACK in request.POST:
            request.is_only_shown = True  # type: ignore[attr-defined]
        if form is None or BACK in request.POST:
            return None
        change = self.change_of(form)
        if SHOW in request.POST:
            context["effects"] = shown_all(hooks.effect_of(change))
            return None
        token = _token(request, form, change)
        if request.POST.get(CONFIRMED) == token:
            return None
        effects = hooks.effect_of(change)
        if not any(effect.count for effect in effects if effect.period is None):
            return None
        return self._ask(request, change.rule_set or form.instance, stored, effects, token)

    def _checked(self, request: HttpRequest, object_id: str | None) -> tuple[Any, Any]:
        """The valid form of what was posted, and the row it changes; no form where Django itself must answer."""
        admin: Any = self
        stored = admin.get_object(request, unquote(object_id)) if object_id is not None else None
        if object_id is not None and (stored is None or not admin.has_change_permission(request, stored)):
            return None, None
        if object_id is None and not admin.has_add_permission(request):
            return None, None
        fields = flatten_fieldsets(admin.get_fieldsets(request, stored))
        form_class = admin.get_form(request, stored, change=stored is not None, fields=fields)
        form: forms.ModelForm = form_class(request.POST, request.FILES, instance=stored)
        return (form, stored) if form.is_valid() else (None, None)

    def _ask(self, request: HttpRequest, wanted: Any, stored: Any, effects: Any, token: str) -> HttpResponse:
        admin: Any = self
        unclaimed = next(effect for effect in effects if effect.period is None)
        confirmation = Confirmation(
            question=ngettext(
                "Save this? It moves %(count)d entry that is not billed yet.",
                "Save this? It moves %(count)d entries that are not billed yet.",
                unclaimed.count,
            )
            % {"count": unclaimed.count},
            consequence=_t(
                "They are priced again at once. What is in a draft or on an invoice stays as it is. "
                "Another change later moves them again."
            ),
            submit_label=_t("Save, %(effect)s") % {"effect": headline(unclaimed)},
            cancel_label=_t("Back to the form, save nothing"),
            cancel_url="",
            fields={name: value for name, value in request.POST.items() if name not in _NOT_TYPED} | {CONFIRMED: token},
        )
        label, variant = environment_label(request)
        context = {
            **admin.admin_site.each_context(request),
            "title": _t("Confirm"),
            "opts": admin.opts,
            "original": stored,
            "confirmation": confirmation,
            "effects": shown_all(effects),
            "whose": wanted,
            "back_name": BACK,
            "environment_name": label,
            "environment_variant": variant,
        }
        return TemplateResponse(request, "mappings/confirm_change.html", context)


def _token(request: HttpRequest, form: Any, change: Change) -> str:
    """What was typed, over what was stored: an answer to another page, or to an older state, is asked again."""
    typed = sorted((name, value) for name, value in request.POST.items() if name not in _NOT_TYPED)
    rows = [row for row in (*change.rates, change.rules_before) if row is not None and row.pk]
    stored = [
        str(sorted(type(row)._default_manager.filter(pk=row.pk).values().first().items()))  # type: ignore[union-attr]
        for row in rows
    ]
    return hashlib.sha256(json.dumps([typed, stored]).encode()).hexdigest()
