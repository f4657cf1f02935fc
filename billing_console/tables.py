"""Whether the database has the tables of the code that this process runs. What it knows is noted when it starts.

After an upgrade the files on the disk are of the newer version, while a process that runs is still of the older one.
"""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import Final

from django.apps import apps
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

# Held by whoever changes the tables, for as long as that takes. Any constant that nobody else uses.
LOCK_KEY: Final = 8_312_026

Migration = tuple[str, str]  # app, name


@functools.cache
def known() -> frozenset[Migration]:
    """The migrations of this code, as they were when it was asked for the first time: when the process started."""
    found = set()
    for app in apps.get_app_configs():
        try:
            package = import_module(f"{app.name}.migrations")
        except ModuleNotFoundError:
            continue
        found |= {(app.label, module.name) for module in pkgutil.iter_modules(package.__path__)}
    return frozenset(found)


def unknown(applied: Iterable[Migration], ours: frozenset[Migration]) -> list[Migration]:
    """Of the `applied`, in their order, what came after the last of `ours` in an app of ours: of a newer version.

    An older one that no version has any more stands before them.
    """
    labels = {label for label, _name in ours}
    newer: list[Migration] = []
    for migration in applied:
        newer = [] if migration in ours else [*newer, migration]
    return [migration for migration in newer if migration[0] in labels]


def why_not_ours() -> str:
    """Why the tables are not those of this process, and what to do; "" where they are. Raises DatabaseError."""
    ours = known()
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, name FROM django_migrations ORDER BY id")
        applied = [(app, name) for app, name in cursor.fetchall()]
    if newer := unknown(applied, ours):
        return _(
            "The tables are of a newer version of the console (%(migration)s) than this process. It does nothing "
            "until it is started again with that version."
        ) % {"migration": ".".join(newer[-1])}
    if not ours <= set(applied) and (missing := missing_migrations()):
        sentence = ngettext(
            "The tables lack %(count)d migration of this version: %(first)s. Nothing is done until `manage.py prepare` "
            "has made it.",
            "The tables lack %(count)d migrations of this version, the first is %(first)s. Nothing is done until "
            "`manage.py prepare` has made them.",
            len(missing),
        )
        return sentence % {"count": len(missing), "first": missing[0]}
    return ""


def missing_migrations() -> list[str]:
    """The migrations that the database lacks, as `app.name`; all of them where it is empty. Raises DatabaseError."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _is_backwards in plan]


def is_empty() -> bool:
    """Whether the database has no table of ours yet. Raises DatabaseError."""
    with connection.cursor() as cursor:
        return "django_migrations" not in connection.introspection.table_names(cursor)
