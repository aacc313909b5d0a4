"""The compiled buffer of request records."""

import gc
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import core._fast.record
from core._fast.record import BLOCK_SIZE, FLAGS, HEADER_SIZE, TEXT_LIMITS, TEXTS, Block, RecordBuffer
from tests.oracles import record as oracle

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
UINT32 = st.integers(0, (1 << 32) - 1)
NANOSECONDS = st.one_of(st.integers(0, 10**12), INT64)
TEXT = st.one_of(
    st.sampled_from([b"GET", b"/a", b"/b", b"x" * 256, b"x" * 257, b"x" * 1024, b"x" * 1025, b"x" * 5000]),
    st.binary(max_size=40),
)
FIELDS = st.builds(
    oracle.Fields,
    status=st.one_of(st.integers(100, 599), UINT32),
    time_ns=NANOSECONDS,
    duration_ns=NANOSECONDS,
    upstream_ns=NANOSECONDS,
    bytes_in=NANOSECONDS,
    bytes_out=NANOSECONDS,
    attempts=UINT32,
    flags=UINT32,
    texts=st.dictionaries(st.sampled_from(oracle.TEXTS), TEXT),
)


def append(buffer: RecordBuffer, fields: oracle.Fields) -> None:
    values: dict[str, Any] = {**vars(fields), **fields.texts}
    del values["texts"], values["cut"]
    buffer.append_fields(**values)


def payload(block: Block) -> bytes:
    return bytes(memoryview(block)[HEADER_SIZE:])


def test_is_the_compiled_module() -> None:
    assert core._fast.record.__file__.endswith(".so")


def test_names_the_texts_and_limits_of_the_oracle() -> None:
    assert TEXTS == oracle.TEXTS
    assert {name: oracle.LIMITS.get(name, 256) for name in TEXTS} == TEXT_LIMITS
    assert FLAGS == ("aborted", "upgraded", "cached", "tls")


@given(st.lists(FIELDS, min_size=1, max_size=8))
def test_writes_the_bytes_of_the_oracle(records: list[oracle.Fields]) -> None:
    buffer = RecordBuffer(1 << 20)
    for record in records:
        append(buffer, record)
    (block,) = buffer.take()
    assert payload(block) == oracle.encode(records)
    assert block.count == len(records)
    assert block.oldest_ns == min(record.time_ns for record in records)
    assert block.newest_ns == max(record.time_ns for record in records)


@settings(max_examples=20, deadline=None)
@given(st.lists(FIELDS, min_size=1, max_size=8), st.integers(50, 200))
def test_begins_every_block_anew(records: list[oracle.Fields], times: int) -> None:
    buffer = RecordBuffer(64 << 20)
    left = [*records, oracle.Fields(texts={"path": b"x" * 400})] * times
    for record in left:
        append(buffer, record)
    blocks = buffer.take()
    for block in blocks:
        here, left = left[: block.count], left[block.count :]
        assert payload(block) == oracle.encode(here)
        assert len(memoryview(block)) <= BLOCK_SIZE
    assert left == []


def test_a_route_that_returns_costs_no_byte() -> None:
    buffer = RecordBuffer(1 << 20)
    for _ in range(3):
        buffer.append_fields(route=b"market-orders", host=b"api.example.test")
    (block,) = buffer.take()
    without_texts = oracle.encode([oracle.Fields()])
    assert len(payload(block)) == len("market-orders" + "api.example.test") + 2 + 3 * len(without_texts)


def test_refuses_a_text_it_does_not_know() -> None:
    with pytest.raises(TypeError, match="no text 'colour'"):
        RecordBuffer(1 << 20).append_fields(colour=b"red")


def test_refuses_str_for_a_text() -> None:
    wrong: Any = "GET"
    with pytest.raises(TypeError, match="bytes"):
        RecordBuffer(1 << 20).append_fields(method=wrong)


def fill(buffer: RecordBuffer, count: int = 10_000) -> None:
    for number in range(count):
        buffer.append_fields(path=b"/%d" % number, user_agent=b"%0200d" % number)


