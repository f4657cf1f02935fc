"""`python -m bench [NAME …] [--long]`: measure, print a table, write var/bench.json; exit 1 where a bound is broken.

Needs DATABASE_URL and REDIS_URL (`make bench` gives both); works in a database of its own beside that one.
"""

from __future__ import annotations

import argparse
import importlib
import os
import secrets
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

QUICK = ("ingest", "drain", "claiming", "sending", "sweeping", "memory", "run", "review", "reconciling")
LONG = ("journal", "memory")
DATABASE = "console_bench"


def main() -> int:
    """Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="What is fast, as ratios.")
    parser.add_argument("names", nargs="*", help=f"which: {', '.join((*QUICK, *LONG))}; default the quick ones")
    parser.add_argument("--long", action="store_true", help="the long ones")
    parser.add_argument("--json", type=Path, default=Path("var/bench.json"), help="default %(default)s")
    chosen = parser.parse_args()
    _prepare()
    from django.core.management import call_command

    from bench import results

    found = []
    for name in chosen.names or (LONG if chosen.long else QUICK):
        began = time.monotonic()
        print(f"{name} …", file=sys.stderr, flush=True)
        call_command("flush", interactive=False, verbosity=0)
        module = importlib.import_module(f"bench.{name}")
        found += getattr(module, "run_long", module.run)() if chosen.long else module.run()
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(results.table(found))
    results.write(chosen.json, found)
    return 0 if all(each.is_kept for each in found) else 1


def _prepare() -> None:
    """A new, migrated database and the settings to work in it, for us and for every process that we start."""
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(_conninfo(url), autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {DATABASE}")
    parts = urlsplit(url)
    os.environ.update(
        DATABASE_URL=parts._replace(path=f"/{DATABASE}").geturl(),
        DJANGO_SETTINGS_MODULE="bench.settings",
        ENVIRONMENT="sandbox",
        ALLOW_HTTP_UPSTREAMS="true",
        SECRET_KEY=secrets.token_urlsafe(),
        WEBHOOK_SECRET=secrets.token_urlsafe(),
        FIELD_KEY=secrets.token_urlsafe(32)[:43] + "=",
    )
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _conninfo(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(scheme="postgresql").geturl()


if __name__ == "__main__":
    sys.exit(main())
