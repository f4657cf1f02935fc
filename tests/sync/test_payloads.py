"""Reading deliveries: the 30 that a running Taiga sent, and whatever else a sender can think of."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.payloads import Delivery, MalformedPayload, fingerprint, parse_body, read_delivery

FOLDER = Path(__file__).parents[1] / "data" / "taiga_deliveries"

# name → verdict, type, action, by, kind, item id, ref, project id
TABLE = {
    "01-test": ("test", "test", "test", "admin", "", None, None, None),
    "02-test-resent-from-log-keys-reordered": ("test", "test", "test", "admin", "", None, None, None),
    "03-task-create": ("work_item", "task", "create", "alice", "T", 1, 2, 1),
    "04-task-change-subject": ("work_item", "task", "change", "alice", "T", 1, 2, 1),
    "05-task-change-assigned": ("work_item", "task", "change", "alice", "T", 1, 2, 1),
    "06-task-change-custom-attributes-set-first-time": ("work_item", "task", "change", "alice", "T", 1, 2, 1),
    "07-task-change-custom-attributes-partial-patch-drops-others": (
        *("work_item", "task", "change", "alice", "T", 1, 2, 1),
    ),
    "08-task-change-status-closed": ("work_item", "task", "change", "alice", "T", 1, 2, 1),
    "09-task-change-status-reopened": ("work_item", "task", "change", "alice", "T", 1, 2, 1),
    "10-task-change-comment-only": ("work_item", "task", "change", "alice", "T", 1, 2, 1),
    "11-task-change-comment-EDITED-repeats-old-status-diff": ("work_item", "task", "change", "alice", "T", 1, 2, 1),
    "11b-task-change-closing-comment-edited-diff-says-Closed-data-says-In-progress": (
        *("work_item", "task", "change", "alice", "T", 49, 61, 1),
    ),
    "12-task-change-many-fields-description_diff-is-a-string": ("work_item", "task", "change", "alice", "T", 1, 2, 1),
    "13-task-change-number-attribute-sent-as-string": ("work_item", "task", "change", "alice", "T", 1, 2, 1),
    "14-task-delete-custom-attributes-null": ("work_item", "task", "delete", "alice", "T", 6, 8, 1),
    "15-task-change-moved-from-another-project": ("work_item", "task", "change", "admin", "T", 8, 3, 2),
    "16-userstory-change-custom-attributes": ("work_item", "userstory", "change", "alice", "U", 4, 13, 1),
    "17-userstory-change-closed": ("work_item", "userstory", "change", "alice", "U", 4, 13, 1),
    "18-userstory-status-closed-but-is_closed-false": ("work_item", "userstory", "change", "alice", "U", 9, 58, 1),
    "19-issue-change-closed": ("work_item", "issue", "change", "bob", "I", 1, 17, 1),
    "20-milestone-create": ("irrelevant", "milestone", "create", "admin", "", None, None, 1),
    "21-relateduserstory-create": ("irrelevant", "relateduserstory", "create", "admin", "", None, None, None),
    "22-epic-create": ("irrelevant", "epic", "create", "admin", "", None, None, 1),
    "23-wikipage-change": ("irrelevant", "wikipage", "change", "alice", "", None, None, 1),
    "24-project-delete-data-null": ("project_event", "project", "delete", "admin", "", None, None, None),
    "25-task-change-async-data-newer-than-diff": ("work_item", "task", "change", "alice", "T", 49, 61, 1),
    "26-task-change-by-integration-bot-echo": ("work_item", "task", "change", "integrbot", "T", 49, 61, 1),
    "27a-task-change-original": ("work_item", "task", "change", "alice", "T", 49, 61, 1),
    "27b-same-change-resent-from-log": ("work_item", "task", "change", "alice", "T", 49, 61, 1),
    "28-userstory-create-late-after-promotion": ("work_item", "userstory", "create", "alice", "U", 3, 12, 1),
}


def body_of(name: str) -> bytes:
    return base64.b64decode(json.loads((FOLDER / f"sample-{name}.json").read_text())["body_base64"])


def test_the_table_covers_every_observed_delivery():
    assert len(TABLE) == 30
    assert {path.stem.removeprefix("sample-") for path in FOLDER.glob("*.json")} == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_observed_deliveries_are_classified(name):
    verdict, event_type, action, username, kind, item_id, ref, project_id = TABLE[name]
    delivery = read_delivery(body_of(name))
    assert (delivery.verdict, delivery.type, delivery.action) == (verdict, event_type, action)
    assert delivery.by_username == username
    assert delivery.by_id is not None
    assert (delivery.kind, delivery.item_id, delivery.item_ref) == (kind, item_id, ref)
    assert delivery.project_id == project_id
    assert delivery.date is not None
    assert delivery.date.tzinfo is UTC


def test_one_delivery_field_by_field():
    assert read_delivery(body_of("03-task-create")) == Delivery(
        verdict="work_item",
        action="create",
        type="task",
        by_id=6,
        by_username="alice",
        date=datetime(2026, 11, 22, 7, 53, 15, 847000, tzinfo=UTC),
        kind="T",
        item_id=1,
        item_ref=2,
        subject="Implement payment form",
        project_id=1,
        project_name="Client Alpha",
        fingerprint=fingerprint(parse_body(body_of("03-task-create"))),
    )


def test_a_resend_has_other_bytes_and_the_same_fingerprint():
    for first, again in [
        ("01-test", "02-test-resent-from-log-keys-reordered"),
        ("27a-task-change-original", "27b-same-change-resent-from-log"),
    ]:
        assert body_of(first) != body_of(again)
        assert read_delivery(body_of(first)).fingerprint == read_delivery(body_of(again)).fingerprint


def test_the_other_deliveries_all_differ_in_fingerprint():
    fingerprints = {read_delivery(body_of(name)).fingerprint for name in TABLE}
    assert len(fingerprints) == 28


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (b'{"a": 1, "b": 2}', b'{"b":2,"a":1}', True),
        (b'{"a": "\\u00e9"}', '{"a": "é"}'.encode(), True),
        (b'{"a": 2.0}', b'{"a": 2}', False),
        (b'{"a": 1}', b'{"a": true}', False),
        (b'{"a": 1}', b'{"a": "1"}', False),
        (b'{"a": null}', b'{"a": "null"}', False),
        (b'{"a": null}', b'{"a": "None"}', False),
        (b'{"a": [1, 2]}', b'{"a": [2, 1]}', False),
        (b'{"a": [12]}', b'{"a": [1, 2]}', False),
        (b'{"a": 1.5}', b'{"a": "1.5"}', False),
        (b'{"a": {}}', b'{"a": []}', False),
    ],
)
def test_fingerprints_follow_json_equality_with_the_spelling_of_numbers(one, other, is_same):
    assert (fingerprint(parse_body(one)) == fingerprint(parse_body(other))) is is_same


@pytest.mark.parametrize(
    "value", [10**5000, -(10**5000), float("nan"), "\ud800", "\x00", {"\udfff": ["\x00"]}, ()], ids=range(7)
)
def test_fingerprints_of_odd_values_do_not_raise(value):
    assert len(fingerprint(value)) == 64


def test_fingerprint_of_a_bottomless_value_is_malformed():
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(MalformedPayload):
        fingerprint(value)


MALFORMED = [
    b"",
    b"   ",
    b"not json",
    b"[1]",
    b'"text"',
    b"1",
    b"null",
    b"true",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    '{"a": 1}'.encode("utf-16"),
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": -Infinity}',
    b'{"a": 1e99999999999999999999}',
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'{"a":' + b"[" * 150 + b"]" * 150 + b"}",
    b'{"type": "task", "data": {"id": ' + b"9" * 5000 + b"}}",
    b'{"a": "\x00"}',
    b'{"a": 1} trailing',
]


@pytest.mark.parametrize("raw", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_no_json_object_is_malformed(raw):
    with pytest.raises(MalformedPayload) as caught:
        read_delivery(raw)
    assert "JSON" in caught.value.sentence


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b'{"type": ["task"], "action": {"a": 1}, "by": [], "data": []}',
        b'{"type": "task", "data": null}',
        b'{"type": "task", "data": [1]}',
        b'{"type": "task", "data": {"id": "1"}}',
        b'{"type": "task", "data": {"id": true}}',
        b'{"type": "task", "data": {"id": 1.0}}',
        b'{"type": "task", "data": {"id": 0}}',
        b'{"type": "task", "data": {"id": -1}}',
        b'{"type": "task", "data": {"id": 9223372036854775808}}',
        b'{"type": "Task", "data": {"id": 1}}',
        b'{"type": "\\u0000", "data": {"id": 1}}',
        b'{"type": null}',
    ],
)
def test_objects_without_a_billable_item_are_irrelevant(raw):
    delivery = read_delivery(raw)
    assert (delivery.verdict, delivery.kind, delivery.item_id) == ("irrelevant", "", None)


def test_texts_are_made_storable_and_cut_to_their_columns():
    body = {
        "type": "task",
        "action": "change" * 10,
        "by": {"id": 2**63 - 1, "username": "a\x00\ud800b" + "x" * 300},
        "date": "yesterday",
        "data": {"id": 1, "ref": 2**63, "subject": "é" * 600, "project": {"id": 7, "name": ["no text"]}},
    }
    delivery = read_delivery(json.dumps(body).encode())
    assert delivery.verdict == "work_item"
    assert delivery.action == ("change" * 10)[:20]
    assert delivery.by_id == 2**63 - 1
    assert delivery.by_username == "a\ufffd\ufffdb" + "x" * 251
    assert delivery.date is None
    assert delivery.item_ref is None
    assert delivery.subject == "é" * 500
    assert (delivery.project_id, delivery.project_name) == (7, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T07:53:15.847Z", datetime(2026, 11, 22, 7, 53, 15, 847000, tzinfo=UTC)),
        ("2026-11-22T08:53:15+01:00", datetime(2026, 11, 22, 7, 53, 15, tzinfo=UTC)),
        ("2026-11-22T07:53:15", datetime(2026, 11, 22, 7, 53, 15, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("", None),
    ],
)
def test_dates_are_utc_or_none(text, expected):
    assert read_delivery(json.dumps({"date": text}).encode()).date == expected


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(["type", "action", "by", "date", "data", "change"])
VALUES = ANY_JSON | st.sampled_from(["task", "userstory", "issue", "project", "test", "2026-01-01T00:00:00Z"])
DATA = st.dictionaries(st.sampled_from(["id", "ref", "subject", "project", "username", "name"]), ANY_JSON, max_size=6)


@given(st.dictionaries(FIELDS, VALUES | DATA))
def test_any_json_object_is_classified_and_storable(body):
    raw = json.dumps(body).encode()
    try:
        delivery = read_delivery(raw)
    except MalformedPayload:
        assert b"NaN" in raw or b"Infinity" in raw
        return
    assert delivery.verdict in {"work_item", "test", "irrelevant", "project_event"}
    for text in (delivery.action, delivery.type, delivery.by_username, delivery.subject, delivery.project_name):
        assert "\x00" not in text
        text.encode("utf-8")
    if delivery.verdict == "work_item":
        assert delivery.kind in {"T", "U", "I"}
        assert delivery.item_id is not None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_delivery_or_malformed(raw):
    try:
        assert isinstance(read_delivery(raw), Delivery)
    except MalformedPayload:
        return


@given(st.dictionaries(st.text(), ANY_JSON))
def test_fingerprints_ignore_the_order_of_keys(body):
    assert fingerprint(body) == fingerprint(dict(reversed(body.items())))
