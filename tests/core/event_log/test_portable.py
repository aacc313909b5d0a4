"""Events as CloudEvents: out of a log and into another, the same."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core._fast.envelope import BYTES, ENCRYPTED, JSON, MSGPACK, Draft, Event
from core._fast.event_append import ANY, Append
from core._fast.event_store import EventStore
from core.event_log.errors import EventInvalid, ImportRefused
from core.event_log.portable import (
    AT_ONCE,
    Imported,
    decode_event,
    encode_event,
    format_time,
    import_lines,
    parse_time,
    source_of,
)

SOURCE = "urn:uuid:00000000-0000-0000-0000-000000000001"
NAME = st.text(st.characters(codec="utf-8", exclude_characters="\x1f"), min_size=1, max_size=30)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
DATA = st.one_of(
    st.tuples(st.just(BYTES), st.binary()),
    st.tuples(st.just(MSGPACK), VALUE.map(msgspec.msgpack.encode) | st.binary()),
    st.tuples(
        st.just(JSON), VALUE.map(msgspec.json.encode) | st.sampled_from([b'{"a": 1}', b"[1,\n2]", b" 1"])
    ),
)


def finished(draft: Draft, stream: str = "s") -> Event:
    return draft.finish(stream, 5, 3, 1_700_000_000_123_456_789)


@given(
    data=DATA,
    stream=NAME,
    type=NAME,
    actor=NAME | st.just(""),
    tags=st.lists(NAME, max_size=4),
    ids=st.tuples(st.uuids(), st.none() | st.uuids(), st.none() | st.uuids()),
    time_ns=st.integers(-(10**18), 10**19 - 10**18),
    sealed=st.booleans(),
    version=st.integers(1, 65535),
)
def test_comes_back_as_it_was(
    data: tuple[int, bytes], stream: str, type: str, actor: str, tags: list[str],
    ids: tuple[uuid.UUID, uuid.UUID | None, uuid.UUID | None], time_ns: int, sealed: bool, version: int,
) -> None:  # fmt: skip
    codec, text = data
    if not ids[0].int or (ids[1] and not ids[1].int) or (ids[2] and not ids[2].int):
        return
    time_ns = min(time_ns, 2**63 - 1)
    draft = Draft(
        type, text, codec=codec | ENCRYPTED * sealed, id=ids[0], schema_version=version, tags=tags,
        actor=actor, correlation_id=ids[1], causation_id=ids[2], time_ns=time_ns,
    )  # fmt: skip
    line = encode_event(finished(draft, stream), SOURCE)
    assert b"\n" not in line
    assert decode_event(line) == (stream, draft)


def test_is_a_cloud_event_by_the_letter() -> None:
    draft = Draft(
        "OrderPlaced",
        msgspec.msgpack.encode({"price": 37}),
        id=uuid.UUID(int=7),
        tags=("market:7", "a,b"),
        actor="user:1",
        correlation_id=uuid.UUID(int=8),
        causation_id=uuid.UUID(int=9),
    )
    event: dict[str, Any] = json.loads(encode_event(finished(draft, "market-7"), SOURCE))
    assert event == {
        "specversion": "1.0",
        "id": "00000000-0000-0000-0000-000000000007",
        "source": SOURCE,
        "type": "OrderPlaced",
        "subject": "market-7",
        "time": "2023-11-14T22:13:20.123456789Z",
        "datacontenttype": "application/vnd.msgpack",
        "position": "5",
        "streamversion": "3",
        "correlationid": "00000000-0000-0000-0000-000000000008",
        "causationid": "00000000-0000-0000-0000-000000000009",
        "actor": "user:1",
        "tags": '["market:7","a,b"]',
        "data": {"price": 37},
    }
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in event if name != "data_base64")


def test_what_json_cannot_hold_stands_in_base64() -> None:
    draft = Draft("T", msgspec.msgpack.encode({"raw": b"\xff"}))
    event = json.loads(encode_event(finished(draft), SOURCE))
    assert "data" not in event
    assert event["data_base64"] == "gaNyYXfEAf8="


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [(0, "1970-01-01T00:00:00.000000000Z"), (-1, "1969-12-31T23:59:59.999999999Z")],
)
def test_writes_times_to_the_nanosecond(time_ns: int, text: str) -> None:
    assert format_time(time_ns) == text
    assert parse_time(text) == time_ns


@pytest.mark.parametrize(
    "text", ["2023-11-14T22:13:20Z", "2023-11-14t23:13:20.0+01:00", "2023-11-14T22:13:20.000-00:00"]
)
def test_reads_times_of_others(text: str) -> None:
    assert parse_time(text) == 1_700_000_000 * 10**9


GOOD = {"specversion": "1.0", "id": str(uuid.UUID(int=1)), "source": "s", "type": "T", "subject": "a"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"specversion": "0.3"}, "version '0.3'"),
        ({"id": "7"}, "is no UUID"),
        ({"id": 7}, "Expected `str`, got `int`"),
        ({"type": ""}, "type is empty"),
        ({"subject": ""}, "its subject, which names the stream, has 1 to 400 bytes"),
        ({"subject": "ü" * 201}, "its subject"),
        ({"id": "00000000-0000-0000-0000-000000000000"}, "all zeros"),
        ({"datacontenttype": "text/plain"}, "'text/plain' cannot be stored"),
        ({"time": "yesterday"}, "is no time"),
        ({"time": "2023-13-01T00:00:00Z"}, "is no time"),
        ({"tags": "a,b"}, "no JSON array"),
        ({"data": 1, "data_base64": "AA=="}, "both data and data_base64"),
        ({"data_base64": "%"}, "base64"),
        ({"datacontenttype": "application/octet-stream", "data": 1}, "stand in data_base64"),
        ({"sealed": True, "data": 1}, "stand in data_base64"),
        ({"schemaversion": 0}, "schema version is 0"),
        ({"correlationid": "x"}, "correlationid 'x' is no UUID"),
    ],
)
def test_says_what_is_wrong_with_a_line(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(EventInvalid, match=re.escape(words)):
        decode_event(json.dumps(GOOD | changes).encode())


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'"x"', b"{}", b"\xff"])
def test_says_that_a_line_is_no_event(line: bytes) -> None:
    with pytest.raises(EventInvalid, match="no CloudEvent"):
        decode_event(line)


def test_takes_what_an_event_need_not_have_as_absent() -> None:
    stream, draft = decode_event(json.dumps(GOOD | {"data": {"a": 1}, "other": "x"}).encode())
    assert stream == "a"
    assert (draft.codec, draft.data, draft.tags, draft.time_ns) == (JSON, b'{"a": 1}', (), None)


# -- whole logs ----------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(str(tmp_path / "source")) as store:
        for number in range(2500):
            draft = Draft("T", msgspec.msgpack.encode(number), tags=(f"t:{number % 3}",))
            store.commit([Append([(f"s-{number % 7}", ANY, [draft])])])
            if number > 20:
                break
        drafts = [Draft("T", b"\xc0") for _ in range(2 * AT_ONCE)]
        store.commit([Append([("long", ANY, drafts)])])
        yield store


@pytest.fixture
def target(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(str(tmp_path / "target")) as store:
        yield store


def all_of(store: EventStore) -> list[Event]:
    return store.read(limit=10**6, max_bytes=1 << 30)


def lines_of(store: EventStore) -> list[bytes]:
    return [encode_event(event, source_of(store)) + b"\n" for event in all_of(store)]


def parts(store: EventStore) -> list[tuple[object, ...]]:
    return [
        (
            event.position,
            event.stream,
            event.version,
            event.id,
            event.time_ns,
            event.type,
            event.data,
            event.tags,
        )
        for event in all_of(store)
    ]


def test_a_whole_log_is_the_same_in_another(source: EventStore, target: EventStore) -> None:
    lines = lines_of(source)
    assert import_lines(target, lines) == Imported(added=len(lines))
    assert parts(target) == parts(source)
    assert target.identity != source.identity


def test_nothing_is_imported_twice(source: EventStore, target: EventStore) -> None:
    lines = lines_of(source)
    import_lines(target, lines[:1234])
    assert import_lines(target, lines) == Imported(added=len(lines) - 1234, repeated=1234)
    assert import_lines(target, lines) == Imported(repeated=len(lines))
    assert import_lines(target, lines[100:300]) == Imported(repeated=200)
    assert parts(target) == parts(source)


def test_a_line_given_twice_counts_once(source: EventStore, target: EventStore) -> None:
    lines = lines_of(source)[:30]
    assert import_lines(target, [*lines, lines[7], b"\n"]) == Imported(added=30, repeated=1)


@pytest.mark.parametrize("broken", [0, 5, AT_ONCE - 1, AT_ONCE, 2 * AT_ONCE - 3])
def test_stops_at_a_broken_line_and_goes_on_when_it_is_mended(
    source: EventStore, target: EventStore, broken: int
) -> None:
    lines = lines_of(source)
    with pytest.raises(ImportRefused) as refusal:
        import_lines(target, [*lines[:broken], b'{"id":\n', *lines[broken:]])
    assert (refusal.value.line, refusal.value.events) == (broken + 1, broken)
    assert target.last_position() == broken
    assert import_lines(target, lines).added == len(lines) - broken
    assert parts(target) == parts(source)


def test_stops_at_an_event_whose_id_another_has(source: EventStore, target: EventStore) -> None:
    lines = lines_of(source)
    taken = json.loads(lines[500])
    target.commit([Append([("elsewhere", ANY, [Draft("Other", b"", id=uuid.UUID(taken["id"]))])])])
    with pytest.raises(ImportRefused, match="is taken at position 1") as refusal:
        import_lines(target, lines)
    assert (refusal.value.line, refusal.value.events) == (501, 500)
    assert target.last_position() == 501


def test_tells_how_far_it_is(source: EventStore, target: EventStore) -> None:
    reports: list[int] = []
    lines = lines_of(source)
    import_lines(target, lines, reports.append)
    assert reports[-1] == len(lines)
    assert reports == sorted(reports)
