"""One encrypted text field: what must be stored but never read from a database dump."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import models

from billing_console.errors import ConfigError


class EncryptedTextField(models.TextField):
    """Text, encrypted at rest with FIELD_KEY (Fernet). Not searchable; empty stays empty."""

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        if not value:
            return value
        return _cipher().encrypt(value.encode()).decode()

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        if not value:
            return value
        try:
            return _cipher().decrypt(value.encode()).decode()
        except InvalidToken as error:
            raise ConfigError(
                "A stored key cannot be decrypted: FIELD_KEY is not the one it was stored with. "
                "Restore the file var/field_key (or the variable FIELD_KEY) from your backup."
            ) from error


def _cipher() -> Fernet:
    return Fernet(settings.FIELD_KEY)
