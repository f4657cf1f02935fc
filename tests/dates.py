"""The suite under other clocks: `python -m tests.dates`, which `make test-dates` calls.

Every process of a run, PostgreSQL and Redis too, sees the same shifted clock (libfaketime), so what is compared
between Python and the database agrees. Left out are the tests with a browser and the slow ones,
which kill processes of their own: what depends on a date is in the others.

The whole suite under eleven clocks takes hours. So each clock runs one share of it, in random order, and the shares
move on by one each day: a night runs each test under two or three clocks, four nights run each under all of them.
`DATES_SHARES=1` runs everything.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

CLONE: Final = Path(__file__).resolve().parent.parent
CHOICE: Final = "not long and not slow and not browser"
SHARES: Final = 4

# When a run begins, in UTC. The office's zone, Europe/Brussels, is one hour ahead, two in summer.
DATES: Final[dict[str, dt.datetime]] = {
    "the 1st of a month": dt.datetime(2026, 12, 1, 8, 0, tzinfo=dt.UTC),
    "a 9th": dt.datetime(2026, 12, 9, 8, 0, tzinfo=dt.UTC),
    "a 10th": dt.datetime(2026, 12, 10, 8, 0, tzinfo=dt.UTC),
    "28 February": dt.datetime(2027, 2, 28, 8, 0, tzinfo=dt.UTC),
    "29 February": dt.datetime(2028, 2, 29, 8, 0, tzinfo=dt.UTC),
    "31 March": dt.datetime(2027, 3, 31, 8, 0, tzinfo=dt.UTC),
    "25 October, two minutes before summer time ends": dt.datetime(2026, 10, 25, 0, 58, tzinfo=dt.UTC),
    "31 December": dt.datetime(2026, 12, 31, 8, 0, tzinfo=dt.UTC),
    "midnight of the office's zone, into 2027": dt.datetime(2026, 12, 31, 22, 58, 30, tzinfo=dt.UTC),
    "midnight of UTC, into 2027": dt.datetime(2026, 12, 31, 23, 58, 30, tzinfo=dt.UTC),
    "January 2027": dt.datetime(2027, 1, 15, 8, 0, tzinfo=dt.UTC),
}


def find_library(folder: Path) -> Path | None:
    """Copy libfaketime's library to `folder`; None where the package is not installed (it is for x86-64 Linux).

    As root the servers run as another user, who may not reach the virtual environment; so `folder` is opened.
    """
    spec = importlib.util.find_spec("libfaketime")
    if spec is None or spec.origin is None:
        return None
    library = Path(spec.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
    if not library.is_file():
        return None
    folder.chmod(0o755)
    return Path(shutil.copy(library, folder))


def shifted(library: Path, begin: dt.datetime) -> dict[str, str]:
    """Return the variables under which a process and its children believe that it is `begin` (aware) now."""
    offset = round(begin.timestamp() - time.time())
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{offset:+d}",
        # How long something takes is measured with the monotonic clock; that one stays as it is.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def run_suite(library: Path, begin: dt.datetime, share: str, seed: int, arguments: Sequence[str]) -> int:
    """Run one share of the suite ("0/4" is the first of four) from `begin` on and return pytest's exit code."""
    command = [sys.executable, "-m", "billing_console.embedded", "run", "--", sys.executable, "-m", "pytest"]
    command += ["-q", "-n", str((os.cpu_count() or 1) + 1), "--dist", "loadgroup", "-m", CHOICE]
    command += ["-p", "no:cacheprovider", "-p", "tests.shares", f"--share={share}"]
    command += ["--random-order-bucket=module", f"--random-order-seed={seed}", *arguments]
    environment = {**os.environ, "ENVIRONMENT": "sandbox", **shifted(library, begin)}
    return subprocess.run(command, cwd=CLONE, env=environment, check=False).returncode


def main(arguments: Sequence[str]) -> int:
    """Run the suite at each date; `arguments` go to pytest. Returns 1 if a run was not green."""
    shares = int(os.environ.get("DATES_SHARES", SHARES))
    today = dt.datetime.now(dt.UTC).toordinal()
    codes: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="clock-") as folder:
        library = find_library(Path(folder))
        if library is None:
            print("There is no libfaketime here (it is for x86-64 Linux): the dates were NOT tried.", file=sys.stderr)
            return 1
        for place, (name, begin) in enumerate(DATES.items(), start=today):
            share = f"{place % shares}/{shares}"
            print(f"\n=== {name}: {begin:%Y-%m-%d %H:%M:%S} UTC, share {share}, seed {place} ===", flush=True)
            codes[name] = run_suite(library, begin, share, place, arguments)
    print()
    for name, code in codes.items():
        print(f"{'green' if code == 0 else 'RED  '}  {name}")
    return int(any(codes.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
