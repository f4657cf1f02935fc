"""Logging in, rotating refresh tokens, application tokens, and who a request is from."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from datetime import timedelta
from typing import Any

from werkzeug.wrappers import Request

from sandbox.memory import Row
from sandbox.taiga.call import Call, Result
from sandbox.taiga.errors import bad_request, denied, invalid, not_authenticated, not_found, token_refused
from sandbox.taiga.people import full_user
from sandbox.taiga.store import Store

ACCESS_LIFETIME = timedelta(hours=24)
REFRESH_LIFETIME = timedelta(days=8)
_SIGNING_KEY = b"sandbox-taiga-signing-key"


def _part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _sign(text: str) -> str:
    return _part(hmac.new(_SIGNING_KEY, text.encode(), hashlib.sha256).digest())


def make_token(store: Store, user_id: int, token_type: str) -> str:
    """A HS256 JWT with the claims token_type (`access`, 24 h, or `refresh`, 8 d), exp, jti and user_id."""
    lifetime = ACCESS_LIFETIME if token_type == "access" else REFRESH_LIFETIME
    expires = int((store.now() + lifetime).timestamp())
    claims = {"token_type": token_type, "exp": expires, "jti": uuid.uuid4().hex, "user_id": user_id}
    head = _part(b'{"typ":"JWT","alg":"HS256"}')
    text = f"{head}.{_part(json.dumps(claims).encode())}"
    return f"{text}.{_sign(text)}"


def read_token(store: Store, token: str) -> dict[str, Any] | None:
    """The claims of a token that is ours and has not run out by the stand-in's clock, else None."""
    text, _, signature = token.rpartition(".")
    if not text or not hmac.compare_digest(_sign(text).encode(), signature.encode()):
        return None
    payload = text.partition(".")[2]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims if claims["exp"] > store.now().timestamp() else None


def find_user(store: Store, request: Request) -> Row | None:
    """The user of a request, None where it says nothing Taiga understands; raises ApiError 401."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Bearer" and token:
        claims = read_token(store, token)
        if claims is None or claims["token_type"] != "access":
            wrong = "Token is invalid or expired" if claims is None else "Token has wrong type"
            message = {"token_class": "AccessToken", "token_type": "access", "message": wrong}
            detail = "Given token not valid for any token type"
            raise token_refused({"detail": detail, "code": "token_not_valid", "messages": [message]})
        user = store.users.get(claims["user_id"])
        if user is None:
            raise token_refused({"detail": "User not found", "code": "user_not_found"})
        if not user["is_active"]:
            raise token_refused({"detail": "User is inactive", "code": "user_inactive"})
        return user
    if scheme == "Application" and token:
        granted = store.application_tokens.first(token=token)
        if granted is None:
            raise not_authenticated("Invalid token")
        return store.users.get(granted["user"])
    return None


def _pair(store: Store, user_id: int) -> dict[str, str]:
    return {"auth_token": make_token(store, user_id, "access"), "refresh": make_token(store, user_id, "refresh")}


def log_in(call: Call) -> Result:
    """POST /auth: by user name or address, with the password."""
    if call.data.get("type") != "normal":
        raise bad_request("invalid login type")
    missing = {field: "This field is required." for field in ("username", "password") if not call.data.get(field)}
    if missing:
        raise invalid(**missing)
    name, password = str(call.data["username"]), str(call.data["password"])
    found = (u for u in call.store.users.all() if name.lower() in (u["username"].lower(), u["email"].lower()))
    user = next(found, None)
    if user is None or user["password"] != password or not user["is_active"]:
        detail = "No active account found with the given credentials"
        raise token_refused({"detail": detail, "code": "invalid_credentials"})
    return Result(200, {**full_user(call.store, user), **_pair(call.store, user["id"])})


def refresh(call: Call) -> Result:
    """POST /auth/refresh: a new pair; the old refresh token is refused from now on, the old access token is not."""
    if not call.data.get("refresh"):
        raise invalid(refresh="This field is required.")
    claims = read_token(call.store, str(call.data["refresh"]))
    used = claims is None or claims["token_type"] != "refresh" or call.store.denied_tokens.get(claims["jti"])
    if claims is None or used:
        raise token_refused({"detail": "Token is invalid or expired", "code": "token_not_valid"})
    call.store.denied_tokens.insert({"id": claims["jti"], "at": call.store.now()})
    return Result(200, _pair(call.store, claims["user_id"]))


def verify(call: Call) -> Result:
    """POST /auth/verify exists only with DEBUG: 403 without a body."""
    return Result(403, None)


def register(call: Call) -> Result:
    """POST /auth/register: closed."""
    raise bad_request("Public registration is disabled.")


def _application(row: Row) -> dict[str, Any]:
    return {name: row.get(name) for name in ("id", "name", "web", "description", "icon_url")}


def _grant(store: Store, row: Row) -> dict[str, Any]:
    application = store.applications.get(row["application"])
    assert application is not None
    url = f"{application['next_url']}?auth_code={row['auth_code']}"
    shown = {"id": row["id"], "user": row["user"], "application": _application(application)}
    return {**shown, "auth_code": row["auth_code"], "next_url": url}


def get_application(call: Call, name: str) -> Result:
    """GET /applications/{id}."""
    application = call.store.applications.get(name)
    if call.user is None:
        raise not_authenticated()
    if application is None:
        raise not_found("Application")
    return Result(200, _application(application))


def application_token_status(call: Call, name: str) -> Result:
    """GET /applications/{id}/token: this user's grant, without the token."""
    user = call.signed_in()
    if call.store.applications.get(name) is None:
        raise not_found("Application")
    rows = [g for g in call.store.application_tokens.all() if (g["application"], g["user"]) == (name, user["id"])]
    empty = {"id": None, "user": user["id"], "application": name, "auth_code": None}
    return Result(200, _grant(call.store, rows[0] if rows else empty))


