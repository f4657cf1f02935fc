"""The four groups and their rights. Each has the rights of those before it; migrations keep them so."""

from __future__ import annotations

from typing import Any, Final

from django.apps import AppConfig, apps
from django.contrib.auth.models import Group, Permission
from django.db.models import Q

VIEWER: Final = "Viewer"
CLERK: Final = "Billing clerk"
APPROVER: Final = "Approver"
ADMINISTRATOR: Final = "Administrator"
GROUPS: Final = (VIEWER, CLERK, APPROVER, ADMINISTRATOR)

# What everybody may look at, whole apps; users and schedules are the administrators' own.
_VIEWED_APPS: Final = ("mappings", "sync", "invoicing")
_CLERK: Final = frozenset({"sync.work_timeentry", "invoicing.start_invoicerun", "invoicing.prepare_invoice"})
_APPROVER: Final = frozenset({"invoicing.approve_invoice", "invoicing.send_invoice", "invoicing.close_month"})
# Models whose every row administrators look after: add, change, delete and view.
_ADMINISTERED_APPS: Final = ("mappings", "django_celery_beat")
_ADMINISTRATOR: Final = frozenset(
    {
        *("accounts.view_user", "accounts.add_user", "accounts.change_user"),
        *("sync.change_upstreampin", "invoicing.reopen_month"),
    }
)


def rights_of(group: str) -> frozenset[str]:
    """Every permission ("app.codename") of one of `GROUPS`. Raises ValueError for another name."""
    level = GROUPS.index(group)
    rights = {f"{label}.view_{name}" for label in _VIEWED_APPS for name in _model_names(label)}
    if level >= GROUPS.index(CLERK):
        rights |= _CLERK
    if level >= GROUPS.index(APPROVER):
        rights |= _APPROVER
    if level >= GROUPS.index(ADMINISTRATOR):
        rights |= _ADMINISTRATOR
        rights |= {
            f"{label}.{verb}_{name}"
            for label in _ADMINISTERED_APPS
            for name in _model_names(label)
            if not name.startswith("historical")  # history is written by the console, never by hand
            for verb in ("add", "change", "delete", "view")
        }
    return frozenset(rights)


def update_groups(app_label: str) -> None:
    """Make the four groups and give each exactly its rights in one app; changes nothing when they are right."""
    groups = {name: Group.objects.get_or_create(name=name)[0] for name in GROUPS}
    held = set(
        Permission.objects.filter(content_type__app_label=app_label, group__in=groups.values()).values_list(
            "group__name", "content_type__app_label", "codename"
        )
    )
    for name, group in groups.items():
        wanted = {right for right in rights_of(name) if right.startswith(f"{app_label}.")}
        had = {f"{label}.{codename}" for holder, label, codename in held if holder == name}
        if wanted - had:
            group.permissions.add(*_permissions(wanted - had))
        if had - wanted:
            group.permissions.remove(*_permissions(had - wanted))


def on_migrate(sender: AppConfig, **kwargs: Any) -> None:
    """After an app's migrations (and after Django made its permissions): bring the groups up to date."""
    if sender.label in {*_VIEWED_APPS, *_ADMINISTERED_APPS, "accounts"}:
        update_groups(sender.label)


def _model_names(label: str) -> list[str]:
    return [model._meta.model_name or "" for model in apps.get_app_config(label).get_models()]


def _permissions(rights: set[str]) -> list[Permission]:
    pairs = [right.split(".", 1) for right in rights]
    condition = Q(pk__in=[])
    for label, codename in pairs:
        condition |= Q(content_type__app_label=label, codename=codename)
    return list(Permission.objects.filter(condition))
