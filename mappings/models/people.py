"""Who works: people, the roles that have a rate, and who has which role in which Taiga project."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.Model):
    """A role with a rate, e.g. senior_dev. Keys are folded: lower case, `-` and space become `_`."""

    key = models.SlugField(_("key"), max_length=100, unique=True)
    name = models.CharField(_("name"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("role")
        verbose_name_plural = _("roles")
        ordering = ["key"]

    def __str__(self) -> str:
        return self.name or self.key


class Person(models.Model):
    """A user of Taiga."""

    taiga_user_id = models.PositiveBigIntegerField(_("Taiga user id"), unique=True)
    username = models.CharField(_("username"), max_length=255, blank=True, db_index=True)
    full_name = models.CharField(_("full name"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        ordering = ["full_name", "username"]

    def __str__(self) -> str:
        return self.full_name or self.username or str(self.taiga_user_id)


class Membership(models.Model):
    """The role of a person in a Taiga project, as last read from Taiga."""

    person = models.ForeignKey(Person, models.CASCADE, related_name="memberships", verbose_name=_("person"))
    taiga_project_id = models.PositiveBigIntegerField(_("Taiga project id"), db_index=True)
    role_name = models.CharField(_("role in Taiga"), max_length=255)
    role_key = models.CharField(_("role key"), max_length=255, help_text=_("The role's name, folded."))
    refreshed_at = models.DateTimeField(_("last read"), null=True, blank=True)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        ordering = ["taiga_project_id", "person"]
        constraints = [
            models.UniqueConstraint(fields=["person", "taiga_project_id"], name="membership_one_role_per_project")
        ]

    def __str__(self) -> str:
        return f"{self.person}: {self.role_name}"
