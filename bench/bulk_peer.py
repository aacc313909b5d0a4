"""The two ends of a large body: a client and an upstream on blocking sockets that can receive slowly.

What is sent is one block again and again; the receiver compares length and CRC, so a byte lost, doubled
or moved is seen. The head of a request tells the upstream what to do (path /SIZE/FRAMING/PACE). Called
by large_body.
"""

import contextlib
import enum
import http.client
import io
import random
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

# NOTE: an odd length, so that the pattern never lines up with the buffers of a gateway.
BLOCK = random.Random(1).randbytes(65_521)
PIECE = 1 << 16


class Framing(enum.StrEnum):
    """How a body says where it ends."""

    LENGTH = "length"
    CHUNKED = "chunked"


class TransferFailed(RuntimeError):
    """A body arrived shortened, damaged or with a bad status."""


@dataclass(frozen=True)
class Pace:
    """How slowly a receiver begins."""

    stall: float  # seconds without reading anything
    trickle_bytes: int  # bytes then read slowly
    trickle_pause: float  # seconds between two pieces of these


SLOW_START = Pace(stall=1.5, trickle_bytes=8 << 20, trickle_pause=0.01)
FULL_SPEED = Pace(stall=0.0, trickle_bytes=0, trickle_pause=0.0)
PACES = {"slow": SLOW_START, "full": FULL_SPEED}


def pattern_crc(size: int) -> int:
    """Return the CRC of the first `size` bytes of the pattern."""
    crc = 0
    for piece in pattern(size):
        crc = zlib.crc32(piece, crc)
    return crc


def pattern(size: int) -> Iterator[memoryview]:
    """Yield the first `size` bytes of the endlessly repeated block."""
    block = memoryview(BLOCK)
    for _ in range(size // len(BLOCK)):
        yield block
    yield block[: size % len(BLOCK)]


def framing_header(framing: Framing, size: int) -> str:
    """Return the header line that announces a body."""
    return f"Content-Length: {size}" if framing is Framing.LENGTH else "Transfer-Encoding: chunked"


def send_body(connection: socket.socket, size: int, framing: Framing) -> None:
    """Send the pattern as fast as the peer takes it."""
    for piece in pattern(size):
        if framing is Framing.LENGTH:
            connection.sendall(piece)
        elif piece:
            connection.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")
    if framing is Framing.CHUNKED:
        connection.sendall(b"0\r\n\r\n")


def open_reader(connection: socket.socket) -> io.BufferedReader:
    """Return a buffered reader of what the peer sends."""
    return io.BufferedReader(socket.SocketIO(connection, "r"), PIECE)


def receive_body(stream: io.BufferedReader, headers: http.client.HTTPMessage, pace: Pace) -> tuple[int, int]:
    """Read a body at the given pace; return its length and CRC."""
    total = crc = 0
    time.sleep(pace.stall)
    for piece in body_pieces(stream, headers):
        total += len(piece)
        crc = zlib.crc32(piece, crc)
        if total < pace.trickle_bytes:
            time.sleep(pace.trickle_pause)
    return total, crc


def body_pieces(stream: io.BufferedReader, headers: http.client.HTTPMessage) -> Iterator[bytes]:
    """Yield the pieces of a body framed as its headers say."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        yield from _exactly(stream, int(headers["content-length"]))
        return
    while size := int(stream.readline(), 16):
        yield from _exactly(stream, size)
        stream.readline()
    while stream.readline() not in (b"\r\n", b""):
        pass


def _exactly(stream: io.BufferedReader, size: int) -> Iterator[bytes]:
    while size:
        piece = stream.read(min(size, PIECE))
        if not piece:
            raise TransferFailed(f"closed {size} bytes before the end")
        size -= len(piece)
        yield piece


def upload(connection: socket.socket, size: int, framing: Framing, pace: Pace) -> float:
    """Send `size` bytes to the upstream, which receives at `pace`; return the seconds it took."""
    start = time.monotonic()
    connection.sendall(_head(f"POST {_path(size, framing, pace)} HTTP/1.1", framing_header(framing, size)))
    send_body(connection, size, framing)
    status, headers, stream = _read_head(connection)
    answer = b"".join(body_pieces(stream, headers))
    expected = f"{size} {pattern_crc(size)}".encode()
    if b" 200 " not in status or answer != expected:
        raise TransferFailed(f"upload: {status!r} {answer!r}, expected {expected!r}")
    return time.monotonic() - start


def download(connection: socket.socket, size: int, framing: Framing, pace: Pace) -> float:
    """Receive `size` bytes from the upstream at `pace`; return the seconds it took."""
    start = time.monotonic()
    connection.sendall(_head(f"GET {_path(size, framing, pace)} HTTP/1.1"))
    status, headers, stream = _read_head(connection)
    received = receive_body(stream, headers, pace)
    expected = (size, pattern_crc(size))
    if b" 200 " not in status or received != expected:
        raise TransferFailed(f"download: {status!r} {received}, expected {expected}")
    return time.monotonic() - start


def _path(size: int, framing: Framing, pace: Pace) -> str:
    return f"/{size}/{framing}/{'slow' if pace is SLOW_START else 'full'}"


def _head(first_line: str, *lines: str) -> bytes:
    return "\r\n".join([first_line, "Host: bench.test", *lines, "", ""]).encode()


def _read_head(connection: socket.socket) -> tuple[bytes, http.client.HTTPMessage, io.BufferedReader]:
    stream = open_reader(connection)
    return stream.readline(), http.client.parse_headers(stream), stream


class BulkUpstream:
    """An upstream that swallows or sends large bodies, a thread for each connection."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self.listener.getsockname()[1])
        self.connections: list[socket.socket] = []

    def serve(self) -> None:
        """Accept until the listener is shut down."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._answer_all, args=(connection,), daemon=True).start()

    def _answer_all(self, connection: socket.socket) -> None:
        """Answer the requests of one connection until it ends; a gateway may close it at any time."""
        connection.settimeout(60)
        with contextlib.suppress(OSError), connection:
            stream = open_reader(connection)
            while line := stream.readline():
                headers = http.client.parse_headers(stream)
                method, path = line.decode().split()[:2]
                size, framing, pace = (
                    path.strip("/").split("/") if path.count("/") == 3 else ("2", "length", "full")
                )
                if method == "POST":
                    answer = "{} {}".format(*receive_body(stream, headers, PACES[pace])).encode()
                    connection.sendall(_head("HTTP/1.1 200 OK", f"Content-Length: {len(answer)}") + answer)
                else:
                    connection.sendall(_head("HTTP/1.1 200 OK", framing_header(Framing(framing), int(size))))
                    send_body(connection, int(size), Framing(framing))

    def close(self) -> None:
        """Close the listener and every connection."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def bulk_upstream() -> Iterator[BulkUpstream]:
    """Run the upstream in a thread."""
    upstream = BulkUpstream()
    thread = threading.Thread(target=upstream.serve, name="bulk-upstream")
    thread.start()
    try:
        yield upstream
    finally:
        upstream.close()
        thread.join()
