"""Where a person finds our things in the two servers' own pages. Pure text from settings; nobody is called."""

from __future__ import annotations

from django.conf import settings

from sync.models import WorkItem

_TAIGA_PATHS = {"T": "task", "U": "us", "I": "issue"}


def _root(api: str) -> str:
    return api.rstrip("/").removesuffix("/api/v1")


def ninja_task(remote_id: str | None) -> str:
    """The page of a task in Invoice Ninja; in the sandbox the page of what the stand-in holds. "" without an id."""
    return _ninja("tasks", remote_id)


def ninja_invoice(remote_id: str | None) -> str:
    """The page of an invoice in Invoice Ninja; in the sandbox the page of what the stand-in holds. "" without an id."""
    return _ninja("invoices", remote_id)


def _ninja(kind: str, remote_id: str | None) -> str:
    if not remote_id or not settings.INVOICE_NINJA_API:
        return ""
    root = _root(settings.INVOICE_NINJA_API)
    return f"{root}/sandbox/" if settings.ENVIRONMENT == "sandbox" else f"{root}/#/{kind}/{remote_id}/edit"


def taiga_item(item: WorkItem) -> str:
    """The page of an item in Taiga; in the sandbox the page of what the stand-in holds. "" for an unknown project."""
    if not settings.TAIGA_API:
        return ""
    root = _root(settings.TAIGA_API)
    if settings.ENVIRONMENT == "sandbox":
        return f"{root}/sandbox/"
    if item.permalink:
        return item.permalink
    slug = item.project.taiga_slug if item.project else ""
    return f"{root}/project/{slug}/{_TAIGA_PATHS[item.kind]}/{item.ref}" if slug and item.ref else ""


def taiga_page(path: str) -> str:
    """A page of Taiga by its path below the root; in the sandbox the page of what the stand-in holds."""
    return _page(settings.TAIGA_API, path)


def ninja_page(path: str) -> str:
    """A page of Invoice Ninja by its path below the root; in the sandbox the page of what the stand-in holds."""
    return _page(settings.INVOICE_NINJA_API, path)


def _page(api: str, path: str) -> str:
    if not api:
        return ""
    return f"{_root(api)}/sandbox/" if settings.ENVIRONMENT == "sandbox" else f"{_root(api)}/{path}"