def test_never_holds_more_than_its_limit_and_counts_what_it_drops() -> None:
    buffer = RecordBuffer(4 * BLOCK_SIZE)
    fill(buffer)
    assert buffer.used_bytes == 4 * BLOCK_SIZE
    assert buffer.dropped > 0
    assert buffer.appended + buffer.dropped == 10_000
    assert sum(block.count for block in buffer.take()) == buffer.appended


def test_taken_blocks_count_until_they_are_given_back() -> None:
    buffer = RecordBuffer(2 * BLOCK_SIZE)
    fill(buffer)
    taken = buffer.take()
    assert buffer.take() == []
    before = buffer.dropped
    buffer.append_fields(status=200)
    assert buffer.dropped == before + 1
    buffer.recycle(taken)
    buffer.append_fields(status=200)
    assert buffer.dropped == before + 1
    assert [block.count for block in buffer.take()] == [1]


def test_the_block_after_a_loss_says_how_much_was_lost() -> None:
    buffer = RecordBuffer(2 * BLOCK_SIZE)
    fill(buffer)
    first = buffer.take()
    assert [block.dropped for block in first] == [0, 0]
    buffer.recycle(first)
    buffer.append_fields(status=200)
    (block,) = buffer.take()
    assert block.dropped == buffer.dropped
    buffer.recycle([block])
    buffer.append_fields(status=200)
    assert [block.dropped for block in buffer.take()] == [0]


def test_a_reused_block_carries_nothing_over() -> None:
    buffer = RecordBuffer(8 * BLOCK_SIZE)
    buffer.append_fields(status=200, time_ns=5, route=b"market")
    buffer.recycle(buffer.take())
    buffer.append_fields(status=404, time_ns=9, route=b"market")
    (block,) = buffer.take()
    assert payload(block) == oracle.encode([oracle.Fields(404, 9, texts={"route": b"market"})])
    assert (block.count, block.oldest_ns, block.newest_ns, block.dropped) == (1, 9, 9, 0)


def test_wakes_once_for_the_first_record_and_once_when_much_waits() -> None:
    woken: list[bool] = []
    buffer = RecordBuffer(16 * BLOCK_SIZE, woken.append)
    buffer.append_fields(status=200)
    buffer.append_fields(status=200)
    assert woken == [False]
    fill(buffer, 1200)
    assert woken == [False, True]
    buffer.take()
    buffer.append_fields(status=200)
    assert woken == [False, True, False]


def test_a_closed_buffer_begins_no_new_block() -> None:
    buffer = RecordBuffer(4 * BLOCK_SIZE)
    buffer.append_fields(status=200)
    buffer.close()
    buffer.append_fields(status=200)
    assert [block.count for block in buffer.take()] == [2]
    buffer.append_fields(status=200)
    assert buffer.take() == []
    assert (buffer.appended, buffer.dropped) == (2, 1)


def test_a_block_outlives_its_buffer_while_it_is_viewed() -> None:
    buffer = RecordBuffer(4 * BLOCK_SIZE)
    buffer.append_fields(path=b"/kept")
    view = memoryview(buffer.take()[0])
    del buffer
    gc.collect()
    assert bytes(view[HEADER_SIZE:]).endswith(b"/kept")


def test_may_be_appended_to_and_emptied_from_within_the_waking_call() -> None:
    counts: list[int] = []

    def again(much: bool) -> None:
        if len(counts) < 50:
            buffer.append_fields(status=204)
            taken = buffer.take()
            counts.extend(block.count for block in taken)
            buffer.recycle(taken)

    buffer = RecordBuffer(4 * BLOCK_SIZE, again)
    for _ in range(60):
        buffer.append_fields(status=200)
    counts.extend(block.count for block in buffer.take())
    assert len(counts) > 50
    assert sum(counts) == buffer.appended
    assert buffer.dropped == 0


def test_frees_its_blocks() -> None:
    class Wake:
        def __call__(self, much: bool) -> None: ...

    wake = Wake()
    buffer = RecordBuffer(4 * BLOCK_SIZE, wake)
    gone = weakref.ref(wake)
    del wake, buffer
    gc.collect()
    assert gone() is None
