"""The memory of idle keep-alive connections: each does one request through the gateway, then stays open.

The growth of the gateway's resident memory over a warmed-up baseline, divided by the connections. At the
end all connections must still be open and a sample of them must still answer. Called by `python -m
bench`.
"""

import contextlib
import resource
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import BODY, PATH, Contender, Scenario
from bench.process import GATEWAY_CORE, Server, resident_bytes, running
from bench.process_cost import cpu_nanoseconds
from bench.upstream import small_json_upstream

CONNECTIONS = 10_000
FOR_EACH_ADDRESS = 1_000  # connections from one source address, below usual limits for a client
SPARE_FILES = 500  # descriptors for everything but the connections
WARM_UP = 20  # connections opened and closed before the baseline is read
SETTLE = 1.0  # seconds before memory is read
WATCH = 2.0  # seconds over which the processor time of idling is read
REQUEST = f"GET {PATH} HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: idle\r\n\r\n".encode()


class IdleFailed(RuntimeError):
    """A connection was refused, closed or answered wrongly."""


@dataclass(frozen=True)
class IdleResult:
    """What the idle connections cost one gateway."""

    connections: int
    bytes_each: float
    rss_before: int
    rss_after: int
    cpu_share: float  # share of a core used while all connections idle, 0..1


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one; children inherit it. Return the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def measure_idle(contender: Contender, connections: int = CONNECTIONS) -> IdleResult:
    """Open `connections` through one contender and return what they cost."""
    if raise_file_limit() < connections + SPARE_FILES:
        raise IdleFailed(f"the limit of open files is too low for {connections} connections: ulimit -Hn")

    def command(directory: Path, port: int) -> list[str]:
        return contender.command(Scenario.IDLE, directory, port, upstream.port)

    with (
        small_json_upstream() as upstream,
        running(contender.name, command, GATEWAY_CORE, contender.ready_path) as server,
    ):
        with open_connections(server, WARM_UP):
            pass
        before = _settled_rss(server)
        with open_connections(server, connections) as sockets:
            after = _settled_rss(server)
            cpu_share = _cpu_share(server)
            _check_alive(sockets)
    return IdleResult(connections, (after - before) / connections, before, after, cpu_share)


@contextlib.contextmanager
def open_connections(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """Open connections one after the other, each with one answered request; close them at the end."""
    sockets: list[socket.socket] = []
    try:
        for number in range(count):
            source = f"127.0.0.{2 + number // FOR_EACH_ADDRESS}"
            address = ("127.0.0.1", server.port)
            sockets.append(socket.create_connection(address, timeout=5, source_address=(source, 0)))
            _exchange(sockets[-1])
        yield sockets
    except OSError as error:
        raise IdleFailed(
            f"{server.name}, connection {len(sockets)}: {error}\n{server.last_words()}"
        ) from error
    finally:
        for connection in sockets:
            connection.close()


def _exchange(connection: socket.socket) -> None:
    """Send one request and read its whole answer, whose end is the known body (or its last chunk)."""
    connection.sendall(REQUEST)
    answer = b""
    while not answer.endswith((BODY, BODY + b"\r\n0\r\n\r\n")):
        piece = connection.recv(4096)
        if not piece:
            raise IdleFailed(f"closed after {answer!r}")
        answer += piece
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise IdleFailed(f"answered {answer!r}")


def _settled_rss(server: Server) -> int:
    time.sleep(SETTLE)
    return resident_bytes(server.pids())


def _cpu_share(server: Server) -> float:
    pids = server.pids()
    before, start = cpu_nanoseconds(pids), time.monotonic_ns()
    time.sleep(WATCH)
    return (cpu_nanoseconds(pids) - before) / (time.monotonic_ns() - start)


def _check_alive(sockets: list[socket.socket]) -> None:
    """Raise IdleFailed if a connection was closed, or if one of a sample no longer answers."""
    poll = select.poll()
    for connection in sockets:
        poll.register(connection, select.POLLIN | select.POLLHUP)
    closed = poll.poll(0)
    if closed:
        raise IdleFailed(f"{len(closed)} of {len(sockets)} idle connections were closed")
    for connection in sockets[::100]:
        _exchange(connection)
