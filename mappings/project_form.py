"""The form that says who pays for a Taiga project: both sides are chosen from cached lists, nothing is typed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console.admin_base import UnfoldAdminSelect2Widget, UnfoldAdminTextInputWidget
from billing_console.errors import ConfigError
from billing_console.fields import cipher
from mappings.models import ProjectMapping, TaigaProject


class TaigaProjectField(forms.ModelChoiceField):
    """A choice that says what a name alone does not: the slug, and what our user may not do there."""

    def label_from_instance(self, obj: Any) -> str:
        """For example "Website (website-redesign), archived"."""
        label = f"{obj} ({obj.slug})" if obj.slug else str(obj)
        return gettext("%(project)s, archived") % {"project": label} if obj.is_archived else label


class ProjectMappingForm(forms.ModelForm):
    """Which client pays for a Taiga project. The webhook's key is written here and never shown."""

    new_webhook_key = forms.CharField(
        label=_("New webhook key"),
        required=False,
        max_length=255,
        strip=True,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "password", "autocomplete": "new-password"}),
        help_text=_(
            "Only for a webhook with a key of its own. It is stored encrypted and never shown again; empty keeps the "
            "present one. The key before it stays valid until the next change."
        ),
    )

    taiga_project = TaigaProjectField(
        label=_("Taiga project"),
        queryset=TaigaProject.objects.none(),
        to_field_name="taiga_id",
        widget=UnfoldAdminSelect2Widget(),
        help_text=_("The projects that the console's own user is a member of and that are mapped to no client yet."),
        error_messages={
            "invalid_choice": _(
                "Taiga shows the console's user no such project, or it is mapped already. Refresh the lists, or make "
                "the user a member of it in Taiga."
            )
        },
    )

    class Meta:
        model = ProjectMapping
        fields = ("client", "ninja_project", "is_active", "active_from", "active_to")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            del self.fields["taiga_project"]
            return
        mapped = ProjectMapping.objects.values("taiga_project_id")
        choices: Any = self.fields["taiga_project"]
        choices.queryset = TaigaProject.objects.filter(is_known=True).exclude(taiga_id__in=mapped)

    @property
    def reads_everything(self) -> bool:
        """Whether the first look at this project will read all that was ever closed in it."""
        return self.instance.active_from is None

    def clean_new_webhook_key(self) -> str:
        """A key can be stored only where FIELD_KEY is there to encrypt it."""
        key: str = self.cleaned_data["new_webhook_key"]
        if key:
            try:
                cipher()
            except ConfigError as error:
                raise forms.ValidationError(error.sentence) from None
        return key

    def clean(self) -> dict[str, Any]:
        """The project belongs to the client, the days are in order."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        client, project = cleaned.get("client"), cleaned.get("ninja_project")
        if client and project and project.client_id != client.pk:
            facts = {"project": project, "owner": project.client, "client": client}
            sentence = gettext("“%(project)s” belongs to %(owner)s in Invoice Ninja, not to %(client)s.")
            self.add_error("ninja_project", sentence % facts)
        for name in ("client", "ninja_project"):
            row = cleaned.get(name)
            if row and name in self.changed_data and (row.is_deleted or not row.is_known):
                sentence = gettext("Invoice Ninja has no living “%(row)s” (any more). Choose another one.")
                self.add_error(name, sentence % {"row": row})
        begins, ends = cleaned.get("active_from"), cleaned.get("active_to")
        if begins and ends and ends < begins:
            self.add_error("active_to", gettext("The last day cannot be before the first."))
        return cleaned

    def _post_clean(self) -> None:
        # Known by Taiga's id, called what Taiga calls it; both before the model's own checks.
        if chosen := self.cleaned_data.get("taiga_project"):
            self.instance.taiga_project_id = chosen.taiga_id
            self.instance.taiga_project_name, self.instance.taiga_slug = str(chosen), chosen.slug
        super()._post_clean()  # type: ignore[misc]

    def save(self, commit: bool = True) -> Any:
        """Store the mapping; a new key moves the present one to the place of the previous one."""
        if key := self.cleaned_data.get("new_webhook_key"):
            self.instance.move_key_to(key)
        return super().save(commit)
