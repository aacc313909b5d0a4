"""Run the gateway's native door, upstream servers and clients over real sockets, in one event loop.

`serving(config)` is a gateway; `Origin` an upstream server that does what its script says, byte by byte;
`Client` a raw connection. Nothing here waits for time to pass: every wait is for bytes or for an event.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from gateway.config import from_data
from gateway.control import system_routes
from gateway.data_plane import DataPlane

PATIENCE = 10.0  # seconds that a test waits for what must come


class Gateway:
    """Be a running gateway: where it listens, and its data plane."""

    def __init__(self, plane: DataPlane, port: int) -> None:
        self.plane = plane
        self.port = port

    async def connect(self) -> Client:
        """Open a raw connection."""
        return await connect(self.port)

    async def exchange(self, request: bytes) -> bytes:
        """Send a request on a connection of its own; return everything up to the close."""
        client = await self.connect()
        client.send(request)
        try:
            return await client.read_all()
        finally:
            client.abort()


@contextlib.asynccontextmanager
async def serving(config: dict[str, Any], *, system: bool = False) -> AsyncIterator[Gateway]:
    """Serve a configuration, given as the plain data of a file, on a free port."""
    with tempfile.TemporaryDirectory() as folder:
        server = {"data_dir": folder, "listen": "127.0.0.1:0", **config.get("server", {})}
        plane = DataPlane(from_data({**config, "server": server}, folder=Path(folder)))
        await plane.start(system_routes if system else None)
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        accepting = plane.reactor.listen(listener, plane.door.protocol)
        try:
            yield Gateway(plane, listener.getsockname()[1])
        finally:
            accepting.close()
            listener.close()
            plane.door.drain(lambda: None)
            plane.door.abort()
            await plane.close()


class Client:
    """Be one raw connection: bytes out, bytes in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """Write without waiting."""
        self.writer.write(data)

    async def drain(self) -> None:
        """Wait until the peer takes bytes again."""
        async with asyncio.timeout(PATIENCE):
            await self.writer.drain()

    async def read_until(self, end: bytes) -> bytes:
        """Read up to and with ``end``."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(end)

    async def read_exactly(self, size: int) -> bytes:
        """Read so many bytes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(size)

    async def read_all(self) -> bytes:
        """Read until the peer closes; a reset ends it too."""
        received = bytearray()
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionResetError):
                while piece := await self.reader.read(65536):
                    received += piece
        return bytes(received)

    async def response(self, *, to_head: bool = False) -> Answer:
        """Read one response."""
        head = await self.read_until(b"\r\n\r\n")
        answer = Answer(head)
        if to_head or answer.status in (204, 304) or answer.status < 200:
            return answer
        if answer.header(b"transfer-encoding") == b"chunked":
            while size := int((await self.read_until(b"\r\n")).split(b";")[0], 16):
                answer.body += await self.read_exactly(size)
                assert await self.read_exactly(2) == b"\r\n"
            while line := (await self.read_until(b"\r\n"))[:-2]:
                answer.trailers.append(line)
        elif (length := answer.header(b"content-length")) is not None:
            answer.body += await self.read_exactly(int(length))
        else:
            answer.body += await self.read_all()
        return answer

    async def closed(self) -> bool:
        """Tell whether the peer closes without sending more."""
        return await self.read_all() == b""

    def close_sending(self) -> None:
        """Send no more, but go on reading."""
        self.writer.write_eof()

    def abort(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()


class Answer:
    """Be a response as it was received."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        lines = head[:-4].split(b"\r\n")
        self.status = int(lines[0].split(b" ")[1])
        self.fields = [tuple(line.split(b": ", 1)) for line in lines[1:]]
        self.body = bytearray()
        self.trailers: list[bytes] = []

    def header(self, name: bytes) -> bytes | None:
        """Return the first field of that name."""
        return next((value for field, value in self.fields if field.lower() == name), None)


async def connect(port: int) -> Client:
    """Open a raw connection to a port of this machine."""
    return Client(*await asyncio.open_connection("127.0.0.1", port, limit=2**22))


Script = Callable[[Client], Awaitable[None]]


class Origin:
    """Be an upstream server whose every connection runs a script."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._clients: set[Client] = set()
        self.connections = 0
        self.errors: list[BaseException] = []

    async def __aenter__(self) -> Origin:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**22)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and cut what is open; raise what a script raised."""
        self._server.close()
        for client in self._clients:
            client.abort()
        for error in self.errors:
            raise error

    @property
    def url(self) -> str:
        """Give the URL for an upstream's targets."""
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(reader, writer)
        self._clients.add(client)
        self.connections += 1
        try:
            await self._script(client)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the gateway went first: what the test looks at is the client's side
        except BaseException as error:
            self.errors.append(error)
        finally:
            self._clients.discard(client)
            writer.close()


def answering(response: bytes) -> Script:
    """Return a script that answers each request with the same bytes."""

    async def script(client: Client) -> None:
        while True:
            head = await client.reader.readuntil(b"\r\n\r\n")
            length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            if length:
                await client.reader.readexactly(int(length[0].split(b":")[1]))
            client.send(response)

    return script


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
