"""What Invoice Ninja has: clients, projects and products, cached and refreshed, never typed."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Client(models.Model):
    """A client of Invoice Ninja, as last read from it."""

    ninja_id = models.CharField(_("Invoice Ninja id"), max_length=64, unique=True)
    name = models.CharField(_("name"), max_length=255, blank=True)
    currency = models.CharField(
        _("currency"), max_length=3, blank=True, help_text=_("ISO code of the client's currency.")
    )
    currency_decimals = models.PositiveSmallIntegerField(
        _("decimals there"), null=True, blank=True, help_text=_("With how many Invoice Ninja counts this currency.")
    )
    contacts = models.JSONField(
        _("contacts"),
        default=list,
        blank=True,
        help_text=_("Contacts as read: name, email, whether invoices are mailed to them."),
    )
    rounds_to_five_cents = models.BooleanField(
        _("totals rounded to five cents"),
        default=False,
        editable=False,
        help_text=_("Invoice Ninja's setting enable_rappen_rounding, of the client or else of the company."),
    )
    is_known = models.BooleanField(_("known to Invoice Ninja"), default=False)
    is_archived = models.BooleanField(_("archived"), default=False)
    is_deleted = models.BooleanField(_("deleted"), default=False)
    refreshed_at = models.DateTimeField(_("last read"), null=True, blank=True)

    class Meta:
        verbose_name = _("client")
        verbose_name_plural = _("clients")
        ordering = ["name", "ninja_id"]

    def __str__(self) -> str:
        return self.name or self.ninja_id

    def emails(self) -> list[str]:
        """Addresses of the contacts that get invoices by mail; contacts without an address are left out."""
        return [c["email"].strip() for c in self.contacts if c.get("send_email") and (c.get("email") or "").strip()]


class NinjaProject(models.Model):
    """A project of Invoice Ninja, as last read from it."""

    ninja_id = models.CharField(_("Invoice Ninja id"), max_length=64, unique=True)
    client = models.ForeignKey(Client, models.PROTECT, related_name="ninja_projects", verbose_name=_("client"))
    name = models.CharField(_("name"), max_length=255, blank=True)
    is_known = models.BooleanField(_("known to Invoice Ninja"), default=False)
    is_archived = models.BooleanField(_("archived"), default=False)
    is_deleted = models.BooleanField(_("deleted"), default=False)
    refreshed_at = models.DateTimeField(_("last read"), null=True, blank=True)

    class Meta:
        verbose_name = _("Invoice Ninja project")
        verbose_name_plural = _("Invoice Ninja projects")
        ordering = ["name", "ninja_id"]

    def __str__(self) -> str:
        return self.name or self.ninja_id


class Product(models.Model):
    """A product of Invoice Ninja's price list, as last read from it; rules name one by its key."""

    ninja_id = models.CharField(_("Invoice Ninja id"), max_length=64, unique=True)
    product_key = models.CharField(_("key"), max_length=255, db_index=True)
    notes = models.TextField(_("description"), blank=True)
    is_known = models.BooleanField(_("known to Invoice Ninja"), default=False)
    is_archived = models.BooleanField(_("archived"), default=False)
    is_deleted = models.BooleanField(_("deleted"), default=False)
    refreshed_at = models.DateTimeField(_("last read"), null=True, blank=True)

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        ordering = ["product_key", "ninja_id"]

    def __str__(self) -> str:
        return self.product_key
