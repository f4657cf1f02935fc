"""Which Redis the console brings: the wheel's, else the machine's, else a sentence."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

from billing_console.embedded import EmbeddedError
from billing_console.embedded.folders import Folders
from billing_console.embedded.redis import DISTRIBUTION, find_bundled, find_program


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Folders of an ordinary user: nothing is copied."""
    return Folders(home=tmp_path, base=tmp_path / "test", socket_dir=tmp_path / "s", uid=None, gid=None)


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def test_the_wheels_program_is_taken_before_the_machines(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "valkey-server").write_text("#!/bin/sh\n")
    (tmp_path / "valkey-server").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    program = find_program(folders)

    assert program == find_bundled()
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert answer.startswith("Valkey server v=9.1.2 ")


def test_as_root_a_copy_that_its_user_reaches_is_run(folders: Folders, tmp_path: Path) -> None:
    as_root = Folders(folders.home, folders.base, folders.socket_dir, uid=os.geteuid(), gid=os.getegid())
    bundled = find_bundled()
    assert bundled is not None

    copy = find_program(as_root)

    assert copy == tmp_path / f"valkey-{importlib.metadata.version(DISTRIBUTION)}"
    assert copy.read_bytes() == bundled.read_bytes()
    assert find_program(as_root) == copy


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
@pytest.mark.usefixtures("no_wheel")
def test_without_the_wheel_the_machines_program_is_taken(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).write_text("#!/bin/sh\n")
    (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_program(folders) == tmp_path / name


@pytest.mark.usefixtures("no_wheel")
def test_without_any_it_is_one_sentence(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EmbeddedError) as caught:
        find_program(folders)

    assert str(caught.value) == (
        "There is no Redis for this machine: install the package valkey-server or redis-server, "
        "or set REDIS_URL to a server you run."
    )
