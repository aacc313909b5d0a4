"""Filters of the request log, read from words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from core.request_log import QueryInvalid
from core.request_log.query import ANY_STATUS, RequestQuery, parse_duration, parse_status, parse_time

NOW = 1_700_000_000_000_000_000
SECOND = 10**9


@pytest.mark.parametrize(
    ("text", "expected"),
    [("404", (404, 404)), ("5xx", (500, 599)), ("4XX", (400, 499)), ("200-299", (200, 299)), (" 0 ", (0, 0))],
)
def test_reads_a_status(text: str, expected: tuple[int, int]) -> None:
    assert parse_status(text) == expected


@pytest.mark.parametrize("text", ["", "x", "5x", "0xx", "-1", "1000", "400-", "500-400", "4xx-5xx"])
def test_refuses_what_is_no_status(text: str) -> None:
    with pytest.raises(QueryInvalid, match="status"):
        parse_status(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("250ms", SECOND // 4),
        ("1.5s", 3 * SECOND // 2),
        ("10 m", 600 * SECOND),
        ("2h", 7200 * SECOND),
        ("7d", 604_800 * SECOND),
        ("500us", SECOND // 2000),
    ],
)
def test_reads_a_duration(text: str, expected: int) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "5", "-1s", "1.s", "s", "1y", "1s1s"])
def test_refuses_what_is_no_duration(text: str) -> None:
    with pytest.raises(QueryInvalid, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T23:13:20.5+01:00", NOW + SECOND // 2),
        ("15m", NOW - 900 * SECOND),
        ("9000000d", 0),
    ],
)
def test_reads_a_time(text: str, expected: int) -> None:
    assert parse_time(text, NOW) == expected


def test_a_time_without_an_offset_is_local() -> None:
    local = datetime(2023, 11, 14, 12, 30).astimezone().astimezone(UTC)
    assert parse_time("2023-11-14 12:30", NOW) == round(local.timestamp()) * SECOND


@pytest.mark.parametrize("text", ["", "yesterday", "2023-13-01", "99999-01-01", "15"])
def test_refuses_what_is_no_time(text: str) -> None:
    with pytest.raises(QueryInvalid, match="time"):
        parse_time(text, NOW)


def test_wants_everything_by_default() -> None:
    assert RequestQuery().status == ANY_STATUS
    assert not RequestQuery().excludes(-1, 1)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"since_ns": 20}, False),
        ({"since_ns": 21}, True),
        ({"until_ns": 10}, True),
        ({"until_ns": 11}, False),
    ],
)
def test_excludes_blocks_by_their_times(bounds: dict[str, Any], expected: bool) -> None:
    assert RequestQuery(**bounds).excludes(10, 20) is expected
