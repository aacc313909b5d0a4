import re
import resource
import select
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.conftest import Start
from tests.processes.load import Load
from tests.processes.served import Served, eventually, fixed

CONNECTIONS = 10_000
SPARE_FILES = 400
FOR_EACH_ADDRESS = 1_000  # so that no source address runs out of ports
REQUEST = b"GET /hello HTTP/1.1\r\nHost: agora.test\r\nUser-Agent: idle\r\n\r\n"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: nothing is left behind in TIME_WAIT
MOST_BYTES_EACH = 5_000
AT_ONCE = 100


@pytest.fixture
def files() -> Iterator[None]:
    """Allow as many open files as the system does, here and in the processes that start."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert before[1] >= CONNECTIONS + SPARE_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def resident(process: int) -> int:
    """Return a process's resident memory in bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def open_connections(port: int, count: int) -> list[socket.socket]:
    """Open connections, each of which has had one answer."""
    opened: list[socket.socket] = []
    while len(opened) < count:
        source = f"127.0.0.{2 + len(opened) // FOR_EACH_ADDRESS}"
        some = []
        for _ in range(AT_ONCE):
            made = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            made.sendall(REQUEST)
            some.append(made)
        for made in some:
            assert made.recv(4096).endswith(b"\r\n\r\nhi")
        opened += some
    return opened


def close(connections: list[socket.socket]) -> None:
    for connection in connections:
        connection.close()


async def test_thousands_of_idle_connections_cost_little_and_slow_nothing(agora: Start, files: None) -> None:
    served = await agora(fixed("hi"))
    close(open_connections(served.port, 3 * AT_ONCE))  # what is only made once, is made
    before = resident(served.process.pid)
    connections = open_connections(served.port, CONNECTIONS)
    try:
        grown = resident(served.process.pid) - before
        assert grown / CONNECTIONS < MOST_BYTES_EACH
        assert await served.count("agora_connections") == CONNECTIONS + 1
        async with Load(served) as load:
            await load.more(1_000)
        assert load.broken == 0
        poll = select.poll()
        for connection in connections:
            poll.register(connection, select.POLLIN)
        assert poll.poll(0) == []  # all are open still, and were told nothing
        for connection in connections[:: CONNECTIONS // 50]:
            connection.sendall(REQUEST)
            assert connection.recv(4096).endswith(b"\r\n\r\nhi")
    finally:
        close(connections)
    await eventually(lambda: only_one(served), "the connections are gone")


async def only_one(served: Served) -> bool:
    return await served.count("agora_connections") == 1
