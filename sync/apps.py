from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate, post_save, pre_delete
from django.utils.translation import gettext_lazy as _


class SyncConfig(AppConfig):
    name = "sync"
    verbose_name = _("Work")

    def ready(self) -> None:
        """Ask mappings to tell when something changes, or would change, that entries are priced by."""
        from mappings import hooks  # noqa: PLC0415 -- models exist only now
        from sync import doorbell, effects, gate, lists, reevaluate  # noqa: PLC0415
        from sync.doctor import overtaken  # noqa: PLC0415

        post_migrate.connect(gate.on_migrate, sender=self, dispatch_uid="sync.gate.on_migrate")

        hooks.on_changed(reevaluate.on_changed)
        hooks.on_changed(overtaken.by_change)
        hooks.on_lists_wanted(lists.want_lists)
        hooks.on_imports_wanted(lambda: doorbell.ring("imports"))
        hooks.on_effect_of(effects.effect_on_unclaimed)
        for model in reevaluate.WATCHED:
            label = f"sync.reevaluate.{model.__name__}"
            post_save.connect(reevaluate.on_saved, sender=model, dispatch_uid=f"{label}.saved")
            pre_delete.connect(reevaluate.on_saved, sender=model, dispatch_uid=f"{label}.deleted")
