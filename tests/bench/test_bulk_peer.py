import http.client
import io
import socket
from collections.abc import Callable

import pytest

from bench.bulk_peer import (
    BLOCK,
    FULL_SPEED,
    Framing,
    Pace,
    TransferFailed,
    body_pieces,
    bulk_upstream,
    download,
    pattern,
    pattern_crc,
    upload,
)

Move = Callable[[socket.socket, int, Framing, Pace], float]
SIZE = 2 * len(BLOCK) + 17


def headers(text: str) -> http.client.HTTPMessage:
    return http.client.parse_headers(io.BytesIO(text.encode() + b"\r\n"))


def pieces(data: bytes, text: str) -> bytes:
    return b"".join(body_pieces(io.BufferedReader(io.BytesIO(data)), headers(text)))


def test_the_pattern_has_the_size_asked_for() -> None:
    assert sum(map(len, pattern(SIZE))) == SIZE


def test_the_crc_tells_bodies_of_different_sizes_apart() -> None:
    assert pattern_crc(SIZE) != pattern_crc(SIZE - 1)


def test_reads_a_body_with_a_length_and_leaves_what_follows() -> None:
    assert pieces(b"hello next", "Content-Length: 5\r\n") == b"hello"


def test_reads_a_chunked_body_with_a_trailer() -> None:
    data = b"5\r\nhello\r\n3\r\n, w\r\n0\r\nX-Sum: 1\r\n\r\n"
    assert pieces(data, "Transfer-Encoding: chunked\r\n") == b"hello, w"


def test_a_body_that_ends_early_is_an_error() -> None:
    with pytest.raises(TransferFailed, match="2 bytes before"):
        pieces(b"abc", "Content-Length: 5\r\n")


@pytest.mark.parametrize("framing", list(Framing))
@pytest.mark.parametrize("move", [upload, download])
def test_a_body_arrives_whole_without_a_gateway(move: Move, framing: Framing) -> None:
    with bulk_upstream() as upstream, socket.create_connection(("127.0.0.1", upstream.port), 5) as connection:
        assert move(connection, SIZE, framing, FULL_SPEED) >= 0
        assert move(connection, SIZE, framing, FULL_SPEED) >= 0
