"""The people of the office. Rights come from four groups (accounts.groups), never from flags of their own."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """A person who signs in to the console."""

    has_single_keys = models.BooleanField(
        _("single-key shortcuts"),
        default=True,
        help_text=_("Whether single letters such as a, h, r and n act on the review pages."),
    )

    class Meta(AbstractUser.Meta):
        verbose_name = _("user")  # type: ignore[assignment]
        verbose_name_plural = _("users")  # type: ignore[assignment]
