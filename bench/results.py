"""What a benchmark says: a name, a number, the bound it must keep, and what it was made of."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Result:
    """One number. `bound` is ("≥", 0.5) or ("≤", 3), None for a number that is only told; `detail` says its parts."""

    name: str
    value: float
    bound: tuple[str, float] | None = None
    detail: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether the number is within its bound."""
        if self.bound is None:
            return True
        word, limit = self.bound
        return self.value >= limit if word == "≥" else self.value <= limit


def interleaved(rounds: int, *measures: Callable[[], float], within: float | None = None) -> list[list[float]]:
    """Each measure once a round, one after the other, so that a slow moment of the machine hits all alike.

    After `within` seconds no further round begins, but three are always done: a slow machine is measured all the same.
    """
    values: list[list[float]] = [[] for _measure in measures]
    began = time.monotonic()
    for number in range(rounds):
        if within is not None and number >= LEAST_ROUNDS and time.monotonic() - began > within:
            break
        for taken, measure in zip(values, measures, strict=True):
            taken.append(measure())
    return values


def middle(values: Iterable[float]) -> float:
    """The median."""
    return float(median(values))


def reset_peak() -> None:
    """Linux counts the most memory of this process anew from here on."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """The most resident memory of this process since then, in MB."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def table(results: list[Result]) -> str:
    """The results as a table of text, which is valid Markdown too."""
    rows = [("name", "value", "bound", "kept", "made of")]
    for each in results:
        bound = f"{each.bound[0]} {each.bound[1]:g}" if each.bound else "–"
        kept = "–" if each.bound is None else ("yes" if each.is_kept else "NO")
        rows.append((each.name, f"{each.value:.3g}", bound, kept, each.detail))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "-|-".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)


def write(path: Path, results: list[Result]) -> None:
    """Add the numbers to the JSON file at `path`; those of benchmarks that did not run stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    known.update({each.name: each.value for each in results})
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
