from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from accounts.groups import on_migrate  # noqa: PLC0415  (models are not there before)

        post_migrate.connect(on_migrate, dispatch_uid="accounts.groups")
