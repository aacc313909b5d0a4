from __future__ import annotations

import pytest

from core.windows import WindowInvalid, parse_window


@pytest.mark.parametrize(
    ("text", "limit", "seconds"),
    [
        ("100/minute", 100, 60),
        ("5000/day", 5000, 86400),
        ("10/second", 10, 1),
        ("20/10s", 20, 10),
        ("1000/h", 1000, 3600),
        ("1/1d", 1, 86400),
        ("7/30minutes", 7, 1800),
        ("1000000/s", 1_000_000, 1),
        ("1/366days", 1, 366 * 86400),
    ],
)
def test_reads_requests_and_period(text: str, limit: int, seconds: int) -> None:
    assert parse_window(text) == (limit, seconds)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "REQUESTS/PERIOD"),
        ("100", "REQUESTS/PERIOD"),
        ("0/minute", "REQUESTS/PERIOD"),
        ("-1/minute", "REQUESTS/PERIOD"),
        ("+1/minute", "REQUESTS/PERIOD"),
        ("007/minute", "REQUESTS/PERIOD"),
        ("1.5/minute", "REQUESTS/PERIOD"),
        ("100 / minute", "REQUESTS/PERIOD"),
        ("100/minute\n", "REQUESTS/PERIOD"),
        ("100/Minute", "REQUESTS/PERIOD"),
        ("100/0s", "REQUESTS/PERIOD"),
        ("١٠/minute", "REQUESTS/PERIOD"),
        ("100/fortnight", "unit"),
        ("100/10ms", "unit"),
        ("1/367d", "366 days"),
        ("1000001/s", "1000000 requests a second"),
    ],
)
def test_refuses_anything_else_and_says_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(WindowInvalid, match=said):
        parse_window(text)


def test_refuses_what_is_no_text() -> None:
    with pytest.raises(WindowInvalid, match="'100/minute'"):
        parse_window(100)  # type: ignore[arg-type]
