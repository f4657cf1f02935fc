"""Which method and path lead to which handler; below /api/v1."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from werkzeug.routing import Map, Rule

from sandbox.ninja import (
    activities,
    clients,
    company,
    credits,
    invoice_actions,
    invoices,
    payment_undo,
    payments,
    pdf,
    projects,
    tasks,
    webhooks,
)

_ROUTES: list[tuple[str, str, Callable[..., Any]]] = [
    ("GET", "/ping", company.ping),
    ("GET", "/health_check", company.health_check),
    ("GET", "/statics", company.get_statics),
    ("POST", "/login", company.log_in),
    ("GET", "/companies", company.list_companies),
    ("POST", "/companies/current", company.current_company),
    ("GET", "/companies/<company_id>", company.get_company),
    ("PUT", "/companies/<company_id>", company.update_company),
    ("GET", "/users", company.list_users),
    ("POST", "/users", company.create_user),
    ("GET", "/tokens", company.list_tokens),
    ("POST", "/tokens", company.create_token),
    ("DELETE", "/tokens/<token_id>", company.delete_token),
    ("GET", "/clients", clients.list_clients),
    ("POST", "/clients", clients.create_client),
    ("POST", "/clients/bulk", clients.bulk_clients),
    ("GET", "/clients/<client_id>", clients.get_client),
    ("PUT", "/clients/<client_id>", clients.update_client),
    ("DELETE", "/clients/<client_id>", clients.delete_client),
    ("POST", "/clients/<client_id>/updateTaxData", clients.update_tax_data),
    ("POST", "/projects", projects.create_project),
    ("PUT", "/projects/<row_id>", projects.update_project),
    ("POST", "/products", projects.create_product),
    ("POST", "/tax_rates", projects.create_tax_rate),
    ("POST", "/group_settings", projects.create_group),
    ("GET", "/tasks", tasks.list_tasks),
    ("POST", "/tasks", tasks.create_task),
    ("POST", "/tasks/bulk", tasks.bulk_tasks),
    ("GET", "/tasks/<task_id>", tasks.get_task),
    ("PUT", "/tasks/<task_id>", tasks.update_task),
    ("DELETE", "/tasks/<task_id>", tasks.delete_task),
    ("GET", "/invoices", invoices.list_invoices),
    ("POST", "/invoices", invoices.create_invoice),
    ("POST", "/invoices/bulk", invoice_actions.bulk_invoices),
    ("GET", "/invoices/<invoice_id>", invoices.get_invoice),
    ("PUT", "/invoices/<invoice_id>", invoices.update_invoice),
    ("DELETE", "/invoices/<invoice_id>", invoices.delete_invoice),
    ("GET", "/invoices/<invoice_id>/<action>", invoice_actions.act_by_get),
    ("GET", "/invoice/<invitation_key>/download", pdf.download),
    ("POST", "/emails", invoice_actions.send_email),
    ("POST", "/activities/entity", activities.list_activities),
    ("GET", "/payments", payments.list_payments),
    ("POST", "/payments", payments.create_payment),
    ("POST", "/payments/refund", payment_undo.refund_payment),
    ("POST", "/payments/bulk", payment_undo.bulk_payments),
    ("GET", "/payments/<payment_id>", payments.get_payment),
    ("PUT", "/payments/<payment_id>", payments.update_payment),
    ("DELETE", "/payments/<payment_id>", payment_undo.delete_payment),
    ("GET", "/credits", credits.list_credits),
    ("POST", "/credits", credits.create_credit),
    ("POST", "/credits/bulk", credits.bulk_credits),
    ("GET", "/credits/<credit_id>", credits.get_credit),
    ("PUT", "/credits/<credit_id>", credits.update_credit),
    ("GET", "/webhooks", webhooks.list_webhooks),
    ("POST", "/webhooks", webhooks.create_webhook),
    ("POST", "/webhooks/bulk", webhooks.bulk_webhooks),
    ("GET", "/webhooks/<webhook_id>", webhooks.get_webhook),
    ("PUT", "/webhooks/<webhook_id>", webhooks.update_webhook),
    ("DELETE", "/webhooks/<webhook_id>", webhooks.delete_webhook),
]
for _table in ("projects", "products", "tax_rates", "task_statuses", "group_settings"):
    _ROUTES += [
        ("GET", f"/{_table}", partial(projects.list_rows, table=_table)),
        ("GET", f"/{_table}/<row_id>", partial(projects.get_row, table=_table)),
        ("POST", f"/{_table}/bulk", partial(projects.bulk_rows, table=_table)),
        ("DELETE", f"/{_table}/<row_id>", partial(projects.delete_row, table=_table)),
    ]

ROUTES = Map(
    [Rule(f"/api/v1{path}", methods=[method], endpoint=handler) for method, path, handler in _ROUTES],
    strict_slashes=False,
)
