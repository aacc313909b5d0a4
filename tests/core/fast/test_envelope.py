"""Drafts, stored records and the events read from them."""

from __future__ import annotations

import struct
import uuid
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import core._fast.envelope
from core._fast.envelope import (
    BYTES,
    ENCRYPTED,
    JSON,
    MSGPACK,
    Draft,
    Envelope,
    Event,
    finish_repeatedly,
    read_event,
)
from core.event_log.errors import EventDamaged, EventInvalid, EventSealed, EventUndecodable
from tests.oracles import event_record as oracle

ID = bytes(range(1, 17))
UINT64 = st.integers(1, (1 << 63) - 1)
NAME = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1, max_size=60)
SOME_ID = st.binary(min_size=16, max_size=16).filter(any)
RECORD = st.builds(
    oracle.Record,
    stream=NAME,
    type=NAME,
    data=st.binary(max_size=300),
    id=SOME_ID,
    position=UINT64,
    version=UINT64,
    time_ns=st.integers(-(1 << 63) + 1, (1 << 63) - 1),
    codec=st.sampled_from([BYTES, MSGPACK, JSON, BYTES | ENCRYPTED, JSON | ENCRYPTED]),
    schema_version=st.integers(1, 65535),
    correlation_id=st.none() | SOME_ID,
    causation_id=st.none() | SOME_ID,
    previous_hash=st.just(oracle.FIRST) | st.binary(min_size=32, max_size=32),
    actor=st.just("") | NAME,
    tags=st.lists(NAME, unique=True, max_size=5).map(tuple),
)
STORED = oracle.Record(
    stream="market-7",
    type="OrderPlaced",
    data=msgspec.msgpack.encode({"price": 55, "side": "yes"}),
    id=ID,
    position=7,
    version=3,
    time_ns=1_800_000_000_123_456_789,
    previous_hash=bytes(range(32)),
    actor="alice",
    tags=("market:7", "user:1"),
    previous_position=2,
)
BY_HAND = oracle.encode(STORED)


def draft_of(record: oracle.Record, time_ns: int | None = None) -> Draft:
    return Draft(
        record.type,
        record.data,
        codec=record.codec,
        id=record.id,
        schema_version=record.schema_version,
        tags=record.tags,
        actor=record.actor,
        correlation_id=record.correlation_id,
        causation_id=record.causation_id,
        time_ns=time_ns,
    )


def finish(record: oracle.Record) -> Event:
    place = (record.stream, record.position, record.version, record.time_ns)
    return draft_of(record).finish(*place, record.previous_hash, record.previous_position)


def raw(identifier: uuid.UUID | None) -> bytes | None:
    return None if identifier is None else identifier.bytes


def told_by(event: Event) -> oracle.Record:
    return oracle.Record(
        stream=event.stream,
        type=event.type,
        data=event.data,
        id=event.id.bytes,
        position=event.position,
        version=event.version,
        time_ns=event.time_ns,
        codec=event.codec,
        schema_version=event.schema_version,
        correlation_id=raw(event.correlation_id),
        causation_id=raw(event.causation_id),
        previous_hash=event.previous_hash,
        previous_position=event.previous_position,
        actor=event.actor,
        tags=event.tags,
    )


def checked(stored: bytes) -> bytes:
    """Put the right checksum on bytes that are wrong in another way."""
    return oracle.crc32c(stored[4:]).to_bytes(4, "little") + stored[4:]


def changed(stored: bytes, at: int, form: str, value: object) -> bytes:
    out = bytearray(stored)
    struct.pack_into(form, out, at, value)
    return checked(bytes(out))


def test_is_the_compiled_module() -> None:
    assert core._fast.envelope.__file__.endswith(".so")


def test_names_the_codecs_of_the_oracle() -> None:
    assert (BYTES, MSGPACK, JSON, ENCRYPTED) == (
        oracle.BYTES, oracle.MSGPACK, oracle.JSON, oracle.ENCRYPTED,
    )  # fmt: skip


@given(RECORD)
def test_writes_the_bytes_of_the_oracle(record: oracle.Record) -> None:
    event = finish(record)
    assert event.record == oracle.encode(record)
    assert event.hash == oracle.hash_of(record)


@given(RECORD)
def test_reads_what_the_oracle_wrote(record: oracle.Record) -> None:
    stored = oracle.encode(record)
    event = read_event(stored, position=record.position)
    assert told_by(event) == record == oracle.decode(stored)
    assert event == finish(record)


@given(RECORD)
def test_a_draft_tells_what_it_was_given(record: oracle.Record) -> None:
    draft = draft_of(record, time_ns=record.time_ns)
    assert (draft.type, draft.data, draft.codec, draft.id_bytes, draft.schema_version) == (
        record.type, record.data, record.codec, record.id, record.schema_version,
    )  # fmt: skip
    assert (draft.tags, draft.actor, draft.time_ns) == (record.tags, record.actor, record.time_ns)
    assert (raw(draft.correlation_id), raw(draft.causation_id)) == (
        record.correlation_id, record.causation_id,
    )  # fmt: skip
    assert draft.sealed == bool(record.codec & ENCRYPTED)


