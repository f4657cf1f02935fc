"""Plays the scenario as its people would: over HTTP, one step after the other, each at its own time.

Every step may be repeated, and what is done is noted in a file after each step: a player that was killed goes on where
it was.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from sandbox import scenario
from sandbox.scenario import HOURS, Project, Work

TIMEOUT_SECONDS = 30
Step = tuple[str, datetime, Callable[[], None]]
Say = Callable[[str], None]
WaitUntil = Callable[[str, Callable[[], bool]], None]


class PlayError(Exception):
    """The scenario cannot go on; the text is one sentence."""


@dataclass
class Http:
    """JSON over HTTP to one stand-in; answers with the status, so that a trap can be seen as one."""

    base: str
    headers: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send and return (status, JSON or None). Numbers with a fraction come as Decimal."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Accept": "application/json", "Content-Type": "application/json", **self.headers}
        request = Request(f"{self.base}{path}", data=data, method=method, headers=headers)
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                return answer.status, _parse(answer.read())
        except HTTPError as error:
            return error.code, _parse(error.read())

    def get(self, path: str) -> Any:
        """The JSON at `path`; raises PlayError for anything but 200."""
        status, body = self.call("GET", path)
        if status != 200:
            raise PlayError(f"GET {self.base}{path} answered {status}: {body}")
        return body

    def do(self, method: str, path: str, body: Any = None) -> Any:
        """Like `get` for other methods; every 2xx is fine."""
        status, answer = self.call(method, path, body)
        if not 200 <= status < 300:
            raise PlayError(f"{method} {self.base}{path} answered {status}: {answer}")
        return answer


def _parse(raw: bytes) -> Any:
    try:
        return json.loads(raw, parse_float=Decimal) if raw else None
    except ValueError:
        return None


class Progress:
    """Which steps are done, in a file that survives a kill."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._done: list[str] = json.loads(path.read_text()) if path.is_file() else []

    def is_done(self, name: str) -> bool:
        """Whether the step was finished, in this or an earlier life."""
        return name in self._done

    def note(self, name: str) -> None:
        """Remember that the step is finished."""
        self._done.append(name)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(self._done, indent=1))
        os.replace(temporary, self.path)


