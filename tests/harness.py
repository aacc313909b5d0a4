"""Run the gateway's native door, upstream servers and clients over real sockets, in one event loop.

`serving(config)` is a gateway; `Origin` an upstream server that does what its script says, byte by byte;
`Client` a raw connection; `scripted(...)` a plugin made of functions. Nothing here waits for time to pass:
every wait is for bytes or for an event.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from core._fast.pool import Pool
from core.plugin import PHASES, Plugin, PluginConfig
from gateway.config import from_data
from gateway.control import system_routes
from gateway.data_plane import DataPlane
from gateway.tls import renewable_context

PATIENCE = 10.0  # seconds that a test waits for what must come
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close by a reset

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Gateway:
    """Be a running gateway: where it listens, and its data plane."""

    def __init__(self, plane: DataPlane, port: int, path: str | None) -> None:
        self.plane = plane
        self.port = port
        self.path = path  # of its unix socket, if it listens on one
        self.clients: list[Client] = []  # closed at the end

    async def connect(self, **options: Any) -> Client:
        """Open a raw connection."""
        if self.path is not None:
            client = Client(*await asyncio.open_unix_connection(self.path, **options))
        else:
            client = await connect(self.port, **options)
        self.clients.append(client)
        return client

    async def exchange(self, request: bytes) -> bytes:
        """Send a request on a connection of its own; return everything up to the close."""
        client = await self.connect()
        client.send(request)
        received = await client.read_all()
        client.abort()
        return received

    async def ask(self, request: bytes, *, to_head: bool = False) -> Answer:
        """Send a request on a connection of its own; return the answer to it."""
        client = await self.connect()
        client.send(request)
        answer = await client.response(to_head=to_head)
        client.abort()
        return answer

    async def configure(self, config: dict[str, Any]) -> None:
        """Put another configuration in force."""
        data_dir = self.plane.config.server.data_dir
        server = {"data_dir": str(data_dir), "listen": "127.0.0.1:0", **config.get("server", {})}
        await self.plane.reload(from_data({**config, "server": server}, folder=data_dir))

    def pool(self, upstream: str = "u") -> Pool:
        """Return the connections to the first server of an upstream."""
        assert self.plane._built is not None
        for (settings, _), found in self.plane._built.upstreams.items():
            if settings.name == upstream:
                return found.servers[0].pool
        raise LookupError(upstream)

    def count(self, sample: str, **labels: str) -> float:
        """Return a metric's value, summed over the labels that are not given."""
        text = self.plane.meters.exposition()[0].decode()
        return sum(
            found.value
            for family in text_string_to_metric_families(text)
            for found in family.samples
            if found.name == sample and labels.items() <= found.labels.items()
        )


@contextlib.asynccontextmanager
async def serving(
    config: dict[str, Any],
    *,
    system: bool = False,
    path: str | None = None,
) -> AsyncIterator[Gateway]:
    """Serve a configuration, given as the plain data of a file, on a free port, or on a unix socket's path."""  # noqa: E501
    with tempfile.TemporaryDirectory() as folder:
        server = {"data_dir": folder, "listen": "127.0.0.1:0", **config.get("server", {})}
        plane = DataPlane(from_data({**config, "server": server}, folder=Path(folder)))
        await plane.start(system_routes if system else None)
        if path is None:
            listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        else:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen()
        if (tls := plane.config.server.tls) is None:
            accepting: Any = plane.reactor.listen(listener, plane.door.protocol)
        else:
            listener.setblocking(False)
            accepting = await asyncio.get_running_loop().create_server(
                plane.door.protocol,
                sock=listener,
                ssl=renewable_context(tls),
                ssl_handshake_timeout=float(plane.config.server.timeouts.head) or None,
            )
        gateway = Gateway(plane, 0 if path is not None else listener.getsockname()[1], path)
        try:
            yield gateway
        finally:
            for client in gateway.clients:
                client.abort()
            accepting.close()
            listener.close()
            plane.door.drain(lambda: None)
            plane.door.abort()
            await eventually(lambda: plane.door.connections == 0)
            await plane.close()


def upstream(*servers: str | Origin, **settings: Any) -> dict[str, Any]:
    """Return a configuration that sends every request to servers; `route` and others go in beside `name`."""
    targets = [server if isinstance(server, str) else server.url for server in servers]
    return {
        "upstream": [{"name": "u", "targets": targets, **settings}],
        "route": [{"name": "r", "path": "/{rest:path}", "upstream": "u"}],
    }


def responding(body: str = "hello", **settings: Any) -> dict[str, Any]:
    """Return a configuration that gives every request the same answer."""
    return {
        "route": [{"name": "r", "path": "/{rest:path}", "respond": {"body": body, **settings}}],
    }


# -- messages ---------------------------------------------------------------------------------------------


