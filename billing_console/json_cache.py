"""The cache holds signed JSON: who else can write to the Redis can neither run code as the console nor tell it a value.

Django's own backend keeps pickles, and loading one runs what stands in it. Whatever is not ours, JSON or whole is a
miss. Values are made of texts, numbers, true, false, null, lists and mappings by text; a dataclass comes back as a
mapping, which templates read the same way.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.core import signing
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from django.utils.functional import Promise

_MISSING: Final = object()


def seal(key: str, value: Any) -> str:
    """The value as it is kept under `key`. Raises TypeError for what JSON does not know."""
    text = json.dumps(value, default=_plain, ensure_ascii=False)
    return signing.Signer(salt=f"cache:{key}").sign(text)


def unseal(key: str, kept: Any) -> Any:
    """What was kept under `key`; the mark of a miss for anything that we did not keep there."""
    if not isinstance(kept, str):
        return _MISSING
    try:
        return json.loads(signing.Signer(salt=f"cache:{key}").unsign(kept))
    except (signing.BadSignature, ValueError, RecursionError):
        return _MISSING


def _plain(value: Any) -> Any:
    if isinstance(value, Promise):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"A {type(value).__name__} cannot be kept in the cache.")


class Texts:
    """The serializer of the Redis backend: texts as they are; whatever is no text is none of ours."""

    def dumps(self, value: str) -> str:
        """The text itself."""
        return value

    def loads(self, kept: bytes) -> str:
        """The text; "" where it is no UTF-8."""
        try:
            return kept.decode()
        except UnicodeDecodeError:
            return ""


class _SealedMixin:
    """Signs what goes into the backend below it and reads what comes out."""

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        found = unseal(str(key), super().get(key, None, version))  # type: ignore[misc]
        return default if found is _MISSING else found

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        super().set(key, seal(str(key), value), timeout, version)  # type: ignore[misc]

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return bool(super().add(key, seal(str(key), value), timeout, version))  # type: ignore[misc]

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        found = {key: self.get(key, _MISSING, version) for key in keys}
        return {key: value for key, value in found.items() if value is not _MISSING}

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        for key, value in data.items():
            self.set(key, value, timeout, version)
        return []

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Not offered: a signed number cannot be raised where it is kept."""
        raise NotImplementedError


class JsonRedisCache(_SealedMixin, RedisCache):
    """Signed JSON in Redis."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        options = {**params.get("OPTIONS", {}), "serializer": Texts}
        super().__init__(server, {**params, "OPTIONS": options})


class JsonLocMemCache(_SealedMixin, LocMemCache):
    """Signed JSON in this process: trials and tests find what no JSON can hold before Redis does."""
