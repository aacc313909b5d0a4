"""Reading what is said to caches, and dates."""

from __future__ import annotations

from email.utils import formatdate, parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cache.cache_control import read_directives, read_targeted, seconds
from core.cache.http_date import read_date, write_date


@pytest.mark.parametrize(
    ("text", "directives"),
    [
        (b"", {}),
        (b"no-store", {"no-store": ""}),
        (b"No-Store , MAX-AGE = 5", {"no-store": "", "max-age": "5"}),
        (b'max-age="5"', {"max-age": "5"}),
        (b'private="a, no-store, b", public', {"private": "a, no-store, b", "public": ""}),
        (b'ext="a\\",b", max-age=1', {"ext": 'a\\",b', "max-age": "1"}),
        (b",, ,max-age=1,,", {"max-age": "1"}),
        (b"max-age=1, max-age=1", {"max-age": "1"}),
        (b"max-age=1, max-age=2", {"max-age": "?"}),
        (b"@@, no-store", {"no-store": ""}),
        (b"max-age=1 x, no-store", {"max-age": "1", "no-store": ""}),
        (b"max-age=", {"max-age": ""}),
    ],
)
def test_reads_directives(text: bytes, directives: dict[str, str]) -> None:
    assert read_directives([text]) == directives


def test_fields_of_one_name_are_one_list() -> None:
    assert read_directives([b"max-age=1", b"no-cache"]) == {"max-age": "1", "no-cache": ""}


@given(st.binary(max_size=60))
def test_no_text_is_too_much(text: bytes) -> None:
    assert all(name == name.lower() for name in read_directives([text]))
    read_targeted([text])
    read_date(text)


@pytest.mark.parametrize(
    ("text", "directives"),
    [
        (b"max-age=60, must-revalidate", {"max-age": "60", "must-revalidate": ""}),
        (b"max-age=60;x=1;y, no-store=?1, private=?0", {"max-age": "60", "no-store": ""}),
        (b'a="x, y", max-age=1', {"a": '"x, y"', "max-age": "1"}),
        (b"max-age=1, max-age=2", {"max-age": "2"}),
        (b"", None),
        (b"max-age=60,", None),
        (b"Max-Age=60", None),
        (b"max-age=60 public", None),
        (b"max-age=", None),
    ],
)
def test_reads_a_targeted_field_strictly(text: bytes, directives: dict[str, str] | None) -> None:
    assert read_targeted([text]) == directives


@pytest.mark.parametrize(
    ("value", "number"),
    [("5", 5), ("", 0), ("-1", 0), ("1.5", 0), ("٣", 0), ("99999999999999", 1 << 31), ("?", 0)],
)
def test_what_is_no_number_is_none_at_all(value: str, number: int) -> None:
    assert seconds({"max-age": value}, "max-age") == number
    assert seconds({}, "max-age") is None


@pytest.mark.parametrize(
    "text",
    [b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"],
)
def test_reads_the_three_forms_of_dates(text: bytes) -> None:
    assert read_date(text) == 784111777


@pytest.mark.parametrize(
    "text",
    [
        b"0",
        b"",
        b"-1",
        b"Sun, 06 Nov 1994 08:49:37 CET",
        b"Sun, 31 Feb 1994 08:49:37 GMT",
        b"Sun, 06 Now 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 25:49:37 GMT",
        b"1994-11-06T08:49:37Z",
    ],
)
def test_anything_else_is_no_date(text: bytes) -> None:
    assert read_date(text) is None


@given(st.integers(0, 4_000_000_000))
def test_dates_are_those_of_the_standard_library(seconds: int) -> None:
    text = formatdate(seconds, usegmt=True)
    assert write_date(seconds) == text.encode()
    assert read_date(text.encode()) == parsedate_to_datetime(text).timestamp() == seconds
