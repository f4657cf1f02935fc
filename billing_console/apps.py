"""The project's own app and its admin site. This module must not import the kit's admin: apps are not ready yet."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.utils.translation import gettext_lazy as _


class BillingConsoleConfig(AppConfig):
    name = "billing_console"
    verbose_name = _("Billing console")
    default = True

    def ready(self) -> None:
        from billing_console.checks import register_checks  # noqa: PLC0415 - needs the apps

        register_checks()


class ConsoleAdminConfig(admin_apps.AdminConfig):
    default = False
    default_site = "billing_console.admin_base.ConsoleAdminSite"
