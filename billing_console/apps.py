"""The admin site of the console. This module must not import the kit's admin: apps are not ready yet."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class ConsoleAdminConfig(AdminConfig):
    default_site = "billing_console.admin_base.ConsoleAdminSite"
