"""The Taiga client against the stand-in: success, every error, every trap of its methods."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing_console import errors
from sync.clients import taiga as taiga_module
from sync.clients.taiga_auth import authorization_value, fixed_authorization
from sync.clients.taiga_parse import expiry_of
from tests.sync.clients.standins import PASSWORD

BILLABLE, HOURS, STATUS = "Billable", "Duration (Hours)", "Invoice Status"


def ids_of(world, kind="task"):
    return {name: str(number) for name, number in world.attributes[kind].items()}


# --- Logging in ---


def test_a_login_gives_tokens_their_end_and_the_user(taiga):
    session = taiga.anonymous().log_in("bot", PASSWORD)
    assert session.user_id == taiga.users["bot"]
    assert session.expires_at is not None
    assert session.expires_at.tzinfo is UTC
    assert session.auth_token not in repr(session)
    assert session.refresh not in repr(session)
    assert expiry_of(session.auth_token) == session.expires_at


def test_a_wrong_password_is_unauthorized(taiga):
    with pytest.raises(errors.Unauthorized) as caught:
        taiga.anonymous().log_in("bot", "wrong-password")
    assert "wrong-password" not in repr(caught.value) + caught.value.body_excerpt


def test_a_refresh_token_works_once(taiga):
    client = taiga.anonymous()
    first = client.log_in("bot", PASSWORD)
    second = client.refresh(first.refresh)
    assert second.auth_token
    assert second.user_id is None
    with pytest.raises(errors.Unauthorized):
        client.refresh(first.refresh)


def test_a_new_login_is_asked_for_once_when_the_token_has_expired(taiga):
    taiga.clock.set(datetime(2025, 12, 1, 8, tzinfo=UTC))
    logins = []

    def authorization(refused):
        if not logins or logins[-1] == refused:
            logins.append(authorization_value(taiga.anonymous().log_in("bot", PASSWORD).auth_token))
        return logins[-1]

    client = taiga.anonymous(authorization=authorization)
    assert client.me().username == "bot"
    taiga.clock.set(datetime(2025, 12, 1, 8, tzinfo=UTC) + timedelta(hours=25))
    assert client.me().username == "bot"
    assert client.me().username == "bot"
    assert len(logins) == 2


def test_a_write_refused_for_its_token_is_repeated_once_with_a_new_one(taiga):
    task = taiga.add_task()
    tokens = iter(["expired", taiga.anonymous().log_in("bot", PASSWORD).auth_token])
    held = {"value": ""}

    def authorization(refused):
        if not held["value"] or refused == held["value"]:
            held["value"] = authorization_value(next(tokens))
        return held["value"]

    client = taiga.anonymous(authorization=authorization)
    answer = client.patch_values("T", task["id"], {ids_of(taiga)[BILLABLE]: True}, 1)
    assert answer.version == 2


def test_a_refused_token_that_is_not_renewed_is_unauthorized(taiga):
    calls = []
    client = taiga.anonymous(calls, authorization=fixed_authorization("no-such-token"))
    with pytest.raises(errors.Unauthorized):
        client.me()
    assert len(calls) == 1


def test_without_authorization_nothing_is_sent(taiga):
    calls = []
    with pytest.raises(errors.Unauthorized):
        taiga.anonymous(calls).projects()
    assert calls == []


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("abc", "Bearer abc"),
        ("Bearer abc", "Bearer abc"),
        ("bearer abc ", "Bearer abc"),
        ("Application abc", "Application abc"),
        ("application  abc", "Application abc"),
        ("Bearer", "Bearer Bearer"),
    ],
)
def test_a_token_is_taken_as_it_is_typed(typed, value):
    assert authorization_value(typed) == value


# --- Projects ---


def test_projects_of_a_member_and_one_alone(taiga):
    client = taiga.client()
    (project,) = client.projects(member=taiga.users["bot"])
    assert (project.id, project.name, project.is_archived, project.is_blocked) == (
        taiga.project_id,
        "Website",
        False,
        False,
    )
    alone = client.project(taiga.project_id)
    assert (alone.name, alone.slug, alone.is_admin) == ("Website", project.slug, True)
    assert taiga.client("alice").project(taiga.project_id).is_admin is False


def test_a_project_that_is_not_there_is_not_found(taiga):
    with pytest.raises(errors.NotFound):
        taiga.client().project(999)


def test_an_empty_id_never_becomes_the_list(taiga):
    with pytest.raises(ValueError, match="id is missing"):
        taiga.client().project("")


def test_memberships_name_people_and_mail_only_for_admins(taiga):
    people = {row.full_name: row for row in taiga.client().memberships(taiga.project_id)}
    assert people["Alice"].user_id == taiga.users["alice"]
    assert people["Alice"].email == "alice@example.test"
    assert people["Bot"].is_admin
    assert {row.email for row in taiga.client("alice").memberships(taiga.project_id)} == {""}


def test_custom_attributes_are_listed_and_made_per_kind(taiga):
    client = taiga.client()
    for kind, name in [("T", "task"), ("U", "userstory"), ("I", "issue")]:
        found = client.custom_attributes(kind, taiga.project_id)
        assert {row.name: row.id for row in found} == taiga.attributes[name]
        assert {row.kind for row in found} == {kind}
    made = client.create_custom_attribute(
        "T", taiga.project_id, "State", "dropdown", "by the console", ["Pending Invoice", "Invoiced"], 7
    )
    assert (made.name, made.type, made.description, made.options, made.order) == (
        *("State", "dropdown", "by the console", ("Pending Invoice", "Invoiced"), 7),
    )
    assert made in client.custom_attributes("T", taiga.project_id)


def test_an_attribute_of_the_same_name_is_rejected_by_field(taiga):
    with pytest.raises(errors.Rejected) as caught:
        taiga.client().create_custom_attribute("T", taiga.project_id, BILLABLE, "checkbox")
    assert caught.value.fields["name"] == ["Already exists one with the same name."]


def test_a_member_may_not_make_attributes(taiga):
    with pytest.raises(errors.Forbidden):
        taiga.client("alice").create_custom_attribute("T", taiga.project_id, "Mine", "text")


def test_an_unknown_kind_is_a_mistake_of_ours(taiga):
    with pytest.raises(ValueError, match="'X' is no kind"):
        taiga.client().item("X", 1)


# --- Items ---


def test_a_task_is_read_with_all_that_bills_it(taiga):
    taiga.clock.set(datetime(2025, 12, 1, 14, 30, tzinfo=UTC))
    task = taiga.add_task(
        "Payment", status=taiga.statuses["Closed"], assigned_to=taiga.users["alice"], tags=["billing"]
    )
    item = taiga.client().item("T", task["id"])
    assert (item.kind, item.id, item.ref, item.version) == ("T", task["id"], task["ref"], 1)
    assert (item.subject, item.project_id, item.project_name) == ("Payment", taiga.project_id, "Website")
    assert (item.is_closed, item.is_status_closed, item.status_name) == (True, True, "Closed")
    assert item.finished_at == datetime(2025, 12, 1, 14, 30, tzinfo=UTC)
    assert (item.assigned_to_id, item.assigned_to_username) == (taiga.users["alice"], "alice")
    assert (item.user_story_id, item.user_story_subject) == (taiga.story_id, "Checkout")
    assert item.tags == ("billing",)


def test_stories_and_issues_are_read_too(taiga):
    client = taiga.client()
    story = client.item("U", taiga.story_id)
    assert (story.kind, story.subject, story.is_closed, story.finished_at) == ("U", "Checkout", False, None)
    issue = taiga.do("POST", "/issues", {"project": taiga.project_id, "subject": "Bug"})
    assert client.item("I", issue["id"]).subject == "Bug"


def test_a_deleted_item_is_not_found_and_a_foreign_one_forbidden(taiga):
    task = taiga.add_task()
    with pytest.raises(errors.Forbidden):
        taiga.client("outsider").item("T", task["id"])
    taiga.do("DELETE", f"/tasks/{task['id']}")
    with pytest.raises(errors.NotFound):
        taiga.client().item("T", task["id"])


def test_a_wrong_address_is_not_taken_for_a_deleted_item(taiga):
    client = taiga_module.TaigaClient(
        f"{taiga.app.url}/wrong", authorization=fixed_authorization("any"), allow_http=True
    )
    with pytest.raises(errors.NotJson):
        client.item("T", 1)


def test_items_come_over_all_pages_each_once(taiga, monkeypatch):
    monkeypatch.setattr(taiga_module, "PAGE_SIZE", 3)
    wanted = [taiga.add_task(f"Task {number}")["id"] for number in range(8)]
    calls = []
    found = [item.id for item in taiga.client(calls=calls).items("T", taiga.project_id)]
    assert sorted(found) == wanted
    assert len(calls) == 5  # three pages; the row that ended each but the last one is asked for once more


def test_items_are_filtered_by_what_taiga_knows(taiga):
    taiga.add_task("open")
    closed = taiga.add_task("closed", status=taiga.statuses["Closed"])
    found = list(taiga.client().items("T", taiga.project_id, status__is_closed=True))
    assert [item.id for item in found] == [closed["id"]]


def test_a_row_deleted_between_pages_is_noticed(taiga, monkeypatch):
    monkeypatch.setattr(taiga_module, "PAGE_SIZE", 2)
    tasks = [taiga.add_task(f"Task {number}") for number in range(4)]
    found = taiga.client().items("T", taiga.project_id)
    first = next(found)
    taiga.do("DELETE", f"/tasks/{first.id}")
    with pytest.raises(errors.ListChanged):
        list(found)
    assert len(tasks) == 4


# --- Attribute values ---


def test_values_start_empty_and_are_replaced_as_a_whole(taiga):
    client, task, ids = taiga.client(), taiga.add_task(), ids_of(taiga)
    empty = client.values("T", task["id"])
    assert (empty.item_id, empty.values, empty.version) == (task["id"], {}, 1)
    full = {ids[BILLABLE]: True, ids[HOURS]: Decimal("2.50"), ids[STATUS]: "Pending Invoice"}
    assert client.patch_values("T", task["id"], full, 1).version == 2
    read = client.values("T", task["id"])
    assert read.values == {ids[BILLABLE]: True, ids[HOURS]: Decimal("2.5"), ids[STATUS]: "Pending Invoice"}
    assert isinstance(read.values[ids[HOURS]], Decimal)
    client.patch_values("T", task["id"], {ids[STATUS]: "Invoiced"}, 2)
    assert client.values("T", task["id"]).values == {ids[STATUS]: "Invoiced"}


def test_the_version_of_values_is_no_lock_and_shows_a_write_in_between(taiga):
    client, task, ids = taiga.client(), taiga.add_task(), ids_of(taiga)
    read = client.values("T", task["id"])
    path = f"/tasks/custom-attributes-values/{task['id']}"
    taiga.do("PATCH", path, {"attributes_values": {ids[HOURS]: 3}, "version": read.version})
    written = client.patch_values("T", task["id"], {ids[STATUS]: "Invoiced"}, read.version)
    assert written.version == read.version + 2
    assert client.values("T", task["id"]).values == {ids[STATUS]: "Invoiced"}


def test_odd_values_keep_their_digits_on_the_way_there_and_back(taiga):
    client, task, ids = taiga.client(), taiga.add_task(), ids_of(taiga)
    path = f"/tasks/custom-attributes-values/{task['id']}"
    taiga.do("PATCH", path, {"attributes_values": {ids[HOURS]: Decimal("1E+300")}, "version": 1})
    read = client.values("T", task["id"])
    client.patch_values("T", task["id"], {**read.values, ids[STATUS]: "Invoiced"}, read.version)
    assert client.values("T", task["id"]).values[ids[HOURS]] == Decimal("1E+300")


def test_a_version_of_the_future_and_an_unknown_attribute_are_rejected_by_field(taiga):
    client, task, ids = taiga.client(), taiga.add_task(), ids_of(taiga)
    with pytest.raises(errors.Rejected) as caught:
        client.patch_values("T", task["id"], {ids[BILLABLE]: True}, 99)
    assert type(caught.value) is errors.Rejected
    assert caught.value.fields == {"version": ["The version parameter is not valid"]}
    with pytest.raises(errors.Rejected) as caught:
        client.patch_values("T", task["id"], {"99999": True}, 1)
    assert caught.value.fields == {"attributes_values": ["It contains invalid custom fields."]}


@pytest.mark.parametrize("values", [{}, {"Billable": True}, {"1": "a\x00b"}, {"": 1}, {"²": 1}])
def test_values_that_break_taiga_are_not_sent(taiga, values):
    calls = []
    with pytest.raises(ValueError, match=r"empty|by name|NUL"):
        taiga.client(calls=calls).patch_values("T", 1, values, 1)
    assert calls == []


def test_values_of_a_task_without_a_story_are_saved_although_the_answer_is_a_fault(taiga):
    taiga.add_hook()
    with pytest.raises(errors.ServerFault):
        taiga.add_task("Alone", user_story=None)
    client, ids = taiga.client(), ids_of(taiga)
    (task,) = client.items("T", taiga.project_id)
    with pytest.raises(errors.ServerFault) as caught:
        client.patch_values("T", task.id, {ids[BILLABLE]: True}, 1)
    assert caught.value.is_outcome_unknown
    assert client.values("T", task.id).values == {ids[BILLABLE]: True}


def test_a_stale_version_of_a_task_is_a_conflict():
    answer = taiga_module.Answer(
        request=None,  # type: ignore[arg-type]
        status=400,
        headers={},
        text="",
        data={"version": "The version doesn't match with the current one"},
    )
    assert taiga_module.classify(answer) is errors.VersionConflict


# --- What happened ---


def test_the_timeline_tells_all_kinds_and_tasks_without_a_story(taiga):
    task = taiga.add_task("With story")
    taiga.add_task("Alone", user_story=None)
    path = f"/tasks/custom-attributes-values/{task['id']}"
    taiga.do("PATCH", path, {"attributes_values": {ids_of(taiga)[HOURS]: 2}, "version": 1})
    taiga.do("DELETE", f"/tasks/{task['id']}")
    page = taiga.client().timeline(taiga.project_id, page_size=50)
    events = [(entry.kind, entry.action, entry.item_subject) for entry in page.entries if entry.kind == "T"]
    assert events == [
        ("T", "delete", "With story"),
        ("T", "change", "With story"),
        ("T", "create", "Alone"),
        ("T", "create", "With story"),
    ]
    newest = page.entries[0]
    assert (newest.item_id, newest.item_ref, newest.username) == (task["id"], task["ref"], "alice")
    assert (newest.project_id, newest.user_id) == (taiga.project_id, taiga.users["alice"])
    assert page.total == len(page.entries)
    assert not page.has_next
    times = [entry.created_at for entry in page.entries]
    assert times == sorted(times, reverse=True)


def test_the_timeline_has_pages_and_an_end(taiga):
    for number in range(3):
        taiga.add_task(f"Task {number}")
    client = taiga.client()
    first = client.timeline(taiga.project_id, page=1, page_size=2)
    assert (len(first.entries), first.has_next) == (2, True)
    assert first.total >= 3
    past = client.timeline(taiga.project_id, page=99, page_size=2)
    assert (past.entries, past.has_next) == ((), False)


def test_history_is_newest_first_over_all_pages(taiga, monkeypatch):
    monkeypatch.setattr(taiga_module, "PAGE_SIZE", 2)
    task, ids = taiga.add_task(), ids_of(taiga)
    path = f"/tasks/custom-attributes-values/{task['id']}"
    for version in range(1, 6):
        taiga.do("PATCH", path, {"attributes_values": {ids[HOURS]: version}, "version": version})
    calls = []
    client = taiga.client(calls=calls)
    entries = list(client.history("T", task["id"]))
    assert [entry.action for entry in entries] == ["change"] * 5
    assert entries[0].username == "alice"
    assert entries[0].user_id == taiga.users["alice"]
    changed = entries[0].values_diff["custom_attributes"]["changed"][0]
    assert (changed["name"], changed["changes"]["value"]) == (HOURS, [4, 5])
    assert len(calls) == 3
    next(client.history("T", task["id"]))
    assert len(calls) == 4


def test_history_of_a_deleted_item_is_not_found(taiga):
    task = taiga.add_task()
    taiga.do("DELETE", f"/tasks/{task['id']}")
    with pytest.raises(errors.NotFound):
        list(taiga.client().history("T", task["id"]))


def test_the_csv_needs_only_its_uuid(taiga):
    task, ids = taiga.add_task("Payment", status=taiga.statuses["Closed"]), ids_of(taiga)
    path = f"/tasks/custom-attributes-values/{task['id']}"
    values = {ids[BILLABLE]: True, ids[HOURS]: Decimal("2.5")}
    taiga.do("PATCH", path, {"attributes_values": values, "version": 1})
    client = taiga.client()
    assert client.project(taiga.project_id).csv_uuids.get("T") is None
    uuid = client.make_csv_uuid("T", taiga.project_id)
    assert client.project(taiga.project_id).csv_uuids["T"] == uuid
    calls = []
    (row,) = taiga.anonymous(calls).csv_rows("T", uuid)
    assert (row["id"], row["subject"], row["is_closed"]) == (str(task["id"]), "Payment", "True")
    assert (row[BILLABLE], row[HOURS], row[STATUS]) == ("True", "2.5", "")
    assert uuid not in repr(calls)


def test_a_wrong_csv_uuid_is_not_found(taiga):
    with pytest.raises(errors.NotFound) as caught:
        taiga.anonymous().csv_rows("T", "deadbeef")
    assert "deadbeef" not in repr(caught.value) + caught.value.sentence


# --- Webhooks ---


def test_a_webhook_is_made_tested_and_logged(taiga):
    client = taiga.client()
    hook = client.create_webhook(taiga.project_id, "Console", "http://127.0.0.1:9/hook", "webhook-key")
    assert (hook.name, hook.url, hook.key, hook.project_id) == (
        *("Console", "http://127.0.0.1:9/hook", "webhook-key", taiga.project_id),
    )
    assert "webhook-key" not in repr(hook)
    assert client.webhooks(taiga.project_id) == [hook]
    log = client.test_webhook(hook.id)
    assert (log.webhook_id, log.status) == (hook.id, 0)
    assert [row.id for row in client.webhook_logs(hook.id)] == [log.id]


def test_a_member_sees_no_webhooks_and_makes_none(taiga):
    taiga.client().create_webhook(taiga.project_id, "Console", "http://127.0.0.1:9/hook", "webhook-key")
    client = taiga.client("alice")
    assert client.webhooks(taiga.project_id) == []
    with pytest.raises(errors.Forbidden):
        client.create_webhook(taiga.project_id, "Mine", "http://127.0.0.1:9/hook", "key")
    with pytest.raises(errors.NotFound):
        client.test_webhook(1)


def test_a_webhook_without_a_key_is_rejected_by_field(taiga):
    with pytest.raises(errors.Rejected) as caught:
        taiga.client().create_webhook(taiga.project_id, "Console", "http://127.0.0.1:9/hook", "")
    assert list(caught.value.fields) == ["key"]


# --- Faults ---

WRITE = {"method": "PATCH", "path": "custom-attributes-values"}


@pytest.mark.parametrize(
    ("fault", "kind", "is_outcome_unknown", "is_done"),
    [
        ({"kind": "status", "status": 500}, errors.ServerFault, True, False),
        ({"kind": "status", "status": 500, "after": True}, errors.ServerFault, True, True),
        ({"kind": "status", "status": 503}, errors.Maintenance, False, False),
        ({"kind": "status", "status": 451}, errors.Blocked, False, False),
        ({"kind": "status", "status": 429, "wait_seconds": 57}, errors.Throttled, False, False),
        ({"kind": "lost_answer"}, errors.OutcomeUnknown, True, True),
        ({"kind": "refused"}, errors.OutcomeUnknown, True, False),
        ({"kind": "html"}, errors.NotJson, True, False),
        ({"kind": "redirect"}, errors.Redirected, True, False),
        ({"kind": "delay", "seconds": 0.8, "after": True}, errors.DeadlineExceeded, True, True),
    ],
    ids=lambda value: value.get("kind") if isinstance(value, dict) else None,
)
def test_each_fault_is_its_own_error(taiga, fault, kind, is_outcome_unknown, is_done):
    task, ids = taiga.add_task(), ids_of(taiga)
    client = taiga.client(deadline_seconds=0.5)
    taiga.app.faults.add({**WRITE, **fault})
    with pytest.raises(errors.UpstreamError) as caught:
        client.patch_values("T", task["id"], {ids[BILLABLE]: True}, 1)
    assert type(caught.value) is kind
    assert caught.value.is_outcome_unknown is is_outcome_unknown
    if kind is errors.Throttled:
        assert caught.value.wait_seconds == 57
    done = client.values("T", task["id"]).values == {ids[BILLABLE]: True}
    assert done is is_done
