"""What may stand in an event, and the ids made for events."""

from __future__ import annotations

import os
import threading
import time
import uuid
from enum import StrEnum
from itertools import pairwise
from typing import Any

import pytest

import core._fast.event_parts
from core._fast.envelope import BYTES, DATA_LIMIT, ENCRYPTED, JSON, MSGPACK, NAME_LIMIT, TAG_LIMIT, Draft
from core._fast.event_parts import make_id
from core.event_log.errors import EventInvalid

ID = bytes(range(1, 17))


def test_is_the_compiled_module() -> None:
    assert core._fast.event_parts.__file__.endswith(".so")


def test_an_id_is_a_uuid_of_version_7_with_the_time_of_its_making() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(bytes=make_id())
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= after + 1  # one made in a hurry may stand a little ahead


def test_each_id_is_greater_than_the_one_before() -> None:
    made = [make_id() for _ in range(50_000)]
    assert all(earlier < later for earlier, later in pairwise(made))


def test_ids_made_by_several_threads_are_all_different() -> None:
    made: list[list[bytes]] = [[] for _ in range(4)]

    def fill(mine: list[bytes]) -> None:
        for _ in range(5_000):
            mine.append(make_id())  # noqa: PERF401  one at a time, so that threads take turns

    threads = [threading.Thread(target=fill, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one for mine in made for one in mine}) == 20_000
    assert all(mine == sorted(mine) for mine in made)


def test_a_forked_child_makes_other_ids() -> None:
    make_id()
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writable, make_id())
        os._exit(0)
    os.waitpid(child, 0)
    with os.fdopen(readable, "rb") as pipe:
        os.close(writable)
        # The random halves differ, though both may be made in the same instant.
        assert pipe.read()[8:] != make_id()[8:]


WRONG_TYPES: dict[str, tuple[dict[str, Any], str]] = {
    "type": ({"type": b"Placed"}, "the event's type is a str, not bytes"),
    "no type": ({"type": None}, "the event's type is a str, not NoneType"),
    "data": ({"data": "{}"}, "expected bytes, got str"),
    "no data": ({"data": None}, "expected bytes, got NoneType"),
    "actor": ({"actor": 7}, "the actor is a str, not int"),
    "one tag": ({"tags": "market:7"}, "tags are a tuple of str, not one str"),
    "a tag": ({"tags": ("a", 7)}, "a tag is a str, not int"),
    "tags": ({"tags": 7}, "'int' object is not iterable"),
    "codec": ({"codec": "json"}, "the codec is an int, not str"),
    "schema version": ({"schema_version": "1"}, "the schema version is an int, not str"),
    "time": ({"time_ns": 1.5}, "time_ns is an int, not float"),
    "id": ({"id": str(uuid.UUID(bytes=ID))}, "the event's id is 16 bytes or a UUID, not str"),
    "correlation": ({"correlation_id": 5}, "the correlation id is 16 bytes or a UUID, not int"),
    "causation": ({"causation_id": bytearray(16)}, "the causation id is 16 bytes or a UUID, not bytearray"),
}
WRONG_VALUES: dict[str, tuple[dict[str, Any], str]] = {
    "empty type": ({"type": ""}, "the event's type is empty"),
    "long type": ({"type": "x" * 401}, "the event's type has 401 bytes of UTF-8; it may have 400"),
    "long type in UTF-8": ({"type": "é" * 201}, "the event's type has 402 bytes"),
    "type not UTF-8": ({"type": "\ud800"}, "the event's type cannot be written as UTF-8: surrogates"),
    "long actor": ({"actor": "x" * 401}, "the actor has 401 bytes of UTF-8; it may have 400"),
    "empty tag": ({"tags": ["a", ""]}, "a tag is empty"),
    "long tag": ({"tags": ["x" * 401]}, "a tag has 401 bytes of UTF-8; it may have 400"),
    "two tags in one": ({"tags": ["a\x1fb"]}, r"a tag holds U\+001F, which stands between tags: 'a\\x1fb'"),
    "many tags": ({"tags": [str(n) for n in range(256)]}, "an event has 256 tags; it may have 255"),
    "much of tags": ({"tags": [f"{n:0400}" for n in range(164)]}, "65763 bytes .* may have 65535"),
    "much data": ({"data": bytes(DATA_LIMIT + 1)}, "the data has 16777217 bytes; it may have 16777216"),
    "codec": ({"codec": 3}, "the codec is 3; it is BYTES, MSGPACK or JSON"),
    "encrypted codec": ({"codec": 131}, "the codec is 131; it is BYTES"),
    "large codec": ({"codec": 256}, "the codec is 256; it must be from 0 to 255"),
    "schema version 0": ({"schema_version": 0}, "the schema version is 0; it must be from 1 to 65535"),
    "large schema version": ({"schema_version": 65536}, "is 65536; it must be from 1 to 65535"),
    "huge schema version": ({"schema_version": 1 << 80}, "must be from 1 to 65535"),
    "time": ({"time_ns": 1 << 63}, "time_ns is 9223372036854775808; it must be from"),
    "time that stands for none": ({"time_ns": -1 << 63}, "time_ns is -9223372036854775808; it must be from"),
    "short id": ({"id": bytes(15)}, "the event's id is 16 bytes long, not 15"),
    "long id": ({"correlation_id": bytes(17)}, "the correlation id is 16 bytes long, not 17"),
    "zero id": ({"id": bytes(16)}, "the event's id is all zeros, which stands for none"),
    "nil UUID": ({"causation_id": uuid.UUID(int=0)}, "the causation id is all zeros"),
}


