"""JSON in bodies."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.json_body import (
    POINTER,
    JsonMalformed,
    is_json,
    media_type_of,
    pointer_to,
    read_json,
    read_to_edit,
    tokens_of,
    write_json,
)

numbers = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
documents = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


@given(documents)
def test_reads_what_any_writer_writes_and_writes_it_back(document: Any) -> None:
    assert read_json(json.dumps(document).encode()) == document
    assert read_json(write_json(document)) == document


@given(st.binary(max_size=40) | st.text('{}[]",:0123ea\\unl. \n', max_size=40).map(str.encode))
def test_reads_anything_or_says_what_is_wrong(body: bytes) -> None:
    try:
        document = read_json(body)
    except JsonMalformed as error:
        assert str(error)  # noqa: PT017
    else:
        assert json.loads(body) == document


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[] x", "trailing characters"),
        (b"NaN", "malformed"),
        (b'"\xff"', "(?i)utf-8"),
        (b'\xef\xbb\xbf""', "malformed"),
        (b"1e999", "out of range"),
        (b"9" * 10_000, "out of range"),
        (b"[" * 1_000_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": 1, "b": 2, "a": 1}', "has the member 'a' twice"),
        (b'[{"x": {"a": 1, "\\u0061": 2}}]', "has the member 'a' twice"),
    ],
)
def test_refuses_what_readers_do_not_agree_about(body: bytes, message: str) -> None:
    with pytest.raises(JsonMalformed, match=message):
        read_json(body)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"application/json", True),
        (b"Application/JSON; charset=utf-8", True),
        (b"application/problem+json", True),
        (b"application/vnd.a.b-c+json;v=1", True),
        (b"application/jsonp", False),
        (b"application/json-seq", False),
        (b"application/x-ndjson", False),
        (b"text/json", False),
        (b"", False),
    ],
)
def test_knows_json_by_its_media_type(content_type: bytes, expected: bool) -> None:
    assert is_json(media_type_of(content_type)) == expected


@given(st.lists(st.text("ab~/01\n", max_size=4), min_size=1))
def test_a_pointer_names_its_tokens(tokens: list[str]) -> None:
    pointer = pointer_to(tokens)
    assert re.search(POINTER, pointer)
    assert list(tokens_of(pointer)) == tokens


@pytest.mark.parametrize("text", ["", "a", "a/b", "/~", "/~2", "/a~", "/a~\n"])
def test_knows_what_is_no_pointer(text: str) -> None:
    assert not re.search(POINTER, text)


@pytest.mark.parametrize(
    "body", [b"[1.50,1E+2,-0.0,12345678901234567890123,0.1234567890123456789012345,1E+999,9007199254740993]"]
)
def test_numbers_are_written_as_they_came(body: bytes) -> None:
    assert write_json(read_to_edit(body)) == body


@given(documents)
def test_what_is_read_to_be_edited_is_the_same_document(document: Any) -> None:
    assert read_json(write_json(read_to_edit(json.dumps(document).encode()))) == document


@given(st.binary(max_size=40) | st.text('{}[]",:0123eE+-.a\\unl. ', max_size=40).map(str.encode))
def test_what_was_read_can_be_written(body: bytes) -> None:
    try:
        document = read_to_edit(body)
    except JsonMalformed:
        return
    json.loads(write_json(document))


def test_of_members_that_come_twice_the_last_is_edited() -> None:
    assert write_json(read_to_edit(b'{"a": 1, "a": 2}')) == b'{"a":2}'
