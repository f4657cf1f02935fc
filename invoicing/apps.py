from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class InvoicingConfig(AppConfig):
    name = "invoicing"
    verbose_name = _("Invoicing")

    def ready(self) -> None:
        """Register what invoicing offers to the steps before it."""
        from invoicing import bouncing, effects, hooks, record_pages, releasing  # noqa: PLC0415 -- models load only now
        from mappings import hooks as mappings_hooks  # noqa: PLC0415
        from sync import hooks as sync_hooks  # noqa: PLC0415

        sync_hooks.on_claimed_entry_changed(hooks.mark_draft_stale)
        sync_hooks.on_claimed_entry_restored(hooks.unmark_draft)
        sync_hooks.on_invoice_stage(hooks.invoice_stage)
        sync_hooks.on_billed(hooks.billed_of)
        sync_hooks.on_printed(hooks.printed_of)
        sync_hooks.on_left_invoices(releasing.left_invoices)
        sync_hooks.on_record_pages(record_pages.pages_of)
        sync_hooks.on_questions(releasing.questions)
        sync_hooks.on_questions(bouncing.questions)
        mappings_hooks.on_changed(hooks.apply_tax_decision)
        mappings_hooks.on_effect_of(effects.effect_on_closed_months)