class Message:
    """Be a request or a response as it was received."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.start, *lines = head[:-4].split(b"\r\n")
        self.fields = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
        self.body = bytearray()
        self.trailers: list[bytes] = []

    def header(self, name: bytes) -> bytes | None:
        """Return the first field of that name."""
        return next((value for field, value in self.fields if field.lower() == name), None)

    def all(self, name: bytes) -> list[bytes]:
        """Return every field of that name."""
        return [value for field, value in self.fields if field.lower() == name]


class Answer(Message):
    """Be a response as it was received."""

    def __init__(self, head: bytes) -> None:
        super().__init__(head)
        self.status = int(self.start.split(b" ")[1])


class Received(Message):
    """Be a request as an upstream server received it."""

    def __init__(self, head: bytes) -> None:
        super().__init__(head)
        self.method, self.target, self.version = self.start.split(b" ")


# -- connections ------------------------------------------------------------------------------------------


class Client:
    """Be one raw connection: bytes out, bytes in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """Write without waiting; a peer that has gone hears nothing."""
        if not self.writer.is_closing():
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
        return (await self.read_to_end())[0]

    async def read_to_end(self) -> tuple[bytes, bool]:
        """Read until the peer closes; tell also whether it was by a reset."""
        received = bytearray()
        async with asyncio.timeout(PATIENCE):
            try:
                while piece := await self.reader.read(65536):
                    received += piece
            except ConnectionError:
                return bytes(received), True
        return bytes(received), False

    async def response(self, *, to_head: bool = False) -> Answer:
        """Read one response."""
        answer = Answer(await self.read_until(b"\r\n\r\n"))
        if to_head or answer.status in (204, 304) or answer.status < 200:
            return answer
        if answer.header(b"transfer-encoding") == b"chunked":
            await self._read_chunks(answer)
        elif (length := answer.header(b"content-length")) is not None:
            answer.body += await self.read_exactly(int(length))
        else:
            answer.body += await self.read_all()
        return answer

    async def request(self) -> Received:
        """Read one request."""
        received = Received(await self.reader.readuntil(b"\r\n\r\n"))
        if received.header(b"transfer-encoding") == b"chunked":
            await self._read_chunks(received)
        elif (length := received.header(b"content-length")) is not None:
            received.body += await self.reader.readexactly(int(length))
        return received

    async def _read_chunks(self, message: Message) -> None:
        while size := int((await self.read_until(b"\r\n")).split(b";")[0], 16):
            message.body += await self.read_exactly(size)
            assert await self.read_exactly(2) == b"\r\n"
        while line := (await self.read_until(b"\r\n"))[:-2]:
            message.trailers.append(line)

    async def closed(self) -> bool:
        """Tell whether the peer closes without sending more."""
        return await self.read_all() == b""

    def close_sending(self) -> None:
        """Send no more, but go on reading."""
        self.writer.write_eof()

    def close(self) -> None:
        """Close once everything is sent."""
        self.writer.close()

    def abort(self) -> None:
        """Close at once."""
        self.writer.transport.abort()

    def reset(self) -> None:
        """Close at once, by a reset."""
        if self.writer.is_closing():
            return
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.writer.transport.abort()


async def connect(port: int, *, limit: int = 2**22, **options: Any) -> Client:
    """Open a raw connection to a port of this machine; ``limit``: bytes that are read ahead."""
    return Client(*await asyncio.open_connection("127.0.0.1", port, limit=limit, **options))


async def eventually(condition: Callable[[], bool]) -> None:
    """Let the loop run on until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0)


async def turning(seconds: float) -> AsyncIterator[float]:
    """Yield, for so long, once in each turn of the loop: for what is slow by nature. Yields the share gone by."""  # noqa: E501
    loop = asyncio.get_running_loop()
    began = loop.time()
    while (gone := loop.time() - began) < seconds:
        yield gone / seconds
        await asyncio.sleep(0)


# -- upstream servers -------------------------------------------------------------------------------------

Script = Callable[[Client], Awaitable[None]]


class Origin:
    """Be an upstream server whose every connection runs a script."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None, path: str | None = None) -> None:
        self._script = script
        self._tls = tls
        self._path = path
        self._clients: set[Client] = set()
        self.connections = 0  # accepted so far
        self.errors: list[BaseException] = []

    async def __aenter__(self) -> Self:
        """Listen on a free port, or on the path."""
        if self._path is not None:
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=2**22)
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**22, ssl=self._tls)
            self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and cut what is open; raise what a script raised."""
        self._server.close()
        for client in self._clients:
            client.abort()
        await eventually(lambda: not self._clients)
        for error in self.errors:
            raise error

    @property
    def url(self) -> str:
        """Give the URL for an upstream's targets."""
        if self._path is not None:
            return f"unix:{self._path}"
        return f"https://localhost:{self.port}" if self._tls else f"http://127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """Count the connections whose scripts still run."""
        return len(self._clients)

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


class Recorder(Origin):
    """Be an upstream server that keeps the requests it gets and answers each with the same bytes."""

    def __init__(self, answer: bytes = HELLO, **options: Any) -> None:
        super().__init__(self._record, **options)
        self.answer = answer
        self.requests: list[Received] = []

    async def _record(self, client: Client) -> None:
        while True:
            self.requests.append(await client.request())
            client.send(self.answer)


def answering(response: bytes) -> Script:
    """Return a script that answers each request with the same bytes."""

    async def script(client: Client) -> None:
        while True:
            await client.request()
            client.send(response)

    return script


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- plugins ----------------------------------------------------------------------------------------------


class Scripted(Plugin):
    """Be a plugin whose phases are the functions given to `scripted`."""

    class Config(PluginConfig, frozen=True):
        """Name the functions."""

        script: str  # a key of `scripts`

    def __init__(self, config: Config, site: Any) -> None:
        self.unused = frozenset(PHASES)
        for name, value in scripts[config.script].items():
            setattr(self, name, value)
            self.unused -= {name}

    def log(self, exchange: Any) -> None:
        """Stand for the phases: a class must have one."""


scripts: dict[str, dict[str, Any]] = {}
numbers = itertools.count()


def scripted(**members: Any) -> dict[str, Any]:
    """Return the table of a plugin with these phases, as functions without `self`, and other members."""
    name = str(next(numbers))
    scripts[name] = members
    return {"use": "tests.harness:Scripted", "script": name}