@pytest.mark.parametrize(("given", "told"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_refuses_a_wrong_type_and_names_it(given: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        Draft(**{"type": "Placed", "data": b"", **given})


@pytest.mark.parametrize(("given", "told"), WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_refuses_a_wrong_value_and_names_its_limit(given: dict[str, Any], told: str) -> None:
    with pytest.raises(EventInvalid, match=told):
        Draft(**{"type": "Placed", "data": b"", **given})


def test_takes_everything_at_its_limit() -> None:
    tags = tuple(f"{n:0256}" for n in range(TAG_LIMIT))
    draft = Draft(
        "x" * NAME_LIMIT, bytes(DATA_LIMIT), actor="y" * NAME_LIMIT, tags=tags, schema_version=65535
    )
    event = draft.finish("z" * NAME_LIMIT, (1 << 63) - 1, (1 << 63) - 1, (1 << 63) - 1, b"\xff" * 32)
    assert event.tags == tags
    assert (len(event.stream), len(event.type), len(event.actor), len(event.data)) == (
        NAME_LIMIT, NAME_LIMIT, NAME_LIMIT, DATA_LIMIT,
    )  # fmt: skip
    assert event.position == event.version == event.time_ns == (1 << 63) - 1


@pytest.mark.parametrize("codec", [BYTES, MSGPACK, JSON])
@pytest.mark.parametrize("flag", [0, ENCRYPTED])
def test_takes_every_codec_encrypted_or_not(codec: int, flag: int) -> None:
    draft = Draft("Placed", b"", codec=codec | flag)
    assert (draft.codec, draft.sealed) == (codec | flag, bool(flag))


def test_tags_given_twice_count_once_and_keep_their_order() -> None:
    assert Draft("Traded", b"", tags=["user:2", "user:1", "user:2"]).tags == ("user:2", "user:1")


def test_takes_tags_from_anything_that_yields_them() -> None:
    assert Draft("Traded", b"", tags={"user:1": 1}).tags == ("user:1",)
    assert Draft("Traded", b"", tags=(f"user:{n}" for n in range(2))).tags == ("user:0", "user:1")


def test_takes_kinds_of_str() -> None:
    class Type(StrEnum):
        PLACED = "Placed"

    assert Draft(Type.PLACED, b"", tags=[Type.PLACED]).type == "Placed"


def test_takes_ids_as_bytes_and_as_uuid() -> None:
    by_bytes = Draft("Placed", b"", id=ID, correlation_id=ID, causation_id=ID)
    by_uuid = Draft(
        "Placed", b"", id=uuid.UUID(bytes=ID), correlation_id=by_bytes.id, causation_id=by_bytes.id
    )
    assert by_bytes == by_uuid
    assert by_uuid.correlation_id == by_uuid.causation_id == uuid.UUID(bytes=ID)


def test_drafts_without_an_id_get_ascending_ones() -> None:
    ids = [Draft("Placed", b"").id for _ in range(1000)]
    assert ids == sorted(set(ids))
