"""Content codings, and which of them a client wants."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import get_args

import brotli
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from core.content_coding import CODERS, Coding, choose_coding, weights_of

OFFERED: tuple[Coding, ...] = ("zstd", "br", "gzip")


class Decoder:
    """Decode what has come so far, as a client does that shows it at once."""

    def __init__(self, coding: Coding) -> None:
        made: dict[Coding, Callable[[], Callable[[bytes], bytes]]] = {
            "gzip": lambda: zlib.decompressobj(31).decompress,
            "br": lambda: brotli.Decompressor().process,
            "zstd": lambda: zstd.ZstdDecompressor().decompress,
        }
        self.take = made[coding]()


@pytest.mark.parametrize("coding", OFFERED)
@given(pieces=st.lists(st.binary(max_size=2000)), level=st.integers(1, 9))
def test_what_was_flushed_can_be_read_before_the_end(coding: Coding, pieces: list[bytes], level: int) -> None:
    coder, client = CODERS[coding](level), Decoder(coding)
    for piece in pieces:
        assert client.take(coder.encode(piece) + coder.flush()) == piece
    assert client.take(coder.end()) == b""


def test_there_is_a_coder_for_each_coding() -> None:
    assert set(CODERS) == set(get_args(Coding))


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (b"gzip", "gzip"),
        (b"GZip", "gzip"),
        (b"x-gzip", "gzip"),
        (b"gzip, deflate, br, zstd", "zstd"),
        (b"gzip, br;q=0.9", "gzip"),
        (b"gzip;q=0.5, br;q=0.8", "br"),
        (b"gzip ; Q=0.5 , br\t;\tq=0.5", "br"),
        (b"*", "zstd"),
        (b"*;q=0.1, gzip", "gzip"),
        (b"zstd;q=0, *", "br"),
        (b"gzip;q=0", None),
        (b"gzip;q=0.000", None),
        (b"*;q=0", None),
        (b"", None),
        (b"identity", None),
        (b"deflate", None),
        (b"gzip;q=0.5, identity", None),
        (b"gzip;q=0.5, identity;q=0.5", "gzip"),
        (b"identity;q=0, gzip;q=0.1", "gzip"),
        (b"gzip;q=2", None),
        (b"gzip;q=0.1234", None),
        (b"gzip;level=1", None),
        (b",,gzip,", "gzip"),
        (b"br gzip", None),
    ],
)
def test_goes_by_what_the_client_says(accepted: bytes, coding: str | None) -> None:
    assert choose_coding(accepted, OFFERED) == coding


@given(st.dictionaries(st.sampled_from([*OFFERED, "identity", "*", "deflate"]), st.integers(0, 1000)))
def test_no_other_coding_that_is_offered_is_wanted_more(wanted: dict[str, int]) -> None:
    accepted = ", ".join(f"{name};q={weight / 1000:.3f}" for name, weight in wanted.items()).encode()
    chosen = choose_coding(accepted, OFFERED)
    weights = {name: wanted.get(name, wanted.get("*", 0)) for name in OFFERED}
    most = max(weights.values())
    if most == 0 or wanted.get("identity", 0) > most:
        assert chosen is None
    else:
        assert chosen == next(name for name in OFFERED if weights[name] == most)


@given(st.binary(max_size=60))
def test_reads_anything(accepted: bytes) -> None:
    assert all(0 <= weight <= 1 for weight in weights_of(accepted).values())
