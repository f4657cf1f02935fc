"""The company, its people, its lists, and what says that the server lives: ping, health_check, statics."""

from __future__ import annotations

import secrets
from typing import Any

from sandbox.memory import Row
from sandbox.ninja.call import Call
from sandbox.ninja.data import statics
from sandbox.ninja.errors import Refusal, broken, invalid, missing, unauthorized
from sandbox.ninja.filters import contains, select
from sandbox.ninja.paging import cut_page
from sandbox.ninja.store import USER, Store
from sandbox.ninja.transformers import answer_one, answer_page, public
from sandbox.ninja.values import as_text, is_on

VERSION = "5.10.17"


def ping(call: Call) -> dict[str, Any]:
    """GET /ping: who the token belongs to."""
    name = f"{call.user['first_name']} {call.user['last_name']}"
    return {"company_name": call.store.company()["settings"]["name"], "user_name": name}


def health_check(call: Call) -> dict[str, Any]:
    """GET /health_check"""
    extensions = ("gd", "curl", "zip", "openssl", "mbstring", "xml", "bcmath", "iconv")
    is_queued = call.store.switch("mail_mode", "sync") == "queued"
    return {
        "system_health": True,
        "extensions": [{name: True} for name in extensions],
        "php_version": {
            "minimum_php_version": "8.1",
            "current_php_version": "8.2.36",
            "current_php_cli_version": "PHP 8.2.36 (cli)",
            "is_okay": True,
            "memory_limit": "512M",
        },
        "env_writable": True,
        "simple_db_check": True,
        "cache_enabled": False,
        "phantom_enabled": False,
        "exec": bool(call.store.switch("can_execute", True)),
        "open_basedir": True,
        "mail_mailer": call.store.switch("mailer", "log"),
        "flutter_renderer": "",
        "pdf_engine": "SnapPDF PDF Generator",
        "queue": "database" if is_queued else "sync",
        "queue_data": {"failed": 0, "pending": 0, "last_error": ""},
        "jobs_pending": 0,
        "trailing_slash": False,
        "file_permissions": "Ok",
        "exchange_rate_api_not_configured": False,
        "api_version": call.store.switch("version", VERSION),
        "is_docker": False,
        "pending_migrations": _counts_migrations_as_pending(call.store),
    }


def _counts_migrations_as_pending(store: Store) -> bool:
    """From 5.10.42 on the server counts files wrongly: it says so of every healthy fresh install."""
    version = str(store.switch("version", VERSION)).split(".")
    is_newer = all(part.isdigit() for part in version) and tuple(map(int, version)) >= (5, 10, 42)
    return bool(store.switch("pending_migrations", is_newer))


def get_statics(_call: Call) -> dict[str, Any]:
    """GET /statics: currencies, time zones and other lists, not paged."""
    return statics()


def list_companies(call: Call) -> dict[str, Any]:
    """GET /companies; breaks for whoever is no administrator."""
    if not call.may():
        raise broken()
    rows, meta = cut_page(call, call.store["companies"].all(), "companies")
    return {"data": [_answered(row) for row in rows], "meta": meta}


def current_company(call: Call) -> dict[str, Any]:
    """POST /companies/current"""
    return {"data": _answered(call.store.company())}


def get_company(call: Call, company_id: str) -> dict[str, Any]:
    """GET /companies/{id}"""
    return {"data": _answered(_company(call, company_id))}


def update_company(call: Call, company_id: str) -> dict[str, Any]:
    """PUT /companies/{id}: partial; settings are merged."""
    company = _company(call, company_id)
    if not call.may():
        raise unauthorized()
    fixed = ("id", "company_key", "settings", "created_at", "updated_at")
    changes = {name: call.body[name] for name in call.body if name in company and name not in fixed}
    changes["settings"] = {**company["settings"], **(call.body.get("settings") or {})}
    return {"data": _answered(call.store.save("companies", company["id"], **changes))}


def list_users(call: Call) -> dict[str, Any]:
    """GET /users"""
    filters = {"filter": contains("first_name", "last_name", "email")}
    return answer_page(call, "users", select(call, "users", filters))


def create_user(call: Call) -> dict[str, Any]:
    """POST /users: 500 for a caller without a User-Agent."""
    if not call.request.headers.get("User-Agent"):
        raise broken()
    email = as_text(call.body.get("email"))
    if any(row["email"] == email for row in call.store["users"].all()):
        raise invalid({"email": ["Cannot add the same user to the same company"]})
    rights = call.body.get("company_user") or {}
    values = {name: as_text(call.body.get(name)) for name in ("first_name", "last_name", "email", "phone")}
    own = {
        "_is_admin": is_on(rights.get("is_admin")),
        "_permissions": as_text(rights.get("permissions")),
        "has_password": False,
    }
    return answer_one(call, "users", call.store.insert("users", {**USER, **values, **own}))


def list_tokens(call: Call) -> dict[str, Any]:
    """GET /tokens"""
    rows, meta = cut_page(call, call.store["tokens"].all(), "tokens")
    return {"data": [public(row) for row in rows], "meta": meta}


def create_token(call: Call) -> dict[str, Any]:
    """POST /tokens: a new token for the caller, no password asked."""
    if not call.may():
        raise unauthorized()
    values: Row = {"user_id": call.user["id"], "name": as_text(call.body.get("name")), "is_system": False}
    return {"data": public(call.store.insert("tokens", {**values, "token": secrets.token_hex(32)}))}


def delete_token(call: Call, token_id: str) -> dict[str, Any]:
    """DELETE /tokens/{id}: the token is no longer valid; the answer does not say so yet."""
    token = call.store["tokens"].get(token_id)
    if token is None:
        raise missing("CompanyToken", token_id)
    answer = {**public(token), "archived_at": call.store.now(), "updated_at": call.store.now()}
    call.store.save("tokens", token_id, archived_at=call.store.now(), is_deleted=True)
    return {"data": answer}


def log_in(_call: Call) -> dict[str, Any]:
    """POST /login: the stand-in has tokens only, so nobody's password is right."""
    raise Refusal(401, {"message": "These credentials do not match our records"})


def _company(call: Call, company_id: str) -> Row:
    company = call.store["companies"].get(company_id)
    if company is None:
        raise missing("Company", company_id)
    return company


def _answered(company: Row) -> dict[str, Any]:
    return {name: value for name, value in public(company).items() if name != "is_deleted"} | {"documents": []}
