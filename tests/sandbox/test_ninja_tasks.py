"""The stand-in's tasks: the traps that no single recorded exchange shows."""

from __future__ import annotations

import json
import threading

import pytest

from tests.sandbox.ninja_api import Api


@pytest.fixture
def api() -> Api:
    api = Api()
    api.seed()
    return api


def test_a_time_log_beyond_the_column_is_cut_to_nonsense_and_a_later_put_wipes_it(api: Api) -> None:
    entries = [[n * 100, n * 100 + 10, "a description that takes its room in the column", True] for n in range(1000)]

    task = api.task(time_log=json.dumps(entries))

    assert json.loads(task["time_log"])[-1][0] == 99_900
    stored = api.get(f"/tasks/{task['id']}")["time_log"]
    assert len(stored) == 65_535
    with pytest.raises(json.JSONDecodeError):
        json.loads(stored)
    assert api.put(f"/tasks/{task['id']}", {"number": "TAIGA-T1-1"})["time_log"] == "[]"


def test_parallel_posts_with_one_number_never_make_two_tasks(api: Api) -> None:
    statuses: list[int] = []

    def post() -> None:
        statuses.append(api.call("POST", "/tasks", {"number": "RACE-0"}).status_code)

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200] + [422] * 7
    assert len(api.get("/tasks?number=RACE-0")) == 1


def test_with_the_race_switch_the_unique_key_answers_500(api: Api) -> None:
    api.seed({"switches": {"number_race": True}})
    api.task("RACE-0")

    answer = api.json("POST", "/tasks", {"number": "race-0"})

    assert (api.status, answer) == (500, {"message": "Server Error"})
    api.at("2026-01-02T09:00:05Z")
    api.json("POST", "/tasks", {"number": "race-0"})
    assert api.status == 422
    assert len(api.get("/tasks?number=RACE-0")) == 1


def test_a_rate_of_zero_can_be_put_and_not_posted(api: Api) -> None:
    task = api.task(rate=0)

    assert task["rate"] == 75
    body = {"rate": 0, "time_log": task["time_log"], "number": task["number"]}
    assert api.put(f"/tasks/{task['id']}", body)["rate"] == 0
    assert api.get(f"/tasks/{task['id']}")["rate"] == 0


def test_a_change_of_the_projects_rate_leaves_tasks_alone(api: Api) -> None:
    task = api.task()

    api.put("/projects/proj_web001", {"task_rate": 200})

    assert api.get(f"/tasks/{task['id']}")["rate"] == 75


def test_the_date_is_the_companys_and_slashes_come_back_escaped(api: Api) -> None:
    task = api.task(time_log='[[1767221999,1767222000,"a/b"]]')  # 31 Dec 22:59:59 UTC

    assert task["date"] == "2025-12-31T23:59:59.000000Z"
    assert api.get(f"/tasks/{task['id']}")["date"] == "2025-12-31"
    assert task["time_log"] == '[[1767221999,1767222000,"a\\/b"]]'


def test_pages_shift_under_a_poller_that_sorts_by_change(api: Api) -> None:
    first, second = api.task("A")["id"], api.task("B")["id"]
    page = "/tasks?sort=updated_at|asc&per_page=1&updated_at=0&page="
    assert api.get(f"{page}1")[0]["id"] == first
    api.at("2026-01-02T10:00:00Z")

    api.put(f"/tasks/{first}", {"number": "A", "time_log": "[]"})

    # Page 2 is now the first task again: the second one was missed.
    assert api.get(f"{page}2")[0]["id"] == first
    assert api.get(f"{page}1")[0]["id"] == second
