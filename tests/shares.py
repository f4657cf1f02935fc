"""A pytest plugin: `-p tests.shares --share=1/4` keeps the second of four shares of the tests.

Which share a test is in depends on its name alone, so it is the same in every process and on every day.
"""

from __future__ import annotations

import zlib

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share", default="0/1", help="which share of the tests runs: 0/4, 1/4, 2/4 or 3/4")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    share, shares = map(int, config.getoption("--share").split("/"))
    kept = [item for item in items if zlib.crc32(item.nodeid.encode()) % shares == share]
    config.hook.pytest_deselected(items=sorted(set(items) - set(kept), key=lambda item: item.nodeid))
    items[:] = kept
