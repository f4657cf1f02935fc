"""Which handler answers which route of the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from werkzeug.routing import Map, Rule

from sandbox.taiga import (
    attributes,
    auth,
    csv_export,
    history,
    item_bulk,
    item_list,
    items,
    people,
    projects,
    statuses,
    timeline,
    webhooks,
)
from sandbox.taiga.call import Call, Result
from sandbox.taiga.errors import not_found
from sandbox.taiga.kinds import KINDS, Kind

Handler = Callable[..., Result]


def _no_values(call: Call, **_: Any) -> Result:
    raise not_found()


def _bound(handler: Callable[..., Result], kind: Kind) -> Handler:
    def answer(call: Call, **arguments: Any) -> Result:
        return handler(call, kind, **arguments)

    return answer


def _kind_routes(kind: Kind) -> list[tuple[str, str, Handler]]:
    path, one = f"/{kind.path}", f"/{kind.path}/<int:number>"
    values, own = f"{path}/custom-attributes-values", f"/{kind.name}-custom-attributes"
    state = f"/{kind.name}-statuses"
    pairs: list[tuple[str, str, Handler]] = [
        ("GET", path, item_list.list_items),
        ("POST", path, items.create_item),
        ("POST", f"{path}/bulk_create", item_bulk.bulk_create),
        ("POST", f"{path}/bulk_update_milestone", item_bulk.bulk_update_milestone),
        ("GET", f"{path}/by_ref", items.get_item_by_ref),
        ("GET", f"{path}/csv", csv_export.export_csv),
        ("GET", one, items.get_item),
        ("PATCH", one, items.change_item),
        ("PUT", one, items.change_item),
        ("DELETE", one, items.delete_item),
        ("POST", f"{one}/promote_to_user_story", item_bulk.promote),
        ("GET", f"{values}/<int:number>", attributes.get_values),
        ("PATCH", f"{values}/<int:number>", attributes.change_values),
        ("PUT", f"{values}/<int:number>", attributes.change_values),
        ("GET", own, attributes.list_attributes),
        ("POST", own, attributes.create_attribute),
        ("GET", f"{own}/<int:number>", attributes.get_attribute),
        ("PATCH", f"{own}/<int:number>", attributes.change_attribute),
        ("DELETE", f"{own}/<int:number>", attributes.delete_attribute),
        ("GET", state, statuses.list_statuses),
        ("POST", state, statuses.create_status),
        ("PATCH", f"{state}/<int:number>", statuses.change_status),
        ("DELETE", f"{state}/<int:number>", statuses.delete_status),
    ]
    bound = [(method, route, _bound(handler, kind)) for method, route, handler in pairs]
    return [*bound, ("GET", values, _no_values)]


_ROUTES: list[tuple[str, str, Handler]] = [
    ("POST", "/auth", auth.log_in),
    ("POST", "/auth/refresh", auth.refresh),
    ("POST", "/auth/verify", auth.verify),
    ("POST", "/auth/register", auth.register),
    ("GET", "/applications/<name>", auth.get_application),
    ("GET", "/applications/<name>/token", auth.application_token_status),
    ("GET", "/application-tokens", auth.list_application_tokens),
    ("POST", "/application-tokens/authorize", auth.authorize_application),
    ("POST", "/application-tokens/validate", auth.validate_application),
    ("DELETE", "/application-tokens/<int:number>", auth.delete_application_token),
    ("GET", "/users", people.list_users),
    ("GET", "/users/me", people.me),
    ("GET", "/users/<int:number>", people.get_user),
    ("DELETE", "/users/<int:number>", people.delete_user),
    ("GET", "/memberships", people.list_memberships),
    ("POST", "/memberships", people.create_membership),
    ("GET", "/memberships/<int:number>", people.get_membership),
    ("PATCH", "/memberships/<int:number>", people.change_membership),
    ("DELETE", "/memberships/<int:number>", people.delete_membership),
    ("GET", "/roles", people.list_roles),
    ("GET", "/projects", projects.list_projects),
    ("POST", "/projects", projects.create_project),
    ("GET", "/projects/by_slug", projects.get_project_by_slug),
    ("GET", "/projects/<int:number>", projects.get_project),
    ("PATCH", "/projects/<int:number>", projects.change_project),
    ("DELETE", "/projects/<int:number>", projects.delete_project),
    ("POST", "/projects/<int:number>/regenerate_<kind>_csv_uuid", projects.regenerate_csv_uuid),
    ("GET", "/resolver", projects.resolve),
    ("POST", "/milestones", statuses.create_milestone),
    ("GET", "/milestones/<int:number>", statuses.get_milestone),
    ("PATCH", "/milestones/<int:number>", statuses.change_milestone),
    ("DELETE", "/milestones/<int:number>", statuses.delete_milestone),
    ("GET", "/timeline/project/<int:number>", timeline.list_timeline),
    ("GET", "/history/<name>/<int:number>", history.get_history),
    ("POST", "/history/<name>/<int:number>/<action>", history.change_comment),
    ("GET", "/webhooks", webhooks.list_webhooks),
    ("POST", "/webhooks", webhooks.create_webhook),
    ("GET", "/webhooks/<int:number>", webhooks.get_webhook),
    ("PATCH", "/webhooks/<int:number>", webhooks.change_webhook),
    ("DELETE", "/webhooks/<int:number>", webhooks.delete_webhook),
    ("POST", "/webhooks/<int:number>/test", webhooks.test_webhook),
    ("GET", "/webhooklogs", webhooks.list_logs),
    ("GET", "/webhooklogs/<int:number>", webhooks.get_log),
    ("POST", "/webhooklogs/<int:number>/resend", webhooks.resend_log),
    *(route for kind in KINDS.values() for route in _kind_routes(kind)),
]

ROUTES = Map(
    [Rule(f"/api/v1{path}", methods=[method], endpoint=handler) for method, path, handler in _ROUTES],
    strict_slashes=True,
    redirect_defaults=False,
    merge_slashes=False,
)
