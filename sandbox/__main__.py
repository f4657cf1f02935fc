"""`python -m sandbox`: both stand-ins in one process, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from sandbox.server import PortBusy, serve


def main(arguments: list[str] | None = None) -> int:
    """Serves both stand-ins; answers the exit code: 0, or 1 with one sentence where a port is busy."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="A stand-in Taiga and Invoice Ninja.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--taiga-port", type=int, default=9101, help="default %(default)s; 0 is a free port")
    parser.add_argument("--ninja-port", type=int, default=9102, help="default %(default)s; 0 is a free port")
    parser.add_argument("--state", type=Path, help="folder for memory and clock; without it all is forgotten")
    parser.add_argument(
        "--taiga-mode",
        choices=("inline", "async"),
        default="inline",
        help="how Taiga sends webhooks: in the user's request, or from a worker (default %(default)s)",
    )
    chosen = parser.parse_args(arguments)
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    try:
        running = serve(
            host=chosen.host,
            taiga_port=chosen.taiga_port,
            ninja_port=chosen.ninja_port,
            state=chosen.state,
            taiga_mode=chosen.taiga_mode,
        )
    except PortBusy as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Taiga {running.taiga.url} · Invoice Ninja {running.ninja.url}", flush=True)
    done.wait()
    running.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
