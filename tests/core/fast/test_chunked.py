"""Chunked bodies: decoded however they are cut, refused where decoders could differ, trailers kept apart."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core._fast import chunked as chunked_module
from core._fast.chunked import ChunkedDecoder, chunk_header
from core._fast.head import PROBLEMS, ParseProblem
from core._fast.headers import KNOWN_NAMES
from tests.core.fast import messages
from tests.oracles.agreement import check_chunked

P = ParseProblem
CUTS = st.lists(st.integers(0, 300), max_size=6)
LIMITS = st.sampled_from(((4096, 8192), (4096, 8192), (20, 40), (0, 0)))
more_examples = settings(max_examples=400, deadline=None)


def test_the_compiled_module_is_the_one_loaded() -> None:
    assert chunked_module.__file__.endswith(".so")


@more_examples
@given(messages.chunked_bodies(), CUTS, LIMITS)
def test_well_formed_bodies_decode_as_the_oracle_says(
    data: bytes, cuts: list[int], limits: tuple[int, int]
) -> None:
    check_chunked(data, cuts, *limits)


@more_examples
@given(messages.broken(messages.chunked_bodies()), CUTS, LIMITS)
def test_broken_bodies_are_judged_as_the_oracle_does(
    data: bytes, cuts: list[int], limits: tuple[int, int]
) -> None:
    check_chunked(data, cuts, *limits)


@more_examples
@given(st.lists(st.binary(min_size=1), max_size=5))
def test_what_chunk_header_writes_is_read_back(pieces: list[bytes]) -> None:
    data = b"".join(chunk_header(len(piece)) + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
    assert ChunkedDecoder().decode(data) == (b"".join(pieces), len(data), True)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 15, 16, 255, 256, 65535, 2**32, 2**63 - 1, 2**64 - 1])
def test_a_chunk_header_is_the_size_in_hexadecimal(size: int) -> None:
    assert chunk_header(size) == b"%x\r\n" % size


@pytest.mark.parametrize(
    "template",
    [
        b"@\r\nx\r\n0\r\n\r\n",
        b"1@\r\nx\r\n0\r\n\r\n",
        b"1\r@x\r\n0\r\n\r\n",
        b"1;@\r\nx\r\n0\r\n\r\n",
        b"1\r\nx@\n0\r\n\r\n",
        b"1\r\nx\r@0\r\n\r\n",
        b"1\r\nx\r\n0@\r\n\r\n",
        b"1\r\nx\r\n0\r\n@\r\n",
        b"0\r\n\r@",
        b"0\r\nX@: y\r\n\r\n",
        b"0\r\nX: y@\r\n\r\n",
        b"0\r\nX: y\r@\r\n\r\n",
    ],
)
def test_every_byte_in_every_place_is_judged_as_the_oracle_does(template: bytes) -> None:
    for byte in range(256):
        check_chunked(template.replace(b"@", bytes([byte])))


@pytest.mark.parametrize(
    ("data", "slug"),
    [
        (b"0x5\r\nhello\r\n0\r\n\r\n", "chunk-size-malformed"),
        (b"+5\r\nhello\r\n0\r\n\r\n", "chunk-size-malformed"),
        (b"-1\r\nhello\r\n0\r\n\r\n", "chunk-size-malformed"),
        (b"5_0\r\nhello\r\n0\r\n\r\n", "chunk-size-malformed"),
        (b" 5\r\nhello\r\n0\r\n\r\n", "chunk-size-malformed"),
        (b"5 \r\nhello\r\n0\r\n\r\n", "chunk-size-malformed"),
        (b"5\t;a\r\nhello\r\n0\r\n\r\n", "chunk-size-malformed"),
        (b"\r\nhello\r\n0\r\n\r\n", "chunk-size-malformed"),
        (b";a\r\nhello\r\n0\r\n\r\n", "chunk-size-malformed"),
        (b"5\nhello\r\n0\r\n\r\n", "bare-lf"),
        (b"5\rhello\r\n0\r\n\r\n", "bare-cr"),
        (b"5\r\rhello\r\n0\r\n\r\n", "bare-cr"),
        (b"8000000000000000\r\n", "chunk-size-overflow"),
        (b"fffffffffffffffff\r\n", "chunk-size-overflow"),
        (b"00000000000000005\r\nhello\r\n0\r\n\r\n", "chunk-size-overflow"),
        (b"5\r\nhelloXX0\r\n\r\n", "chunk-end-malformed"),
        (b"5\r\nhello0\r\n\r\n", "chunk-end-malformed"),
        (b"5\r\nhello\n0\r\n\r\n", "chunk-end-malformed"),
        (b"5\r\nhello\rX0\r\n\r\n", "chunk-end-malformed"),
        (b"5\r\nhello!\r\n0\r\n\r\n", "chunk-end-malformed"),
        (b"5;a\nb\r\nhello\r\n0\r\n\r\n", "bare-lf"),
        (b"5;a\rb\r\nhello\r\n0\r\n\r\n", "bare-cr"),
        (b"5;a\0\r\nhello\r\n0\r\n\r\n", "chunk-extension-character"),
        (b'5;a="b\r\nhello\r\n0\r\n\r\n"\r\n', None),
        (b"5;" + b"a" * 4096 + b"\r\nhello\r\n0\r\n\r\n", "chunk-extensions-too-large"),
        (b"1;aaaaaaa\r\nx\r\n" * 1000 + b"0\r\n\r\n", "chunk-extensions-too-large"),
        (b"0\r\n\rX", "bare-cr"),
        (b"0\r\n\n", "bare-lf"),
        (b"0\r\nX: y\n\r\n", "bare-lf"),
        (b"0\r\nX: y\rz\r\n\r\n", "bare-cr"),
        (b"0\r\nX : y\r\n\r\n", "header-name-space"),
        (b"0\r\n X: y\r\n\r\n", "headers-leading-space"),
        (b"0\r\nX: y\r\n z\r\n\r\n", "header-folded"),
        (b"0\r\n: y\r\n\r\n", "header-name-empty"),
        (b"0\r\nX: \0\r\n\r\n", "header-value-character"),
        (b"0\r\nGET / HTTP/1.1\r\n\r\n", "header-name-space"),
        (b"0\r\n" + b"X: y\r\n" * 65 + b"\r\n", "headers-too-many"),
        (b"0\r\nX: " + b"y" * 8192 + b"\r\n\r\n", "trailers-too-large"),
    ],
)
def test_refuses_what_others_let_through(data: bytes, slug: str | None) -> None:
    verdict = check_chunked(data, [1, 5, 9])
    if slug is None:
        assert verdict > 0
    else:
        assert PROBLEMS[-verdict][1] == slug


def test_a_chunk_may_announce_2_to_the_63_minus_1_bytes() -> None:
    assert ChunkedDecoder().decode(b"7fffffffffffffff\r\nabc") == (b"abc", 21, False)


def test_nothing_after_the_end_belongs_to_the_body() -> None:
    decoder = ChunkedDecoder()
    assert decoder.decode(b"0\r\n\r\nGET") == (b"", 5, True)
    assert decoder.decode(b"GET") == (b"", 0, True)


def test_a_body_without_trailers_has_no_fields() -> None:
    decoder = ChunkedDecoder()
    decoder.decode(b"0\r\n\r\n")
    assert decoder.fields is None


def test_trailers_are_kept_apart() -> None:
    decoder = ChunkedDecoder()
    decoder.decode(b"1\r\nx\r\n0\r\nX-Checksum: 1\r\nETag:  e\r\nGrpc-Status:0\r\n\r\n")
    assert decoder.fields is not None
    assert decoder.fields.items() == [(b"X-Checksum", b"1"), (b"ETag", b"e"), (b"Grpc-Status", b"0")]


@pytest.mark.parametrize(
    "name",
    [
        *(name for _, name, _ in KNOWN_NAMES if name != b"etag"),
        b"X-Forwarded-Anything",
        b"X-Consumer-Id",
        b"X-Authenticated-User",
        b"X-Credential-Key",
        b"Content_Length",
        b"x_forwarded_for",
    ],
)
def test_a_trailer_cannot_say_what_a_header_decides(name: bytes) -> None:
    decoder = ChunkedDecoder()
    assert decoder.decode(b"0\r\nA: 1\r\n" + name + b": x\r\n\r\n")[2]
    assert decoder.fields is not None
    assert decoder.fields.items() == [(b"A", b"1")]


def test_a_decoder_can_decode_another_body_after_any_end() -> None:
    decoder = ChunkedDecoder(10, 20)
    for before in (b"", b"5", b"5;a", b"5\r\nhel", b"0\r\nX: ", b"0\r\nX: y\r\n\r\n", b"0\r\n\r\n", b"zzz"):
        decoder.decode(before)
        decoder.restart()
        assert decoder.fields is None
        assert decoder.decode(b"5\r\nhello\r\n0\r\n\r\n") == (b"hello", 15, True)
        decoder.restart()
