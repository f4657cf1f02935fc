"""Real workers, as `manage.py console` starts them, are stopped while a server works on what they asked for.

Their calls are made in threads, which no signal reaches: a worker that is to stop finishes the calls in flight, stores
what became of them and begins nothing more. What is killed all the same is looked up by the next one.
"""

from __future__ import annotations

import http.client
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.db import connection, transaction
from kombu import Connection

from billing_console.celery import app
from billing_console.processes import CLONE, choose_free_ports, console_programs
from sync import signature
from sync.models import RemoteRecord, UpstreamGate, WebhookDelivery
from tests.crash.conftest import PASSED_ON
from tests.crash.rounds import add_entry, sweep
from tests.crash.test_invoice_kills import EMAIL, ask, sweep_sendings
from tests.crash.test_kills import POST_TASK, assert_one_task_each
from tests.outbound import fresh, states_of
from tests.standins import World
from tests.sync.test_payloads import TABLE, body_of

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("real workers")]

NO_MORE = 3  # as a limit of descriptors: those that are open stay, and none is opened any more
PUSH, SEND = "sync.tasks.push_tasks", "invoicing.tasks.send_invoices"


def environment() -> dict[str, str]:
    """What a process of the console is given here: the test's database and stand-ins."""
    return {
        **os.environ,
        "DATABASE_URL": os.environ["DATABASE_URL"].replace("/billing?", f"/{connection.settings_dict['NAME']}?"),
        "DJANGO_SETTINGS_MODULE": "billing_console.settings",
        "ENV_FILE": "",
        "SANDBOX_CLOCK_FILE": "",
        "CALL_DEADLINE_SECONDS": "20",
        "LEASE_SECONDS": "60",
        **{name: str(getattr(settings, name)) for name in PASSED_ON},
    }


@contextmanager
def running(argv: Sequence[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(argv, cwd=CLONE, env=env)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        with redis.Redis.from_url(os.environ["REDIS_URL"]) as queue:
            queue.delete(settings.CELERY_TASK_DEFAULT_QUEUE, own_queue())


def running_worker() -> AbstractContextManager[subprocess.Popen[bytes]]:
    """One of the console's workers."""
    env = environment()
    program = next(one for one in console_programs(env, host="", port=0) if one.name == "worker-1")
    return running([*program.argv, "--queues", own_queue()], {**env, **program.env})


def running_console(var_dir: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    (port,) = choose_free_ports(1)
    argv = [sys.executable, "manage.py", "console", "--port", str(port)]
    return running(argv, {**environment(), "VAR_DIR": str(var_dir)})


def own_queue() -> str:
    """The queue of these workers alone: others of the suite hear the console's at the same time."""
    return f"bells of {connection.settings_dict['NAME']}"


def ring(task: str) -> None:
    url = os.environ["REDIS_URL"].replace("unix://", "redis+socket://", 1)
    with Connection(url) as broker:
        app.send_task(task, connection=broker, ignore_result=True, queue=own_queue())


def wait_long_for(is_done: Callable[[], bool]) -> None:
    """A worker needs seconds to start, on a busy machine many."""
    until = time.monotonic() + 60
    while not is_done():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def test_a_worker_that_is_to_stop_finishes_what_is_in_flight_and_begins_nothing_more(near: World) -> None:
    for number in range(3):
        add_entry(near, f"Stopped {number}")
    near.fail("ninja", kind="delay", seconds=1, after=True, count=3, **POST_TASK)

    with running_worker() as worker:
        ring(PUSH)
        wait_long_for(lambda: len(near.tasks()) == 1)
        worker.terminate()
        assert worker.wait(30) == 0

    assert len(near.tasks()) == 1
    assert sorted(RemoteRecord.objects.filter(kind="task").values_list("state", "claim_id")) == [
        ("pending", None), ("pending", None), ("synced", None),
    ]  # fmt: skip
    sweep("task")
    assert_one_task_each(near)


def test_a_mail_in_flight_is_finished_by_a_worker_that_is_to_stop(near: World) -> None:
    invoice = ask(near, 0)
    near.fail("ninja", kind="delay", seconds=2, after=True, **EMAIL)

    with running_worker() as worker:
        ring(SEND)
        wait_long_for(lambda: len(near.mails()) == 1)
        worker.terminate()
        assert worker.wait(30) == 0

    assert (fresh(invoice).state, near.mails()) == ("sent", ["billing@acme.example"])


@pytest.mark.long  # measures CPU time, which other processes of a busy machine lengthen
def test_a_worker_out_of_descriptors_waits_without_turning_and_goes_on(near: World) -> None:
    """It lives on, blames no server, and is not busy with failing; with descriptors again it writes, once."""
    add_entry(near, "Warm")
    with running_worker() as worker:
        ring(PUSH)
        wait_long_for(lambda: len(near.tasks()) == 1)
        time.sleep(1.2)  # connections that idle are not used again
        soft, hard = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (NO_MORE, hard))
        entries = [add_entry(near, f"Without descriptors {number}") for number in range(3)]
        began = cpu_seconds(worker.pid)
        for _ring in range(4):
            RemoteRecord.objects.filter(kind="task", state="retry").update(not_before=None)
            ring(PUSH)
            time.sleep(1)
        assert (worker.poll(), len(near.tasks())) == (None, 1)
        assert cpu_seconds(worker.pid) - began < 2.0
        assert not UpstreamGate.objects.filter(failures__gt=0).exists()

        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (soft, hard))
        RemoteRecord.objects.filter(kind="task", state="retry").update(not_before=None)
        ring(PUSH)
        wait_long_for(lambda: len(near.tasks()) == 4)
        worker.terminate()
        assert worker.wait(30) == 0

    assert_one_task_each(near)
    for entry in entries:
        assert "attention" not in states_of(fresh(entry).remote_task)


@pytest.mark.long
def test_a_delivery_without_a_descriptor_for_postgresql_is_answered_503_and_later_ones_202(near: World) -> None:
    """The process that had none answers again, without a restart."""
    (port,) = choose_free_ports(1)
    env = environment()
    program = next(one for one in console_programs(env, host="127.0.0.1", port=port) if one.name == "web")
    with running([*program.argv, "--workers", "1"], {**env, **program.env}) as web:
        wait_long_for(lambda: status_of(port, "GET", "/healthz") == 200)  # which asks the database nothing
        (pid,) = children_of(web.pid)
        kept = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        kept.request("GET", "/healthz")
        kept.getresponse().read()
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (NO_MORE, hard))
        assert deliver(kept) == 503
        assert WebhookDelivery.objects.count() == 0

        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        wait_long_for(lambda: status_of(port, "GET", "/readyz") == 200)
        assert deliver(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) == 202
        assert WebhookDelivery.objects.count() == 1
        assert children_of(web.pid) == [pid]


