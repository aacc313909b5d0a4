import asyncio
import os
import socket

import pytest

from core._fast.client import ClientConnection
from core._fast.reactor import Reactor


async def test_a_connection_that_gets_no_protocol_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    """A peer is not left waiting, and no descriptor stays open."""

    def factory() -> ClientConnection:
        raise RuntimeError("no protocol today")

    loop = asyncio.get_running_loop()
    reactor = Reactor(loop)
    with socket.create_server(("127.0.0.1", 0)) as server:
        reactor.listen(server, factory)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with socket.socket() as client:
                client.setblocking(False)
                await loop.sock_connect(client, server.getsockname())
                assert await asyncio.wait_for(loop.sock_recv(client, 1), 10) == b""
        assert len(os.listdir("/proc/self/fd")) == before
        reactor.close()
    assert [record.message for record in caplog.records] == ["a new connection has no protocol"] * 3