def authorize_application(call: Call) -> Result:
    """POST /application-tokens/authorize: a code that can be changed once into a token."""
    user = call.signed_in()
    name, state = call.data.get("application"), call.data.get("state")
    application = call.store.applications.get(name)
    if application is None or not state:
        raise not_found("Application")
    code = str(uuid.uuid4())
    for row in call.store.application_tokens.all():
        if (row["application"], row["user"]) == (name, user["id"]):
            call.store.application_tokens.update(row["id"], auth_code=code, state=state)
            break
    else:
        fresh = {"application": name, "user": user["id"], "auth_code": code, "state": state, "token": None}
        call.store.application_tokens.insert(fresh)
    url = f"{application['next_url']}?auth_code={code}"
    return Result(200, {"state": state, "auth_code": code, "next_url": url})


def validate_application(call: Call) -> Result:
    """POST /application-tokens/validate: the token; it does not run out."""
    for row in call.store.application_tokens.all():
        wanted = (call.data.get("application"), call.data.get("auth_code"), call.data.get("state"))
        if row["auth_code"] and wanted == (row["application"], row["auth_code"], row["state"]):
            token = f"{_part(uuid.uuid4().bytes)}:{_sign(str(row['id']))}"
            call.store.application_tokens.update(row["id"], token=token, auth_code=None)
            return Result(200, {"token": token})
    raise not_found("ApplicationToken")


def list_application_tokens(call: Call) -> Result:
    """GET /application-tokens: one's own grants."""
    user = call.signed_in()
    rows = [_grant(call.store, g) for g in call.store.application_tokens.all() if g["user"] == user["id"]]
    return call.paginate(rows)


def delete_application_token(call: Call, number: int) -> Result:
    """DELETE /application-tokens/{id}: the token is refused from now on."""
    row = call.store.application_tokens.get(number)
    if row is None:
        raise not_found("ApplicationToken")
    if row["user"] != call.signed_in()["id"]:
        raise denied()
    call.store.application_tokens.delete(number)
    return Result(204, None)
