"""Which wheel each pin has for each Python and machine we support: `python -m tests.wheels` asks and records.

The record, tests/data/wheels.txt, holds one file name a line. It is asked of the package index by pip itself,
without downloading; `make test` only reads it, `make test-long` asks again.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags

CLONE: Final = Path(__file__).resolve().parent.parent
RECORD: Final = CLONE / "tests" / "data" / "wheels.txt"
# The oldest patch release a supported system ships: Debian 12's 3.11.2; of the others nothing depends on it.
PYTHONS: Final = ("3.11.2", "3.12.0", "3.13.0", "3.14.0")
MACHINES: Final = ("x86_64", "aarch64")
# Debian 12 has glibc 2.36, the oldest of the supported systems.
GLIBC_MINOR: Final = 36


@dataclass(frozen=True)
class Pin:
    """One line of the requirement lists: `name==version`, and where it applies."""

    name: str
    version: str
    marker: str

    def applies_to(self, python: str, machine: str) -> bool:
        """True if a Linux `machine` with this full version of CPython installs the pin."""
        return not self.marker or Marker(self.marker).evaluate(environment_of(python, machine))


def read_pins() -> list[Pin]:
    """Return the pins of both lists, names in the index's normal form."""
    pins = []
    for name in ("base.txt", "dev.txt"):
        for line in (CLONE / "requirements" / name).read_text().splitlines():
            if found := re.fullmatch(r"([A-Za-z0-9_.-]+)==([\w.]+)(?:; (.+))?", line):
                pins.append(Pin(normal_name(found[1]), found[2], found[3] or ""))
    return pins


def normal_name(name: str) -> str:
    """Return the one way a package's name is written when names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def environment_of(python: str, machine: str) -> dict[str, str]:
    """Return what the markers of a requirement are evaluated with."""
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": "linux",
        "extra": "",
    }


def platforms_of(machine: str) -> list[str]:
    """Return the platform tags that the oldest supported system on `machine` takes, best first."""
    legacy = ["manylinux2014", "manylinux2010", "manylinux1"] if machine == "x86_64" else ["manylinux2014"]
    modern = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, 4, -1)]
    return [*modern, *(f"{name}_{machine}" for name in legacy), f"linux_{machine}"]


def tags_of(python: str, machine: str) -> frozenset[Tag]:
    """Return every tag of a wheel that this Python on this machine installs."""
    version = [int(part) for part in python.split(".")[:2]]
    interpreter = f"cp{version[0]}{version[1]}"
    platforms = platforms_of(machine)
    return frozenset(
        [
            *cpython_tags(version, abis=[interpreter], platforms=platforms),
            *compatible_tags(version, interpreter=interpreter, platforms=platforms),
        ]
    )


def ask_index(python: str, machine: str) -> Iterator[str]:
    """Yield the file name of the wheel pip would install for each pin; raises CalledProcessError if one has none."""
    pins = [f"{pin.name}=={pin.version}" for pin in read_pins() if pin.applies_to(python, machine)]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--dry-run"]
        command += ["--ignore-installed", "--no-deps", "--only-binary", ":all:", "--report", str(report)]
        command += ["--python-version", python, "--target", str(Path(folder) / "nothing")]
        for platform in platforms_of(machine):
            command += ["--platform", platform]
        subprocess.run([*command, *pins], check=True, timeout=600)
        for item in json.loads(report.read_text())["install"]:
            yield item["download_info"]["url"].partition("#")[0].rpartition("/")[2]


def ask_for_all() -> list[str]:
    """Return what the record should say now, sorted; takes minutes and the network."""
    return sorted({name for python in PYTHONS for machine in MACHINES for name in ask_index(python, machine)})


if __name__ == "__main__":
    RECORD.write_text("".join(f"{name}\n" for name in ask_for_all()))
