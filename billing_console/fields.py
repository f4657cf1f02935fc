"""One encrypted text field: what must be stored but never read from a database dump."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import models
from django.utils.translation import gettext as _

from billing_console.env import kept_secret
from billing_console.errors import ConfigError

FILE: Final = "field_key"  # in VAR_DIR, where FIELD_KEY is not set


class UnreadableSecret:
    """A stored text that another FIELD_KEY encrypted. True, equal to nothing, and stored again just as it was.

    It comes where the text would: a row that has one is read like any other, and only who needs the text fails
    (`secret_of`).
    """

    def __init__(self, stored: str) -> None:
        self.stored = stored

    def __str__(self) -> str:
        return _("(cannot be read)")

    __repr__ = __str__


def secret_of(value: str | UnreadableSecret | None) -> str:
    """The text of an encrypted field, "" for none. Raises ConfigError, with what to do, when it cannot be read."""
    if isinstance(value, UnreadableSecret):
        raise ConfigError(
            _(
                "A stored key cannot be read: FIELD_KEY is not the one that it was stored with. Put that one back "
                "(the file var/field_key, or the variable FIELD_KEY) from your backup. Or type the key of the webhook "
                "anew on the project's page."
            )
        )
    return value or ""


class EncryptedTextField(models.TextField):
    """Text, encrypted at rest with FIELD_KEY (Fernet). Not searchable; empty stays empty.

    What cannot be decrypted is read as an `UnreadableSecret`. Raises ConfigError where a text is stored without a key.
    """

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, UnreadableSecret):
            return value.stored
        value = super().get_prep_value(value)
        return cipher().encrypt(value.encode()).decode() if value else value

    def to_python(self, value: Any) -> Any:
        return value if isinstance(value, UnreadableSecret) else super().to_python(value)

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | UnreadableSecret | None:
        if not value:
            return value
        try:
            return cipher().decrypt(value.encode()).decode()
        except (InvalidToken, ConfigError, ValueError):
            return UnreadableSecret(value)


def field_key() -> str:
    """FIELD_KEY, or what the file in VAR_DIR holds by now; "" where neither is there."""
    return settings.FIELD_KEY or kept_secret(Path(settings.VAR_DIR) / FILE)


def fingerprint() -> str:
    """Twelve hex digits by which two keys are told apart, and from which none can be found; "" without a key."""
    key = field_key()
    return hashlib.sha256(b"billing-console field key " + key.encode()).hexdigest()[:12] if key else ""


def cipher() -> Fernet:
    """What encrypts and decrypts. Raises ConfigError without a key, or with one that is none."""
    try:
        return Fernet(field_key())
    except ValueError:
        raise ConfigError(
            _("FIELD_KEY is missing, or is no key. Put the one of this console back, or run `manage.py prepare`.")
        ) from None