def test_stands_on_the_disk_as_the_format_says() -> None:
    assert BY_HAND[4:8] == bytes([1, MSGPACK, 1, 0])
    assert struct.unpack_from("<QQq", BY_HAND, 8) == (7, 3, 1_800_000_000_123_456_789)
    assert (BY_HAND[32:48], BY_HAND[48:80], BY_HAND[80:112]) == (ID, bytes(32), bytes(range(32)))
    assert struct.unpack_from("<QHHHHI", BY_HAND, 112) == (2, 8, 11, 5, 15, len(STORED.data))
    assert BY_HAND[132:].startswith(b"market-7OrderPlacedalicemarket:7\x1fuser:1")
    assert finish(STORED).record == BY_HAND


def test_a_time_of_its_own_goes_before_that_of_the_commit() -> None:
    assert draft_of(STORED, time_ns=-5).finish("market-7", 1, 1, 99).time_ns == -5
    assert draft_of(STORED).finish("market-7", 1, 1, 99).time_ns == 99


def test_records_hang_together_by_their_hashes() -> None:
    last = finish_repeatedly(draft_of(STORED), "market-7", 50)
    event = draft_of(STORED).finish("market-7", 1, 1, 0)
    assert event.previous_hash == bytes(32)
    for position in range(2, 51):
        event = draft_of(STORED).finish(
            "market-7", position, position, position - 1, event.hash, position - 1
        )
    assert event == last


def test_every_single_flipped_bit_is_found() -> None:
    for bit in range(len(BY_HAND) * 8):
        damaged = bytearray(BY_HAND)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(EventDamaged):
            read_event(bytes(damaged))
        with pytest.raises(ValueError, match="checksum"):
            oracle.decode(bytes(damaged))


@pytest.mark.parametrize("size", range(len(BY_HAND)))
@pytest.mark.parametrize("verify", [True, False])
def test_refuses_a_record_cut_anywhere(size: int, verify: bool) -> None:
    told = "less than its first 132" if size < 132 else f"its parts need {len(BY_HAND)} bytes, it has {size}"
    with pytest.raises(EventDamaged, match=told):
        read_event(BY_HAND[:size], verify)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("more", [1, 4, 1000])
def test_refuses_a_record_that_something_follows(more: int, verify: bool) -> None:
    with pytest.raises(EventDamaged, match=f"its parts need {len(BY_HAND)} bytes, it has"):
        read_event(BY_HAND + bytes(more), verify)


@pytest.mark.parametrize(
    ("at", "form", "largest"), [(120, "<H", 65535), (126, "<H", 65535), (128, "<I", (1 << 32) - 1)]
)
def test_reads_nothing_beyond_a_record_whose_lengths_lie(at: int, form: str, largest: int) -> None:
    with pytest.raises(EventDamaged, match="its parts need"):
        read_event(changed(BY_HAND, at, form, largest))


@given(st.binary(max_size=400))
def test_refuses_noise(noise: bytes) -> None:
    for stored in (noise, b"\0\0\0\0\1" + noise):
        with pytest.raises(EventDamaged):
            read_event(stored)


@given(st.binary(min_size=127, max_size=127), st.binary(max_size=64))
def test_stays_within_any_bytes_taken_on_trust(head: bytes, rest: bytes) -> None:
    stored = bytearray(b"\0\0\0\0\1" + head[:115] + bytes(12) + rest)
    sizes = [byte % 20 for byte in head[-4:]]
    left = len(rest) - sum(sizes)
    if left < 0:
        sizes, left = [0] * 4, len(rest)
    struct.pack_into("<HHHHI", stored, 120, *sizes, left)
    event = read_event(bytes(stored), verify=False)
    for name in ("stream", "type", "actor", "tags"):
        with suppress(EventDamaged):
            getattr(event, name)
    assert event.data == rest[len(rest) - left :]


def test_says_where_the_damage_is_and_what() -> None:
    with pytest.raises(EventDamaged) as told:
        read_event(BY_HAND[:-1] + b"\0")
    assert told.value.position == 7
    assert str(told.value) == "the event at position 7 is damaged: its checksum is not that of its bytes"
    with pytest.raises(EventDamaged, match="the event at position 9 is damaged: its checksum"):
        read_event(BY_HAND[:-1] + b"\0", position=9)
    with pytest.raises(EventDamaged, match="an event is damaged: 3 bytes are less than"):
        read_event(b"abc")


def test_refuses_the_record_of_another_position() -> None:
    with pytest.raises(EventDamaged, match="position 8 is damaged: it says that it stands at position 7"):
        read_event(BY_HAND, position=8)


def test_tells_a_newer_format_from_damage() -> None:
    with pytest.raises(EventDamaged, match="its format is 2, this version reads format 1"):
        read_event(changed(BY_HAND, 4, "<B", 2))
    with pytest.raises(EventDamaged, match="checksum"):
        read_event(BY_HAND[:4] + b"\2" + BY_HAND[5:])


def test_text_that_is_not_utf8_is_damage_when_it_is_read() -> None:
    event = read_event(checked(BY_HAND.replace(b"alice", b"al\xffce")))
    assert event.type == "OrderPlaced"
    with pytest.raises(EventDamaged, match="position 7 is damaged: its actor is not UTF-8"):
        _ = event.actor


