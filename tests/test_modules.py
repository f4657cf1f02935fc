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


def test_only_pages_import_pages() -> None:
    pages = ("admin", "admin_views", "views", "forms", "work_list", "navigation", "urls")
    services = [
        path
        for path in MODULES
        if path.parts[len(CLONE.parts)] in ("mappings", "sync", "invoicing")
        and not any(part.removesuffix(".py").startswith(pages) for part in path.parts)
        and path.name not in ("apps.py", "__init__.py")
        and "management" not in path.parts
    ]

    found = {
        (name_of(path), name)
        for path in services
        for name in imports_of(path)
        for app in ("mappings", "sync", "invoicing")
        if is_below(name, f"{app}.admin", f"{app}.admin_views", f"{app}.views")
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
