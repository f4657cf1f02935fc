"""A value kept for some seconds; without a cache server it is simply made again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar, cast

from django.core.cache import cache
from redis.exceptions import RedisError

Value = TypeVar("Value")
logger = logging.getLogger(__name__)


def remember(key: str, seconds: int, make: Callable[[], Value]) -> Value:
    """The value under `key`, made anew when it is older than `seconds`; never fails because the cache does.

    0 seconds: made anew each time.
    """
    if seconds == 0:
        return make()
    try:
        known = cache.get(key)
    except (RedisError, OSError) as error:
        logger.warning("The cache does not answer: %s", error)
        return make()
    if known is not None:
        return cast(Value, known)
    value = make()
    try:
        cache.set(key, value, seconds)
    except (RedisError, OSError) as error:
        logger.warning("The cache does not answer: %s", error)
    return value
