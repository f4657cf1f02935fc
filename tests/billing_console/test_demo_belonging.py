"""A demo's database and its stand-ins' memory: what belongs together goes on, what does not begins anew."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from billing_console import demo_belonging
from billing_console.demo_belonging import BEGIN_ANEW, NOT_A_DEMOS, Belonging, judge
from billing_console.demo_processes import DemoError, own_services
from billing_console.embedded import embedded_services
from billing_console.embedded.__main__ import remove_everything
from billing_console.embedded.folders import locate_folders


@pytest.mark.parametrize(
    ("has_tables", "database", "has_memory", "memory", "expected"),
    [
        (False, "", False, "", Belonging.UNMARKED),  # the first start
        (False, "demo 1", False, "", Belonging.UNMARKED),  # killed in the first start
        (True, "", True, "", Belonging.UNMARKED),  # a demo of before there were marks
        (True, "demo 1", True, "demo 1", Belonging.TOGETHER),
        (False, "demo 1", True, "demo 1", Belonging.TOGETHER),  # killed before the tables were there
        (True, "demo 1", False, "", Belonging.APART),  # var/ was deleted
        (True, "demo 1", True, "", Belonging.APART),
        (False, "", True, "demo 1", Belonging.APART),  # the database was deleted
        (False, "", True, "", Belonging.APART),
        (True, "demo 2", True, "demo 1", Belonging.APART),  # of two plays
        (True, "", False, "", Belonging.NOT_A_DEMOS),
        (True, "", True, "demo 1", Belonging.NOT_A_DEMOS),
    ],
)
def test_marks_say_what_belongs_together(
    has_tables: bool, database: str, has_memory: bool, memory: str, expected: Belonging
) -> None:
    found = judge(has_tables=has_tables, database_mark=database, has_memory=has_memory, memory_mark=memory)

    assert found is expected


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A clone of its own, so that no demo of this one is touched."""
    monkeypatch.setattr("billing_console.embedded.services.CLONE", tmp_path)
    yield tmp_path
    remove_everything(tmp_path)
    shutil.rmtree(locate_folders("demo", clone=tmp_path).home, ignore_errors=True)


def play(database_url: str, memory: Path) -> None:
    """What a demo leaves: tables, and what the stand-ins remember."""
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS django_migrations (id int)")
    (memory / "taiga.jsonl").write_text("{}\n")


def has_tables(database_url: str) -> bool:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT to_regclass('django_migrations') IS NOT NULL").fetchone()
    return bool(row and row[0])


def test_a_demo_goes_on_until_one_half_is_deleted_and_then_begins_anew(clone: Path) -> None:
    memory, said = clone / "stand-ins", []
    with own_services(is_reset=False, announce=said.append, memory=memory) as urls:
        play(urls.database_url, memory)
    with own_services(is_reset=False, announce=said.append, memory=memory) as urls:
        assert has_tables(urls.database_url)
        assert (memory / "taiga.jsonl").is_file()
    assert said == []

    shutil.rmtree(memory)
    with own_services(is_reset=False, announce=said.append, memory=memory) as urls:
        assert said == [BEGIN_ANEW]
        assert not has_tables(urls.database_url)
        assert demo_belonging.look(urls.database_url, memory) is Belonging.TOGETHER
        play(urls.database_url, memory)

    remove_everything(clone)
    with own_services(is_reset=False, announce=said.append, memory=memory):
        assert said == [BEGIN_ANEW, BEGIN_ANEW]
        assert not (memory / "taiga.jsonl").exists()


def test_a_database_of_something_else_is_not_deleted_unasked(clone: Path) -> None:
    memory, said = clone / "stand-ins", []
    with embedded_services("demo") as urls:
        memory.mkdir()
        play(urls.database_url, memory)
        shutil.rmtree(memory)

    with pytest.raises(DemoError) as caught, own_services(is_reset=False, announce=said.append, memory=memory):
        pass

    assert (str(caught.value), said) == (NOT_A_DEMOS, [])
    with own_services(is_reset=True, announce=said.append, memory=memory) as urls:
        assert not has_tables(urls.database_url)