class Player:
    """The team in Taiga and the clients of Invoice Ninja. URLs are those of the stand-ins, without `/api/v1`."""

    def __init__(self, taiga_url: str, ninja_url: str, progress: Progress, say: Say) -> None:
        self.taiga_url = taiga_url
        self.control = Http(taiga_url)
        self.ninja_control = Http(ninja_url)
        self.ninja = Http(f"{ninja_url}/api/v1", {"X-API-TOKEN": scenario.NINJA_TOKEN})
        self.progress = progress
        self.say = say
        self._wait_until: WaitUntil = wait_for

    def seed(self, webhook_url: str, webhook_key: str) -> None:
        """Set both stand-ins up; what is there already stays."""
        if not self.progress.is_done("seed"):
            self.set_clock(scenario.BEGIN)
        self.control.do("POST", "/sandbox/seed", scenario.taiga_seed(webhook_url, webhook_key))
        self.ninja_control.do("POST", "/sandbox/seed", scenario.ninja_seed())
        if not self.progress.is_done("seed"):
            self.progress.note("seed")

    def set_clock(self, instant: datetime, *, frozen: bool = True) -> None:
        """Both stand-ins, and with them the console's business time, are at `instant` now."""
        now = instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
        self.control.do("POST", "/sandbox/clock", {"now": now, "frozen": frozen})

    def once(self, name: str, step: Callable[[], None]) -> None:
        """Do a step that no earlier life of this player has finished."""
        if not self.progress.is_done(name):
            step()
            self.progress.note(name)

    # --- December in Taiga

    def play_december(self, wait_until: WaitUntil) -> None:
        """Everything that the team does, in order of time. `wait_until(what, is_true)` waits for the console.

        The clock is frozen at each step: two closings stand one second either side of midnight in Brussels.
        """
        self._wait_until = wait_until
        for name, at, step in sorted(self._steps(), key=lambda one: one[1]):
            if self.progress.is_done(name):
                continue
            self.set_clock(at)
            step()
            self.progress.note(name)

    def _steps(self) -> Iterator[Step]:
        for work in scenario.WORK:
            yield from self._steps_of(work)

    def _steps_of(self, work: Work) -> Iterator[Step]:
        number, opened = work.number, work.closed - timedelta(hours=3)
        closer = work.who or "eve"
        typed = dict(work.typed)
        first_closing = work.first_closed or work.closed
        if work.first_closed:
            opened = work.first_closed - timedelta(hours=3)
            typed[HOURS] = work.first_hours
        early = {name: value for name, value in typed.items() if name != HOURS} if work.hours_come_late else typed
        yield f"{number}.open", opened, lambda: self._open(work, closer)
        yield f"{number}.type", opened + timedelta(minutes=5), lambda: self._type(work, closer, early)
        if work.first_closed:
            yield f"{number}.close-first", first_closing, lambda: self._set_status(work, closer, "Closed")
            # The console must see the first closing: the work date of a cycle is that of its first closing.
            yield f"{number}.seen", first_closing + timedelta(minutes=1), lambda: self._wait_for_push(work)
            reopened = first_closing + timedelta(hours=20)
            yield f"{number}.reopen", reopened, lambda: self._set_status(work, closer, "In progress")
            more = reopened + timedelta(hours=2)
            yield f"{number}.type-more", more, lambda: self._type(work, closer, {HOURS: work.hours})
        yield f"{number}.close", work.closed, lambda: self._set_status(work, closer, "Closed")
        if work.hours_come_late:
            late = work.closed + timedelta(hours=18)
            yield f"{number}.type-late", late, lambda: self._type(work, closer, {HOURS: work.hours})

    def _wait_for_push(self, work: Work) -> None:
        self._wait_until(f"the first closing of “{work.subject}”", lambda: self.status_of(work) == "Invoiced")

    def _as(self, username: str) -> Http:
        body = {"type": "normal", "username": username, "password": scenario.PASSWORD}
        token = Http(f"{self.taiga_url}/api/v1").do("POST", "/auth", body)["auth_token"]
        return Http(f"{self.taiga_url}/api/v1", {"Authorization": f"Bearer {token}"})

    def _open(self, work: Work, who: str) -> None:
        if self._find(work) is not None:
            return
        taiga = self._as(who)
        member = taiga.get("/users/me")["id"] if work.who else None
        story = None
        if work.has_story:
            stories = taiga.get(f"/userstories?project={work.project.taiga_id}")
            story = stories[0]["id"]
        body = {
            "project": work.project.taiga_id,
            "subject": work.subject,
            "assigned_to": member,
            "user_story": story,
            "description": "",
        }
        self._change(taiga, "POST", "/tasks", body, work)
        self.say(f"{self._name(work)}: opened")

    def _type(self, work: Work, who: str, values: dict[str, Any]) -> None:
        taiga = self._as(who)
        task = self.task_of(work)
        ids = {row["name"]: str(row["id"]) for row in taiga.get(f"/task-custom-attributes?project={task['project']}")}
        path = f"/tasks/custom-attributes-values/{task['id']}"
        now = taiga.get(path)
        wanted = {**now["attributes_values"], **{ids[name]: value for name, value in values.items()}}
        if _plain(wanted) == _plain(now["attributes_values"]):
            return
        self._change(taiga, "PATCH", path, {"attributes_values": _plain(wanted), "version": now["version"]}, work)
        self.say(f"{self._name(work)}: " + ", ".join(f"{name} = {value!r}" for name, value in values.items()))

    def _set_status(self, work: Work, who: str, status: str) -> None:
        taiga = self._as(who)
        task = self.task_of(work)
        statuses = {row["name"]: row["id"] for row in taiga.get(f"/task-statuses?project={task['project']}")}
        if task["status"] == statuses[status]:
            return
        body = {"version": task["version"], "status": statuses[status]}
        self._change(taiga, "PATCH", f"/tasks/{task['id']}", body, work)
        self.say(f"{self._name(work)}: {status.lower()}")

    def _change(self, taiga: Http, method: str, path: str, body: Any, work: Work) -> None:
        status, answer = taiga.call(method, path, body)
        # A task without a story answers 500 although it is saved: the real server's trap, and its people live with it.
        if not (200 <= status < 300 or (status == 500 and not work.has_story)):
            raise PlayError(f"{method} {path} for “{work.subject}” answered {status}: {answer}")

    def _find(self, work: Work) -> dict[str, Any] | None:
        tasks = self._as("owner").get(f"/tasks?project={work.project.taiga_id}&page_size=1000")
        return next((task for task in tasks if task["subject"] == work.subject), None)

    def task_of(self, work: Work) -> dict[str, Any]:
        """The task as Taiga's API shows it. Raises PlayError when it is not there."""
        found = self._find(work)
        if found is None:
            raise PlayError(f"Taiga has no task “{work.subject}” in {work.project.name}.")
        return found

    def values_of(self, work: Work) -> dict[str, Any]:
        """The task's attribute values as Taiga holds them, by attribute name."""
        taiga = self._as("owner")
        task = self.task_of(work)
        names = {str(row["id"]): row["name"] for row in taiga.get(f"/task-custom-attributes?project={task['project']}")}
        values = taiga.get(f"/tasks/custom-attributes-values/{task['id']}")["attributes_values"]
        return {names[key]: value for key, value in values.items() if value is not None}

    def status_of(self, work: Work) -> Any:
        """The task's invoice status, None where there is none."""
        return self.values_of(work).get(scenario.STATUS)

    def _name(self, work: Work) -> str:
        return f"{work.project.name}, {work.subject}"

    # --- the clients pay

    def pay(self, project: Project, amount: Decimal) -> None:
        """The client pays `amount` EUR on its invoice, unless that payment is there already."""
        invoices = self.ninja.get(f"/invoices?client_id={project.client_id}&status=active&per_page=100")["data"]
        if len(invoices) != 1:
            raise PlayError(f"{project.client_name} has {len(invoices)} invoices, not 1.")
        if Decimal(str(invoices[0]["paid_to_date"])) >= amount:
            return
        body = {
            "client_id": project.client_id,
            "amount": float(amount),
            "date": scenario.PAYMENT.date().isoformat(),
            "invoices": [{"invoice_id": invoices[0]["id"], "amount": float(amount)}],
        }
        self.ninja.do("POST", "/payments", body)
        self.say(f"{project.client_name} pays {amount:.2f} EUR")


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """JSON numbers as json.dumps can write them again."""
    return {key: float(value) if isinstance(value, Decimal) else value for key, value in values.items()}


def wait_for(what: str, is_true: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until `is_true()`; raises PlayError, naming `what`, when it takes longer than `seconds` of real time."""
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            raise PlayError(f"Waited {seconds:g} s for {what} in vain.")
        time.sleep(0.3)
