"""Who may sign in and what they may do; only administrators."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing_console.admin_base import (
    AdminPasswordChangeForm,
    ModelAdmin,
    PageView,
    UnfoldAdminCheckboxSelectMultipleWidget,
    UserChangeForm,
    UserCreationForm,
    display,
    site_page,
)

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(BaseUserAdmin, ModelAdmin):
    """People of the office. Everyone here may sign in; what they may do comes from their group alone."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "full_name", "email", "group_names", "is_active", "last_login")
    list_filter = ("is_active", "groups")
    secondary_columns = ("email", "last_login")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("first_name", "last_name", "email", "has_single_keys")}),
        (
            _("Rights"),
            {
                "fields": ("groups", "is_active", "is_superuser"),
            },
        ),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "email", "groups", "password1", "password2")}),)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs |= {"widget": UnfoldAdminCheckboxSelectMultipleWidget(), "help_text": ""}
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if db_field.name == "groups":
            field.help_text = _t("Each group may do what those before it may; one is enough.")
        return field

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    @display(description=_("name"), ordering="last_name")
    def full_name(self, user: User) -> str:
        return user.get_full_name()

    @display(description=_("group"))
    def group_names(self, user: User) -> str:
        if user.is_superuser:
            return _t("Superuser")
        return ", ".join(group.name for group in user.groups.all()) or _t("none: may see nothing")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        fixed: tuple[str, ...] = ("last_login", "date_joined")
        # An administrator must not make themselves more than an administrator.
        return fixed if request.user.is_superuser else (*fixed, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Only a superuser changes a superuser: a new password for one would be all rights."""
        if isinstance(obj, User) and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody is deleted: the trail names people. Take away "active" instead."""
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        obj.is_staff = True  # the console has no page for anyone else
        super().save_model(request, obj, form, change)


@site_page("account/single-keys/", name="accounts_single_keys")
class SingleKeysPage(PageView):
    """Turns the single-key shortcuts on or off for the person who asks; only by POST."""

    act_permission = ()
    needs_no_version = "The person's own switch."
    http_method_names = ["post"]

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        User.objects.filter(pk=request.user.pk).update(has_single_keys=request.POST.get("has_single_keys") == "on")
        back = request.POST.get("next", "")
        if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}):
            back = reverse("admin:index")
        return HttpResponseRedirect(back)
