"""Every number that is promised is made by a benchmark, and the table says which bound is broken."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from bench import results
from bench.__main__ import LONG, QUICK
from bench.results import Result

PROMISED = {
    "ingest_throughput_ratio",
    "ingest_p99_ratio",
    "ingest_redis_frozen_p99_ratio",
    "ingest_servers_slow_p99_ratio",
    "drain_ratio",
    "send_in_flight_ratio",
    "calls_per_entry",
    "sweep_calls",
    "sweep_seconds",
    "worker_memory_ratio",
    "run_sql_ratio",
    "run_growth_ratio",
    "run_peak_mb",
    "run_seconds",
    "review_page_ratio",
    "review_page_queries",
    "journal_growth_ratio",
    "claim_growth_ratio",
    "reconcile_growth_ratio",
    "reconcile_peak_mb",
}


def test_every_promised_number_has_a_benchmark() -> None:
    made = {name for module in (*QUICK, *LONG) for name in importlib.import_module(f"bench.{module}").NAMES}
    assert made >= PROMISED


@pytest.mark.parametrize(
    ("bound", "kept"), [(None, True), (("≥", 0.5), True), (("≥", 0.6), False), (("≤", 0.5), True), (("≤", 0.4), False)]
)
def test_a_bound_is_kept_or_broken(bound: tuple[str, float] | None, kept: bool) -> None:
    assert Result("ratio", 0.5, bound).is_kept is kept


def test_the_table_and_the_file_hold_the_numbers(tmp_path: Path) -> None:
    file = tmp_path / "var" / "bench.json"
    results.write(file, [Result("old", 1.0)])
    results.write(file, [Result("ratio", 0.25, ("≥", 0.5), "1 of 4")])

    assert json.loads(file.read_text()) == {"old": 1.0, "ratio": 0.25}
    assert results.table([Result("ratio", 0.25, ("≥", 0.5), "1 of 4")]).splitlines()[-1] == (
        "| ratio | 0.25  | ≥ 0.5 | NO   | 1 of 4  |"
    )


def test_rounds_are_interleaved() -> None:
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    assert results.interleaved(2, lambda: measure("a"), lambda: measure("b")) == [[1.0, 3.0], [2.0, 4.0]]
    assert order == ["a", "b", "a", "b"]


def test_a_slow_machine_does_three_rounds() -> None:
    assert results.interleaved(9, lambda: 1.0, within=-1) == [[1.0, 1.0, 1.0]]