def test_reads_any_buffer_and_keeps_a_copy() -> None:
    buffer = bytearray(BY_HAND)
    event = read_event(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert event.record == BY_HAND
    assert read_event(BY_HAND).record is BY_HAND


def test_refuses_to_read_what_is_no_buffer() -> None:
    wrong: Any = "record"
    with pytest.raises(TypeError, match="bytes-like"):
        read_event(wrong)


@pytest.mark.parametrize(
    ("codec", "data", "value"),
    [
        (BYTES, b"\xff\0", b"\xff\0"),
        (MSGPACK, b"\x81\xa1a\x01", {"a": 1}),
        (JSON, b'{"a":[1,null]}', {"a": [1, None]}),
    ],
)
def test_decodes_by_the_codec(codec: int, data: bytes, value: object) -> None:
    draft = Draft("Placed", data, codec=codec)
    assert draft.value() == value == draft.finish("a", 1, 1, 0).value()


@pytest.mark.parametrize(
    ("codec", "data"), [(MSGPACK, b"\xc1"), (JSON, b"{"), (JSON, b'"\xff"'), (MSGPACK, b"")]
)
def test_says_which_event_cannot_be_decoded(codec: int, data: bytes) -> None:
    event = Draft("Placed", data, codec=codec).finish("a", 12, 1, 0)
    with pytest.raises(EventUndecodable, match="the data of the event at position 12 cannot be decoded"):
        event.value()


def test_does_not_decode_by_a_codec_it_does_not_know() -> None:
    with pytest.raises(EventUndecodable, match="there is no codec 77"):
        read_event(changed(BY_HAND, 5, "<B", 77)).value()


def test_encrypted_data_is_sealed_until_it_is_opened() -> None:
    sealed = Draft("Registered", b"cipher", codec=JSON | ENCRYPTED).finish("user-1", 4, 1, 0)
    with pytest.raises(EventSealed, match="the data of the event at position 4 is encrypted"):
        sealed.value()
    opened = sealed.opened(b'{"name":"A"}')
    assert (opened.value(), opened.codec, opened.sealed) == ({"name": "A"}, JSON, False)
    assert (sealed.data, sealed.codec, sealed.sealed) == (b"cipher", JSON | ENCRYPTED, True)
    assert opened.record is sealed.record
    assert opened != sealed
    for event in (opened, draft_of(STORED).finish("a", 1, 1, 0)):
        with pytest.raises(EventInvalid, match="only an event whose data is encrypted"):
            event.opened(b"")


WRONG_PLACES: dict[str, tuple[tuple[Any, ...], type[Exception], str]] = {
    "no stream": (("", 1, 1, 0), EventInvalid, "the stream's name is empty"),
    "long stream": (("x" * 401, 1, 1, 0), EventInvalid, "name has 401 bytes of UTF-8; it may have 400"),
    "bytes": ((b"a", 1, 1, 0), TypeError, "the stream's name is a str, not bytes"),
    "position 0": (("a", 0, 1, 0), EventInvalid, "the position is 0; it must be from 1"),
    "version 0": (("a", 1, 0, 0), EventInvalid, "the version is 0; it must be from 1"),
    "text": (("a", "1", 1, 0), TypeError, "the position is an int, not str"),
    "time": (("a", 1, 1, 1 << 63), EventInvalid, "time_ns is 9223372036854775808"),
    "short hash": (("a", 1, 1, 0, b"x"), EventInvalid, "a hash is 32 bytes long, not 1"),
}


@pytest.mark.parametrize(("place", "kind", "told"), WRONG_PLACES.values(), ids=WRONG_PLACES)
def test_refuses_a_wrong_place(place: tuple[Any, ...], kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told):
        draft_of(STORED).finish(*place)


def test_cannot_be_changed() -> None:
    draft, event = draft_of(STORED), finish(STORED)
    for envelope in (draft, event):
        for name in ("type", "data", "time_ns", "held", "colour"):
            with pytest.raises(AttributeError):
                setattr(envelope, name, "x")
    draft.__init__("Other", b"")
    assert draft == draft_of(STORED)


def test_an_event_is_not_made_by_hand() -> None:
    with pytest.raises(TypeError, match="events are read from a log"):
        Event()
    for empty in (Event.__new__(Event), Envelope()):
        assert (empty.type, empty.tags, empty.data, empty.sealed) == ("", (), b"", False)


def test_equal_records_are_equal_events() -> None:
    other = finish(oracle.Record(**{**vars(STORED), "version": 4}))
    assert {finish(STORED), read_event(BY_HAND), other} == {finish(STORED), other}
    assert draft_of(STORED) == draft_of(STORED)
    draft: Envelope = draft_of(STORED)
    assert draft != finish(STORED)


def test_shows_itself() -> None:
    assert repr(finish(STORED)) == "Event(7, 'market-7', version=3, type='OrderPlaced')"
    assert repr(draft_of(STORED)).startswith("Draft('OrderPlaced', 17 bytes, id=01020304-")
