"""BLAKE2b-256, written out in C."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import core._fast.blake2b
from core._fast.blake2b import digest, digest_repeatedly
from tests.oracles.event_record import blake2b_256

KNOWN = {
    b"": "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8",
    b"abc": "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319",
}


def test_is_the_compiled_module() -> None:
    assert core._fast.blake2b.__file__.endswith(".so")


@pytest.mark.parametrize(("data", "expected"), KNOWN.items(), ids=["nothing", "abc"])
def test_gives_the_known_hashes(data: bytes, expected: str) -> None:
    assert digest(data).hex() == expected


@pytest.mark.parametrize("size", [*range(1025), 4096, 65535, 65536, 1 << 20])
def test_agrees_with_hashlib_at_every_size_around_a_block(size: int) -> None:
    data = bytes(i * 31 % 251 for i in range(min(size, 1025))) * (size // 1025 + 1)
    assert digest(data[:size]) == hashlib.blake2b(data[:size], digest_size=32).digest()


@given(st.binary(max_size=700))
def test_agrees_with_the_oracle(data: bytes) -> None:
    assert digest(data) == blake2b_256(data)


@given(st.binary(max_size=400), st.integers(0, 7))
def test_reads_from_any_alignment(data: bytes, offset: int) -> None:
    shifted = memoryview(bytes(offset) + data)[offset:]
    assert digest(shifted) == blake2b_256(data)


def test_hashes_the_same_however_often() -> None:
    assert digest_repeatedly(b"abc", 3) == digest(b"abc")


def test_refuses_what_holds_no_bytes() -> None:
    wrong: Any = "abc"
    with pytest.raises(TypeError, match="bytes-like"):
        digest(wrong)
