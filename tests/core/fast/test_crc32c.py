"""CRC-32C, by the processor's instruction and by tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import core._fast.crc32c
from core._fast.crc32c import checksum
from tests.oracles.event_record import crc32c as oracle

# The check value of the polynomial, then the examples of RFC 3720, B.4.
KNOWN = {
    b"": 0x00000000,
    b"123456789": 0xE3069283,
    bytes(32): 0x8A9136AA,
    b"\xff" * 32: 0x62A8AB43,
    bytes(range(32)): 0x46DD794E,
    bytes(range(31, -1, -1)): 0x113FDB5C,
}


def test_is_the_compiled_module() -> None:
    assert core._fast.crc32c.__file__.endswith(".so")


@pytest.mark.parametrize("tables", [False, True])
@pytest.mark.parametrize(("data", "expected"), KNOWN.items(), ids=[data.hex() or "none" for data in KNOWN])
def test_gives_the_known_values(data: bytes, expected: int, tables: bool) -> None:
    assert checksum(data, tables=tables) == expected == oracle(data)


@given(st.binary(max_size=300), st.integers(0, 7), st.booleans())
def test_agrees_with_the_oracle_at_any_alignment(data: bytes, offset: int, tables: bool) -> None:
    shifted = memoryview(bytes(offset) + data)[offset:]
    assert checksum(shifted, tables=tables) == oracle(data)


@given(st.binary(max_size=100), st.binary(max_size=100), st.booleans())
def test_goes_on_where_another_stopped(first: bytes, second: bytes, tables: bool) -> None:
    assert checksum(second, checksum(first), tables=tables) == checksum(first + second)
    assert oracle(second, oracle(first)) == oracle(first + second)


@pytest.mark.parametrize("tables", [False, True])
def test_every_flipped_bit_changes_it(tables: bool) -> None:
    data = bytearray(i * 7 % 256 for i in range(67))
    sound = checksum(data, tables=tables)
    for bit in range(len(data) * 8):
        data[bit // 8] ^= 1 << bit % 8
        assert checksum(data, tables=tables) != sound
        data[bit // 8] ^= 1 << bit % 8


@given(st.binary(min_size=8, max_size=64), st.data())
def test_every_burst_of_up_to_32_bits_changes_it(data: bytes, draw: st.DataObject) -> None:
    whole = int.from_bytes(data, "little")
    burst = draw.draw(st.integers(1, (1 << 32) - 1))
    place = draw.draw(st.integers(0, len(data) * 8 - 32))
    damaged = (whole ^ burst << place).to_bytes(len(data), "little")
    assert checksum(damaged) != checksum(data)


@pytest.mark.parametrize("before", [-1, 1 << 32])
def test_refuses_a_crc_of_more_than_32_bits(before: int) -> None:
    with pytest.raises(OverflowError):
        checksum(b"", before)


def test_refuses_what_holds_no_bytes() -> None:
    wrong: Any = "abc"
    with pytest.raises(TypeError, match="bytes-like"):
        checksum(wrong)
