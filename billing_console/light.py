"""Lists load what they show: columns that hold whole answers of others or bodies of files stay in the database.

A model names them in `HEAVY`; a page about one row loads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Model, QuerySet


def light(rows: QuerySet[Any], *paths: str) -> QuerySet[Any]:
    """`rows` without the heavy columns of their model and of those on the `paths` that are selected with it."""
    return rows.defer(*heavy_names(rows.model, paths))


def heavy_names(model: type[Model], paths: Iterable[str]) -> list[str]:
    """The names of the heavy columns of a model and of the models on the paths ("item__project")."""
    found = set(getattr(model, "HEAVY", ()))
    for path in paths:
        for prefix, related in _models_on(model, path):
            found |= {f"{prefix}__{name}" for name in getattr(related, "HEAVY", ())}
    return sorted(found)


def _models_on(model: type[Model], path: str) -> Iterator[tuple[str, type[Model]]]:
    prefix = ""
    for name in path.split("__"):
        related: Any = model._meta.get_field(name).related_model
        model, prefix = related, f"{prefix}__{name}".removeprefix("__")
        yield prefix, model
