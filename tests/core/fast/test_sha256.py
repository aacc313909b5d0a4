"""SHA-256, by the processor's instructions and without."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import core._fast.sha256
from core._fast.sha256 import digest, digest_repeatedly

KNOWN = {
    b"": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
}
BYTES = bytes(i * 31 % 251 for i in range(1 << 12))


def test_is_the_compiled_module() -> None:
    assert core._fast.sha256.__file__.endswith(".so")


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(("data", "expected"), KNOWN.items(), ids=["nothing", "abc"])
def test_gives_the_known_hashes(data: bytes, expected: str, plain: bool) -> None:
    assert digest(data, plain=plain).hex() == expected


@pytest.mark.parametrize("plain", [False, True])
def test_agrees_with_hashlib_at_every_size_around_a_block(plain: bool) -> None:
    for size in (*range(300), 4095, 4096):
        assert digest(BYTES[:size], plain=plain) == hashlib.sha256(BYTES[:size]).digest(), size


@given(st.binary(max_size=700), st.integers(0, 7), st.booleans())
def test_agrees_with_hashlib_at_any_alignment(data: bytes, offset: int, plain: bool) -> None:
    shifted = memoryview(bytes(offset) + data)[offset:]
    assert digest(shifted, plain=plain) == hashlib.sha256(data).digest()


@given(st.lists(st.binary(max_size=200), max_size=6), st.booleans())
def test_pieces_are_hashed_as_the_whole(pieces: list[bytes], plain: bool) -> None:
    assert digest(*pieces, plain=plain) == hashlib.sha256(b"".join(pieces)).digest()


@pytest.mark.parametrize("cut", [0, 1, 55, 56, 63, 64, 65, 127, 128])
def test_pieces_may_end_at_any_place_of_a_block(cut: int) -> None:
    for size in range(cut, 260):
        assert digest(BYTES[:cut], BYTES[cut:size]) == hashlib.sha256(BYTES[:size]).digest()


def test_hashes_the_same_however_often() -> None:
    assert digest_repeatedly(b"abc", 3) == digest(b"abc")


def test_refuses_what_holds_no_bytes() -> None:
    wrong: Any = "abc"
    with pytest.raises(TypeError, match="bytes-like"):
        digest(wrong)
