"""Modules are one thing each: short, without a network or the clock behind our back, and in their layer."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CLONE = Path(__file__).resolve().parent.parent
PACKAGES = ("accounts", "billing_console", "invoicing", "mappings", "sandbox", "sync")
# "Near 300 lines": a module of more wants to be two.
MAX_LINES = 360
MODULES = sorted(
    path
    for package in PACKAGES
    for path in (CLONE / package).rglob("*.py")
    if "migrations" not in path.parts and "node_modules" not in path.parts
)


def name_of(path: Path) -> str:
    return str(path.relative_to(CLONE))


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def is_below(name: str, *parents: str) -> bool:
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)


def test_modules_stay_near_300_lines() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}

    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_the_clients_know_neither_rows_nor_settings() -> None:
    clients = [path for path in MODULES if path.is_relative_to(CLONE / "sync" / "clients")]
    assert clients

    found = {
        (name_of(path), name)
        for path in clients
        for name in imports_of(path)
        if is_below(name, "django.db", "django.conf", "billing_console.settings")
    }

    assert found == set()


@pytest.mark.parametrize("app", ["accounts", "mappings", "sync", "invoicing"])
def test_models_import_no_service_and_no_page(app: str) -> None:
    models = [path for path in MODULES if path.is_relative_to(CLONE / app) and "models" in name_of(path)]
    assert models
    pages = {f"{app}.{name}" for name in ("admin", "admin_views", "views", "forms", "tasks", "management", "urls")}

    found = {(name_of(path), name) for path in models for name in imports_of(path) if is_below(name, *pages)}

    assert found == set()


PAGE_WORDS = {"admin", "views", "page", "pages", "forms", "navigation", "urls", "health", "list"}


def is_page(name: str) -> bool:
    """True for a module that makes pages, by its name: nothing below the pages may know it."""
    return any(PAGE_WORDS & set(part.split("_")) for part in name.split(".")[1:])


def test_only_pages_import_pages() -> None:
    apps = ("mappings", "sync", "invoicing")
    dotted = {path: ".".join(path.relative_to(CLONE).with_suffix("").parts) for path in MODULES}
    known = set(dotted.values())
    services = {
        path: name
        for path, name in dotted.items()
        if name.startswith(apps) and not is_page(name) and path.name != "apps.py" and "management" not in path.parts
    }

    found = {
        (name, imported)
        for path, name in services.items()
        for imported in imports_of(path)
        if imported in known and imported.startswith(apps) and is_page(imported)
    }

    assert found == set()


def test_every_module_says_what_it_is_and_defers_annotations() -> None:
    silent = [
        name_of(path)
        for path in MODULES
        if path.read_text().strip()
        and path.name not in ("__init__.py", "apps.py")
        and not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert silent == []
