"""Names from outside; without a trailing slash, as Taiga is told them."""

from __future__ import annotations

from django.urls import path, re_path

from sync.views import InvoiceNinjaWebhookView, TaigaWebhookView

urlpatterns = [
    path("webhooks/taiga", TaigaWebhookView.as_view(), name="taiga_webhook"),
    path("webhooks/taiga/<uuid:hook>", TaigaWebhookView.as_view(), name="taiga_project_webhook"),
    re_path(r"^webhooks/invoice-ninja/(?P<secret>.*)$", InvoiceNinjaWebhookView.as_view(), name="ninja_webhook"),
]
