"""The billing console: from a closed task in Taiga to a paid invoice in Invoice Ninja."""

from billing_console.celery import app as celery_app

__all__ = ["celery_app"]
