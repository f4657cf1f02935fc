"""The environment: NAME_FILE for our own names, secrets made once."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from billing_console.env import UnreadableSecretFile, load_secret_files, make_once


def test_a_file_gives_its_content_without_the_line_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    environ = {"TAIGA_TOKEN_FILE": str(tmp_path / "token")}

    load_secret_files(environ)

    assert environ["TAIGA_TOKEN"] == "from-a-file"


def test_a_variable_that_is_set_wins_over_its_file_and_an_empty_one_does_not(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-a-file")
    path = str(tmp_path / "secret")
    environ = {"SECRET_KEY": "set", "SECRET_KEY_FILE": path, "FIELD_KEY": "", "FIELD_KEY_FILE": path}

    load_secret_files(environ)

    assert (environ["SECRET_KEY"], environ["FIELD_KEY"]) == ("set", "from-a-file")


def test_other_programs_variables_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("certificates")
    environ = {"SSL_CERT_FILE": str(tmp_path / "ca")}

    load_secret_files(environ)

    assert environ == {"SSL_CERT_FILE": str(tmp_path / "ca")}


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSecretFile, match="WEBHOOK_SECRET_FILE names .*/none, which cannot be read"):
        load_secret_files({"WEBHOOK_SECRET_FILE": str(tmp_path / "none")})


def test_a_secret_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secret_key"

    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: make_once(path), range(32)))

    assert secrets == {path.read_text()}
    assert len(path.read_text()) >= 48
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["secret_key"]
