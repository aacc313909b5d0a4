"""Identifiers: their form, and that no two are alike."""

from __future__ import annotations

import os
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

import core._fast.ids
from core._fast.ids import IdSource

SEED = bytes(range(16))


def test_the_compiled_module_is_the_one_loaded() -> None:
    assert core._fast.ids.__file__.endswith(".so")


@given(st.integers(0, (1 << 48) - 1))
def test_a_uuid_is_of_version_7_and_carries_its_time(milliseconds: int) -> None:
    made = IdSource(SEED).make_uuid7(milliseconds)
    read = uuid.UUID(made.decode())
    assert str(read).encode() == made
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert read.int >> 80 == milliseconds


def test_a_uuid_is_of_now_unless_a_time_is_given() -> None:
    earlier, later = IdSource().make_uuid7(1), IdSource().make_uuid7()
    assert earlier < later


def test_uuids_sort_by_their_time() -> None:
    source = IdSource(SEED)
    made = [source.make_uuid7(milliseconds) for milliseconds in range(0, 100_000, 97)]
    assert made == sorted(made)


def test_a_hex_id_is_32_lower_case_digits() -> None:
    made = IdSource().make_hex()
    assert len(made) == 32
    assert int(made, 16)
    assert made == made.lower()


def test_no_two_are_alike() -> None:
    source = IdSource()
    made = {source.make_hex() for _ in range(20_000)} | {source.make_uuid7(5) for _ in range(20_000)}
    assert len(made) == 40_000


def test_two_sources_draw_different_ids() -> None:
    assert IdSource().make_hex() != IdSource().make_hex()


def test_the_same_seed_draws_the_same_ids() -> None:
    first, second = IdSource(SEED), IdSource(SEED)
    assert [first.make_hex() for _ in range(5)] == [second.make_hex() for _ in range(5)]
    assert first.make_uuid7(7) == second.make_uuid7(7)


def test_every_bit_of_a_hex_id_takes_both_values() -> None:
    source = IdSource(SEED)
    words = [int(source.make_hex(), 16) for _ in range(200)]
    for bit in range(128):
        assert 50 < sum(word >> bit & 1 for word in words) < 150


@pytest.mark.parametrize("size", [0, 15, 17])
def test_refuses_a_seed_of_another_size(size: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        IdSource(bytes(size))


def test_a_forked_child_does_not_draw_its_parents_ids() -> None:
    source = IdSource()
    source.make_hex()
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writable, source.make_hex())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        assert pipe.read() != source.make_hex()
