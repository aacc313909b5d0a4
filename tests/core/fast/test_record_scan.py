"""The compiled reader of request records."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import core._fast.record_scan
from core._fast.record import FLAGS, TEXTS
from core._fast.record_scan import RecordFilter, decode
from tests.core.fast.test_record import FIELDS, UINT32
from tests.oracles import record as oracle

MARKET = oracle.Fields(
    status=200,
    time_ns=1_000,
    duration_ns=5_000,
    upstream_ns=4_000,
    bytes_in=1,
    bytes_out=2,
    attempts=1,
    texts={"method": b"GET", "path": b"/markets/7", "route": b"market", "client": b"192.0.2.1"},
)
ORDER = oracle.Fields(
    status=503,
    time_ns=2_000,
    duration_ns=50_000,
    texts={"method": b"POST", "path": b"/orders", "route": b"orders", "problem": b"upstream-unreachable"},
)
BOTH = oracle.encode([MARKET, ORDER])


def as_tuple(record: oracle.Fields, sequence: int, worker: int) -> tuple[Any, ...]:
    texts = (record.texts.get(name, b"").decode(errors="backslashreplace") for name in TEXTS)
    return (
        sequence,
        record.time_ns,
        worker,
        record.status,
        record.duration_ns,
        None if record.upstream_ns < 0 else record.upstream_ns,
        record.bytes_in,
        record.bytes_out,
        record.attempts,
        tuple(name for bit, name in enumerate(FLAGS) if record.flags >> bit & 1),
        tuple(name for name in TEXTS if name in record.cut),
        *texts,
    )


def wanted(*arguments: Any, **conditions: Any) -> list[int]:
    """Return the sequence numbers of the two records that a filter keeps."""
    return [found[0] for found in decode(BOTH, 2, 1, 0, RecordFilter(*arguments, **conditions))]


def both_or_neither(data: bytes, count: int) -> None:
    """Hold the compiled reader to the oracle: the same records, or both refuse."""
    try:
        expected = oracle.decode(data, count)
    except ValueError:
        with pytest.raises(ValueError, match=r"damaged|follow"):
            decode(data, count, 7, 3)
        return
    assert decode(data, count, 7, 3) == [as_tuple(record, 7 + i, 3) for i, record in enumerate(expected)]


def test_is_the_compiled_module() -> None:
    assert core._fast.record_scan.__file__.endswith(".so")


@given(st.lists(FIELDS, min_size=1, max_size=8))
def test_reads_what_the_oracle_reads(records: list[oracle.Fields]) -> None:
    both_or_neither(oracle.encode(records), len(records))


@given(st.lists(FIELDS, min_size=1, max_size=4), st.data())
def test_refuses_damaged_bytes_as_the_oracle_does(records: list[oracle.Fields], data: st.DataObject) -> None:
    damaged = bytearray(oracle.encode(records))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    end = data.draw(st.integers(0, len(damaged)))
    both_or_neither(bytes(damaged[:end]), len(records))
    both_or_neither(bytes(damaged), len(records))


@given(st.binary(max_size=80), st.integers(0, 3))
def test_refuses_any_bytes_as_the_oracle_does(data: bytes, count: int) -> None:
    both_or_neither(data, count)


def test_refuses_every_shorter_and_every_longer_block() -> None:
    for end in range(len(BOTH)):
        with pytest.raises(ValueError, match="damaged"):
            decode(BOTH[:end], 2, 1, 0)
    with pytest.raises(ValueError, match="1 bytes follow"):
        decode(BOTH + b"\0", 2, 1, 0)


def test_tells_that_a_text_was_cut_also_when_it_returns() -> None:
    long = oracle.Fields(texts={"path": b"/" + b"x" * 2000})
    short = oracle.Fields(texts={"path": b"/"})
    found = decode(oracle.encode([long, long, short, long]), 4, 1, 0)
    assert [record[10] for record in found] == [("path",), ("path",), (), ("path",)]
    assert [len(record[12]) for record in found] == [1024, 1024, 1, 1024]


def test_shows_bytes_that_are_not_utf_8() -> None:
    (record,) = decode(oracle.encode([oracle.Fields(texts={"path": b"/\xff\xc3\xa9"})]), 1, 1, 0)
    assert record[12] == "/\\xff\u00e9"


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [(0, 0, [1, 2]), (1, 0, [2]), (2, 0, []), (0, 2, [1]), (0, 1, []), (0, 3, [1, 2])],
)
def test_returns_what_lies_between_two_sequence_numbers(after: int, before: int, expected: list[int]) -> None:
    assert [record[0] for record in decode(BOTH, 2, 1, 0, None, after, before)] == expected


def test_an_empty_filter_wants_everything() -> None:
    assert wanted() == [1, 2]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"method": b"GET"}, [1]),
        ({"method": b"GE"}, []),
        ({"method": b"GETS"}, []),
        ({"path": b"/orders"}, [2]),
        ({"path": b"/order"}, []),
        ({"problem": b"upstream-unreachable"}, [2]),
        ({"client": b"192.0.2.1"}, [1]),
        ({"consumer": b"alice"}, []),
        ({"method": b"GET", "route": b"orders"}, []),
        ({"method": b"GET", "route": b"market"}, [1]),
    ],
)
def test_filters_by_whole_texts(texts: dict[str, bytes], expected: list[int]) -> None:
    assert wanted(texts) == expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"path_prefix": b"/"}, [1, 2]),
        ({"path_prefix": b"/markets/"}, [1]),
        ({"path_prefix": b"/markets/7/orders"}, []),
        ({"status": (500, 599)}, [2]),
        ({"status": (200, 200)}, [1]),
        ({"status": (201, 502)}, []),
        ({"min_duration_ns": 5_000}, [1, 2]),
        ({"min_duration_ns": 5_001}, [2]),
        ({"since_ns": 1_000}, [1, 2]),
        ({"since_ns": 1_001}, [2]),
        ({"until_ns": 2_000}, [1]),
        ({"until_ns": 2_001}, [1, 2]),
        ({"since_ns": 1_001, "until_ns": 2_000}, []),
    ],
)
def test_filters_by_conditions(conditions: dict[str, Any], expected: list[int]) -> None:
    assert wanted(**conditions) == expected


def test_does_not_take_an_absent_text_for_the_one_before() -> None:
    data = oracle.encode([MARKET, oracle.Fields()])
    assert [record[0] for record in decode(data, 2, 1, 0, RecordFilter({"route": b"market"}))] == [1]


def test_finds_what_was_cut_by_its_whole_text() -> None:
    path = b"/" + b"x" * 2000
    data = oracle.encode([oracle.Fields(texts={"path": path})])
    assert len(decode(data, 1, 1, 0, RecordFilter({"path": path}))) == 1


def test_refuses_to_filter_by_an_unknown_text() -> None:
    with pytest.raises(KeyError):
        RecordFilter({"colour": b"red"})


@given(st.lists(FIELDS, min_size=1, max_size=8), UINT32, UINT32)
def test_filters_by_status_as_a_closed_range(records: list[oracle.Fields], low: int, high: int) -> None:
    found = decode(oracle.encode(records), len(records), 1, 0, RecordFilter(status=(low, high)))
    assert [record[0] for record in found] == [
        index for index, record in enumerate(records, 1) if low <= record.status <= high
    ]
