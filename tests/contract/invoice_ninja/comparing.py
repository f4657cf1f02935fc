"""Compares an answer of the stand-in with the recorded one: status, headers, keys, types and every steady value.

Of a shortened recording (from 889 on, and a few with the key `_cut`) only what was kept is compared.
"""

from __future__ import annotations

import json
import re
from typing import Any

from werkzeug.wrappers import Response

from tests.contract.invoice_ninja.recording import Recording

# Instants, random keys and their kind: their type is compared and whether there is something, not the value.
UNSTEADY = {
    *("created_at", "updated_at", "archived_at", "last_login", "key", "link", "contact_key", "client_hash", "token"),
    *("message_id", "sent_date", "email_verified_at", "referral_code", "next_send_date", "company_key"),
    *("current_php_cli_version", "portal_domain"),
}
VERSIONS = ("X-APP-VERSION", "X-MINIMUM-CLIENT-VERSION", "X-Api-Version")
CUT = "_cut"
NEW_IDS = ("invitations", "paymentables", "contacts", "documents")


def differences(recording: Recording, response: Response, ignore: frozenset[str]) -> list[str]:
    """What differs, one line each; empty if the stand-in answered as the server did."""
    found = []
    said = {name.lower(): value for name, value in recording.answer_headers.items()}
    if response.status_code != recording.status:
        found.append(f"status {response.status_code}, recorded {recording.status}: {response.get_data()[:300]!r}")
    for name in ("X-APP-VERSION",) if recording.is_shortened else VERSIONS:
        recorded = said.get(name.lower())
        if response.headers.get(name) != recorded:
            found.append(f"header {name} is {response.headers.get(name)}, recorded {recorded}")
    for name in ("Location", "Retry-After"):
        recorded = said.get(name.lower())
        if (response.headers.get(name) is None) != (recorded is None):
            found.append(f"header {name} is {response.headers.get(name)}, recorded {recorded}")
    kind = said.get("content-type", "").split(";")[0]
    if response.mimetype != kind:
        found.append(f"content type {response.mimetype}, recorded {kind}")
    if kind == "application/json" and response.mimetype == kind and recording.method != "HEAD":
        found += _compare(recording.answer, json.loads(response.get_data()), "", _Rules(recording, ignore))
    return found


class _Rules:
    def __init__(self, recording: Recording, ignore: frozenset[str]) -> None:
        self.ignore = ignore
        is_new = recording.method == "POST" and re.fullmatch(r"/api/v1/[a-z_]+(\?.*)?", recording.path) is not None
        self.has_new_id = is_new
        body = recording.body if isinstance(recording.body, dict) else {}
        self.has_auto_number = not body.get("number")
        self.is_new = is_new
        self.is_shortened = recording.is_shortened


def _compare(recorded: Any, got: Any, path: str, rules: _Rules) -> list[str]:
    if _kind(recorded) != _kind(got):
        if recorded in ([], {}) and got in ([], {}):
            return []
        return [f"{path}: {got!r} is {_kind(got)}, recorded {recorded!r}"[:400]]
    if isinstance(recorded, dict):
        is_cut = rules.is_shortened or CUT in recorded
        missing, extra = set(recorded) - set(got) - {CUT}, set(got) - set(recorded)
        found = [f"{path}: missing {sorted(missing)}"] if missing else []
        found += [f"{path}: not recorded {sorted(extra)}"] if extra and not is_cut else []
        if CUT in recorded and isinstance(recorded.get("data"), list):  # the first rows of many
            got = {**got, "data": got["data"][: len(recorded["data"])]}
        for name in recorded:
            if name in got:
                found += _compare_field(name, recorded[name], got[name], f"{path}.{name}", rules)
        return found
    if isinstance(recorded, list):
        if len(recorded) != len(got):
            return [f"{path}: {len(got)} entries, recorded {len(recorded)}"]
        return [
            line
            for position, pair in enumerate(zip(recorded, got, strict=True))
            for line in _compare(*pair, f"{path}[{position}]", rules)
        ]
    return [] if recorded == got else [f"{path}: {got!r}, recorded {recorded!r}"[:400]]


def _compare_field(name: str, recorded: Any, got: Any, path: str, rules: _Rules) -> list[str]:
    inner = any(f".{part}[" in path for part in NEW_IDS)
    if name in rules.ignore and not isinstance(recorded, dict | list):
        return [] if _kind(recorded) == _kind(got) else [f"{path}: {got!r}, recorded {recorded!r}"[:400]]
    if name in rules.ignore:
        return compare_shape(recorded, got, path)
    if name in UNSTEADY or (name == "id" and (inner or (rules.has_new_id and path == ".data.id"))):
        is_alike = _kind(recorded) == _kind(got) and bool(recorded) == bool(got)
        return [] if is_alike else [f"{path}: {got!r}, recorded {recorded!r}"[:400]]
    if name == "number" and isinstance(got, str) and rules.has_auto_number and re.fullmatch(r"\d{4,}", str(recorded)):
        return [] if re.fullmatch(r"\d{4,}", got) else [f"{path}: {got!r}, recorded {recorded!r}"]
    return _compare(recorded, got, path, rules)


def compare_shape(recorded: Any, got: Any, path: str) -> list[str]:
    """Keys and types only, of the first entry where there are many; an empty list is like any."""
    if _kind(recorded) != _kind(got):
        return [f"{path}: {got!r} is {_kind(got)}, recorded {recorded!r}"[:400]]
    if isinstance(recorded, list):
        return compare_shape(recorded[0], got[0], f"{path}[0]") if recorded and got else []
    if isinstance(recorded, dict):
        found = [f"{path}: keys {sorted(set(recorded) ^ set(got))}"] if set(recorded) != set(got) else []
        return found + [
            line
            for name in recorded
            if name in got
            for line in compare_shape(recorded[name], got[name], f"{path}.{name}")
        ]
    return []


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return {str: "text", dict: "object", list: "list", type(None): "null"}[type(value)]
