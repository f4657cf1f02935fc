"""The backup's file, and a restore that is refused: a full disk, a locked table, a file that was harmed, a console."""

from __future__ import annotations

import json
import os
import resource
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from billing_console import backup
from billing_console.spawn import hold_lock
from mappings.models import Client

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def own_folder(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path / "var"


@pytest.fixture
def client() -> Client:
    return Client.objects.create(ninja_id="acme", name="Acme\twith a tab", currency="EUR")


@pytest.fixture
def file(client: Client, tmp_path: Path) -> Path:
    path = tmp_path / "yesterday.backup"
    backup.save(path)
    return path


@contextmanager
def session(name: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of another process."""
    wanted = ("host", "port", "user", "password", "dbname")
    params = {key: value for key, value in connection.get_connection_params().items() if key in wanted}
    other = psycopg.connect(**params, application_name=name, autocommit=True)
    try:
        yield other
    finally:
        other.close()


def harmed(path: Path, entries: Callable[[dict[str, bytes]], None]) -> None:
    """The same archive, with its entries changed."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    entries(content)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def with_manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, bytes]], None]:
    def entries(content: dict[str, bytes]) -> None:
        manifest = json.loads(content[backup.MANIFEST])
        change(manifest)
        content[backup.MANIFEST] = json.dumps(manifest).encode()

    return entries


def restore(path: Path, **options: Any) -> None:
    call_command("restore", str(path), yes=True, json=True, stdout=open(os.devnull, "w"), **options)  # noqa: SIM115


# --- saving ---------------------------------------------------------------------------------------------------------


def test_the_file_is_on_the_disk_before_it_has_its_name(client: Client, tmp_path: Path, monkeypatch: Any) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append("fsync"), fsync(number))[1])
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("rename"), replace(*names))[1])

    backup.save(tmp_path / "file")

    assert done == ["fsync", "rename", "fsync"]  # and its folder after it
    assert backup.inspect(tmp_path / "file").rows["mappings_client"] == 1


def test_a_full_disk_is_one_sentence_and_leaves_no_file(client: Client, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(backup.BackupError, match="cannot be written: File too large"):
            backup.save(tmp_path / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert list(tmp_path.glob("file*")) == []


def test_a_table_that_somebody_locks_is_one_sentence(client: Client, tmp_path: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")
    try:
        with session("psql") as other, other.transaction():
            other.execute("LOCK TABLE mappings_client IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(backup.BackupError, match="canceling statement due to lock timeout"):
                backup.save(tmp_path / "file")
    finally:
        connection.close()

    assert list(tmp_path.glob("file*")) == []


# --- restoring ------------------------------------------------------------------------------------------------------


def without_table(content: dict[str, bytes]) -> None:
    del content["mappings_client.copy"]
    with_manifest(lambda manifest: manifest["tables"].pop("mappings_client"))(content)


def broken_line(content: dict[str, bytes]) -> None:
    """A line with a column too few, with the sum that fits it."""
    data = content["mappings_client.copy"] = content["mappings_client.copy"].replace(b"\\t", b"")
    data = content["mappings_client.copy"] = data.replace(b"\t", b"", 1)
    digest = backup.hashlib.sha256(data).hexdigest()
    with_manifest(lambda manifest: manifest["tables"]["mappings_client"].update(sha256=digest))(content)


def orphan(content: dict[str, bytes]) -> None:
    """A row that nothing else in the file belongs to: the last word is the constraints'."""
    name = "accounts_user_groups.copy"
    data = content[name] = b"1\t999\t999\n"
    digest = backup.hashlib.sha256(data).hexdigest()
    with_manifest(lambda manifest: manifest["tables"][name[:-5]].update(sha256=digest, columns=COLUMNS))(content)


COLUMNS = ["id", "user_id", "group_id"]


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (without_table, "damaged \\(table mappings_client\\)"),
        (with_manifest(lambda m: m["tables"].update(more=m["tables"]["mappings_client"])), "damaged \\(table more\\)"),
        (with_manifest(lambda m: m["tables"]["mappings_client"]["columns"].pop()), "damaged \\(table mappings_clie"),
        (with_manifest(lambda m: m.pop("tables")), "is no backup of the console"),
        (with_manifest(lambda m: m.update(tables=[1])), "is no backup of the console"),
        (with_manifest(lambda m: m.update(made_at="yesterday")), "is no backup of the console"),
        (with_manifest(lambda m: m["migrations"].append(3)), "is no backup of the console"),
        (broken_line, "damaged \\(table mappings_client\\)"),
        (orphan, "could not be read into the database .*violates foreign key"),
    ],
    ids=["table gone", "table more", "column gone", "no tables", "odd tables", "odd time", "odd migration",
         "broken line", "orphan"],
)  # fmt: skip
def test_a_file_that_is_not_whole_empties_nothing(
    file: Path, harm: Callable[[dict[str, bytes]], None], sentence: str
) -> None:
    harmed(file, harm)

    with pytest.raises(CommandError, match=sentence):
        restore(file)

    assert Client.objects.count() == 1


def test_bits_that_flip_are_one_sentence(file: Path) -> None:
    whole = file.read_bytes()
    for place in range(40, len(whole), len(whole) // 12):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with suppress(backup.BackupError):  # and nothing else; a bit that nobody reads harms nothing
            backup.load(file, lambda: None)
        assert Client.objects.get().name == "Acme\twith a tab"


def test_a_console_that_runs_is_not_replaced_under_its_feet(file: Path) -> None:
    Client.objects.update(name="Later")
    sentence = r"The console still runs: .*\(host7:42\)\. Stop web, worker and beat"
    with session("billing-console host7:42"), pytest.raises(CommandError, match=sentence):
        restore(file)
    assert Client.objects.get().name == "Later"

    with session("psql"):  # a person who looks is no console
        restore(file)
    assert Client.objects.get().name == "Acme\twith a tab"


def test_force_ends_the_sessions_of_a_console_and_restores(file: Path) -> None:
    Client.objects.update(name="Later")
    with session("billing-console host7:42") as other:
        restore(file, force=True)
        with pytest.raises(psycopg.OperationalError):
            other.execute("SELECT 1")
    assert Client.objects.get().name == "Acme\twith a tab"


def test_a_console_of_this_machine_that_just_starts_is_noticed(file: Path, settings: Any) -> None:
    with hold_lock(settings.VAR_DIR / "console.lock"), pytest.raises(CommandError, match="still runs here"):
        restore(file)


def test_every_connection_says_whose_it_is() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('application_name')")
        assert cursor.fetchone()[0].startswith("billing-console ")
