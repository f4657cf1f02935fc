"""Long imports: looked through by a worker, shown, and imported exactly so; all of them or nothing."""

from __future__ import annotations

import datetime as dt
import io
import time
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from openpyxl import Workbook

from mappings import import_jobs
from mappings.admin.rate_resource import MOST_ROWS
from mappings.importer import import_config
from mappings.models import ImportJob, ImportState, Person, Rate
from tests.people import browser_of, post

pytestmark = pytest.mark.django_db
PAGE = "/admin/mappings/configuration/"
MANY = 10  # more changes, with their people, than a page shows here
SHOWN = 12


def rates(count: int, amount: int = 50) -> str:
    """So many rates; MANY of them stand in a long file."""
    lines = "".join(
        f"- {{level: user, taiga_user_id: {number}, person: user{number}, amount: {amount}, currency: EUR}}\n"
        for number in range(1, count + 1)
    )
    remark = "  # " + "x" * import_jobs.LONG_BYTES if count >= MANY else ""
    return f"rates:{remark}\n{lines}"


def upload(browser: Browser, text: str, name: str = "rates.yaml") -> Any:
    return browser.post(PAGE, {"files": SimpleUploadedFile(name, text.encode())})


@pytest.fixture(autouse=True)
def short_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page shows few changes, so that a file of few is long."""
    monkeypatch.setattr(import_jobs, "SHOWN", SHOWN)


@pytest.fixture
def browser() -> Browser:
    return browser_of("administrator")


def asked(browser: Browser, text: str) -> ImportJob:
    """A job whose preview a worker made."""
    answer = upload(browser, text)
    assert answer.status_code == 302, answer.content[:500]
    job = ImportJob.objects.get()
    assert answer["Location"] == page_of(job)
    assert import_jobs.run_due() == 1
    job.refresh_from_db()
    return job


def page_of(job: ImportJob) -> str:
    return reverse("admin:mappings_import_job", args=[job.pk])


def said(browser: Browser, job: ImportJob) -> str:
    return browser.get(page_of(job)).content.decode()


def test_a_short_file_is_looked_through_at_once(browser: Browser) -> None:
    answer = upload(browser, rates(3))

    assert answer.status_code == 200
    assert "Import 6 changes" in answer.content.decode()
    assert not ImportJob.objects.exists()


def test_a_long_file_is_looked_through_then_imported_by_a_worker(browser: Browser) -> None:
    upload(browser, rates(MANY))
    job = ImportJob.objects.get()
    assert "A worker reads the files soon." in said(browser, job)
    assert 'hx-trigger="every 3s"' in said(browser, job)

    assert import_jobs.run_due() == 1

    assert not Rate.objects.exists()
    page = said(browser, job)
    assert f"Import {2 * MANY} changes" in page  # people and rates
    assert f"and {2 * MANY - SHOWN} more" in page
    assert page.count('<tr><th scope="row">') == SHOWN
    assert 'hx-trigger="every 3s"' not in page

    assert post(browser, page_of(job)).status_code == 302
    assert not Rate.objects.exists()
    assert "A worker reads the files soon." in said(browser, job)
    assert import_jobs.run_due() == 1

    assert Rate.objects.count() == MANY
    job.refresh_from_db()
    assert (job.state, job.report["added"], job.sentence) == (ImportState.DONE, 2 * MANY, "")
    history = Rate.history.first()
    assert (history.history_user.username, history.history_change_reason) == ("administrator", "rates.yaml")
    assert import_jobs.run_due() == 0


def test_what_changed_since_the_preview_is_shown_again_and_not_imported(browser: Browser) -> None:
    job = asked(browser, rates(MANY))
    person = Person.objects.create(taiga_user_id=7, username="user7")
    Rate.objects.create(level="user", person=person, amount=Decimal(50), currency="EUR")

    post(browser, page_of(job))
    import_jobs.run_due()

    assert Rate.objects.count() == 1
    job.refresh_from_db()
    assert (job.state, job.is_trial) == (ImportState.PREVIEWED, True)
    page = said(browser, job)
    assert "Something changed meanwhile, so nothing was imported. Look at it again." in page
    assert f"Import {2 * MANY - 2} changes" in page
    post(browser, page_of(job))
    import_jobs.run_due()
    assert Rate.objects.count() == MANY


def test_mistakes_are_named_and_nothing_is_imported(browser: Browser) -> None:
    job = asked(browser, rates(MANY) + "- {level: user, amount: 5}\n" * (SHOWN + 5))

    assert job.state == ImportState.FAULTY
    page = said(browser, job)
    assert f"rates.yaml, line {MANY + 2}" in page
    assert "and 5 more" in page
    assert "changes</button>" not in page
    assert post(browser, page_of(job), follow=True).status_code == 200
    assert import_jobs.run_due() == 0


def test_a_second_click_and_an_old_page_do_nothing(browser: Browser) -> None:
    job = asked(browser, rates(MANY))
    old = browser.get(page_of(job)).content.decode().partition('name="shown" value="')[2].partition('"')[0]
    browser.post(page_of(job), {"shown": old})
    import_jobs.run_due()

    answer = browser.post(page_of(job), {"shown": old}, follow=True)

    assert "State was “Looked through” and is “Imported” now" in answer.content.decode()
    assert import_jobs.run_due() == 0
    assert Rate.history.count() == MANY


def test_it_is_for_administrators(browser: Browser) -> None:
    job = asked(browser, rates(MANY))
    for group in ("viewer", "clerk", "approver"):
        other = browser_of(group)
        assert (other.get(page_of(job)).status_code, other.post(page_of(job)).status_code) == (403, 403)
    job.refresh_from_db()
    assert job.state == ImportState.PREVIEWED


@pytest.mark.parametrize(("silent", "is_taken"), [(dt.timedelta(minutes=3), True), (dt.timedelta(seconds=30), False)])
def test_the_work_of_a_dead_worker_is_done_by_another(browser: Browser, silent: dt.timedelta, is_taken: bool) -> None:
    upload(browser, rates(MANY))
    ImportJob.objects.update(state=ImportState.RUNNING, claim="0" * 32, told_at=timezone.now() - silent)

    assert import_jobs.run_due() == int(is_taken)
    assert ImportJob.objects.get().state == (ImportState.PREVIEWED if is_taken else ImportState.RUNNING)


def test_a_worker_that_was_taken_for_dead_imports_nothing(browser: Browser) -> None:
    job = asked(browser, rates(MANY))
    post(browser, page_of(job))
    taken = import_jobs._claim()
    assert taken is not None
    ImportJob.objects.update(claim="1" * 32)  # another worker has it by now

    import_jobs._run(taken)

    assert not Rate.objects.exists()
    assert ImportJob.objects.get().state == ImportState.RUNNING


def test_how_far_it_is_is_told_one_thing_after_the_other() -> None:
    told: list[tuple[int, int]] = []
    import_config([("rates.yaml", rates(50))], is_dry_run=True, tell=lambda done, total: told.append((done, total)))
    assert told == [(number, 50) for number in range(50)]


def test_each_rate_costs_the_same_number_of_queries() -> None:
    def queries(count: int) -> int:
        with CaptureQueriesContext(connection) as context:
            import_config([("rates.yaml", rates(count))], is_dry_run=True)
        return len(context)

    first, second, third = queries(10), queries(20), queries(40)
    assert third - second == 2 * (second - first)


def test_old_imports_are_thrown_away(browser: Browser) -> None:
    upload(browser, rates(MANY))
    ImportJob.objects.update(asked_at=timezone.now() - dt.timedelta(days=31))
    upload(browser, rates(MANY))
    assert ImportJob.objects.count() == 1


# --- rates as CSV and XLSX --------------------------------------------------------------------------------------------


def table(count: int, kind: str) -> SimpleUploadedFile:
    header, row = ["level", "person", "amount", "currency"], ["user", "alice", "50", "EUR"]
    if kind == "csv":
        text = "\n".join(",".join(cells) for cells in [header, *[row] * count]) + "\n"
        return SimpleUploadedFile("rates.csv", text.encode())
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for cells in [header, *[row] * count]:
        sheet.append(cells)
    file = io.BytesIO()
    book.save(file)
    return SimpleUploadedFile("rates.xlsx", file.getvalue())


@pytest.mark.parametrize(("number", "kind"), [(0, "csv"), (1, "xlsx")])
def test_a_table_that_is_too_long_is_refused_at_once(browser: Browser, number: int, kind: str) -> None:
    form = {"import_file": table(20_000, kind), "format": str(number)}
    began = time.process_time()

    answer = browser.post("/admin/mappings/rate/import/", form)

    assert time.process_time() - began < 5
    assert f"More than {MOST_ROWS} rows. Write them as YAML or JSON" in answer.content.decode()


@pytest.mark.parametrize(("number", "kind"), [(0, "csv"), (1, "xlsx")])
def test_a_short_table_is_read(browser: Browser, number: int, kind: str) -> None:
    Person.objects.create(taiga_user_id=6, username="alice")
    form = {"import_file": table(1, kind), "format": str(number)}

    answer = browser.post("/admin/mappings/rate/import/", form)

    assert [row.import_type for row in answer.context["result"].rows] == ["new"]
