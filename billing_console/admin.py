"""When the machine does what: Celery beat's rows in the console's own dress, for administrators only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django_celery_beat.admin import CrontabScheduleAdmin as BaseCrontabScheduleAdmin
from django_celery_beat.admin import PeriodicTaskAdmin as BasePeriodicTaskAdmin
from django_celery_beat.admin import PeriodicTaskForm, TaskSelectWidget
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from billing_console.admin_base import ModelAdmin, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, on_shown

for model in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(model)


class ScheduledTaskSelectWidget(UnfoldAdminSelectWidget, TaskSelectWidget):
    """The list of known tasks, drawn as every other list."""


class ScheduledTaskForm(PeriodicTaskForm):
    """Celery beat's form with the console's fields."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, widget in (("task", UnfoldAdminTextInputWidget()), ("regtask", ScheduledTaskSelectWidget())):
            if name in self.fields:
                self.fields[name].widget = widget


@admin.register(PeriodicTask)
class ScheduledTaskAdmin(BasePeriodicTaskAdmin, ModelAdmin):
    """What runs and how often; which invoice run is due is not here but a rule set's."""

    form = ScheduledTaskForm
    list_display = ("name", "enabled", "scheduler", "last_run_at")
    list_filter = ("enabled",)
    date_hierarchy = None
    acts_at_once = True
    fieldsets = (
        (None, {"fields": ("name", "regtask", "task", "enabled", "description")}),
        (_("Schedule"), {"fields": ("interval", "crontab", "start_time", "last_run_at", "one_off")}),
        (_("Arguments"), {"fields": ("args", "kwargs", "queue"), "classes": ("collapse",)}),
    )
    readonly_fields = ("last_run_at",)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Celery beat's actions ask for no right; here they need that to change schedules, and what was shown."""
        if not self.has_change_permission(request):
            return {}
        found = super().get_actions(request)
        own = ("enable_tasks", "disable_tasks", "toggle_tasks", "run_tasks")
        return {name: (on_shown(act) if name in own else act, *rest) for name, (act, *rest) in found.items()}

    def shown_of(self, row: PeriodicTask) -> dict[str, Any]:
        return {_t("Task"): row.name, _t("Enabled"): row.enabled, _t("Schedule"): row.scheduler}


@admin.register(IntervalSchedule)
class IntervalAdmin(ModelAdmin):
    """Every so many seconds, minutes, hours or days."""


@admin.register(CrontabSchedule)
class CrontabAdmin(BaseCrontabScheduleAdmin, ModelAdmin):
    """At a time of day, on days."""

    inlines = ()