def test_a_slow_database_hides_nothing_of_the_webs_health(near: World) -> None:
    """Every thread waits for a lock; whether the process lives, and is ready, is answered meanwhile."""
    (port,) = choose_free_ports(1)
    env = environment()
    program = next(one for one in console_programs(env, host="127.0.0.1", port=port) if one.name == "web")
    with running([*program.argv, "--workers", "1"], {**env, **program.env}), ThreadPoolExecutor(12) as senders:
        wait_long_for(lambda: status_of(port, "GET", "/readyz") == 200)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE sync_webhookdelivery IN ACCESS EXCLUSIVE MODE")
            raw = [body_of(name) for name in list(TABLE)[:12]]
            sent = [senders.submit(deliver, http.client.HTTPConnection("127.0.0.1", port), one) for one in raw]
            time.sleep(1)
            for path in ("/healthz", "/readyz") * 3:
                began = time.monotonic()
                assert status_of(port, "GET", path) == 200
                assert time.monotonic() - began < 1.5
            assert not any(one.done() for one in sent)
        assert {one.result() for one in sent} == {202}


def deliver(client: http.client.HTTPConnection, raw: bytes = b"") -> int:
    raw = raw or body_of(next(iter(TABLE)))
    headers = {"X-Taiga-Webhook-Signature": signature.sign(raw, settings.WEBHOOK_SECRET)}
    client.request("POST", "/webhooks/taiga", raw, {**headers, "Content-Type": "application/json"})
    return client.getresponse().status


def status_of(port: int, method: str, path: str) -> int:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        client.request(method, path)
        return client.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        client.close()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_seconds(pid: int) -> float:
    """What the process has used of a processor, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.long
@pytest.mark.parametrize("presses", [1, 2, 3])
def test_a_mail_in_flight_under_ctrl_c_leaves_once_and_asks_nobody(near: World, presses: int) -> None:
    """Once: it is finished. Three times: the worker goes at once, and the next one proves it."""
    invoice = ask(near, 0)
    near.fail("ninja", kind="delay", seconds=3, after=True, **EMAIL)

    with running_worker() as worker:
        ring(SEND)
        wait_long_for(lambda: len(near.mails()) == 1)
        for _press in range(presses):
            worker.send_signal(signal.SIGINT)
            time.sleep(0.3)
        assert worker.wait(30) == 1  # Celery calls it a failure; the console's own stop is SIGTERM

    assert fresh(invoice).state == ("sending" if presses == 3 else "sent")
    sweep_sendings()
    assert (fresh(invoice).state, near.mails()) == ("sent", ["billing@acme.example"])
    assert "attention" not in states_of(fresh(invoice))


@pytest.mark.long
@pytest.mark.parametrize("seconds", [3, 14], ids=["is finished", "takes longer than a stop and is proven"])
def test_a_mail_in_flight_under_ctrl_c_of_the_console_leaves_once(near: World, tmp_path: Path, seconds: int) -> None:
    invoice = ask(near, 0)
    near.fail("ninja", kind="delay", seconds=seconds, after=True, **EMAIL)

    with running_console(tmp_path / "var") as console:
        wait_long_for(lambda: len(near.mails()) == 1)
        began = time.monotonic()
        console.send_signal(signal.SIGINT)
        assert console.wait(30) == 0
        assert time.monotonic() - began < 15

    assert fresh(invoice).state == ("sent" if seconds == 3 else "sending")
    sweep_sendings()
    assert (fresh(invoice).state, near.mails()) == ("sent", ["billing@acme.example"])
    assert "attention" not in states_of(fresh(invoice))
