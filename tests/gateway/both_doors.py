"""Run one configuration behind the native door and under real ASGI servers, before one upstream.

`all_doors` starts them all; `Backend` is the upstream, whose answers a test scripts by path. Two doors'
answers are held to `agree`: on status, headers but for those that are the server's own, and body.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Container
from pathlib import Path
from typing import Any

from tests.harness import PATIENCE, Answer, Client, Origin, connect, free_port, serving

ROOT = Path(__file__).parents[2]
STARTING = 60.0  # seconds that a server may take to start
SERVERS = ("uvicorn", "uvicorn-wsproto", "hypercorn", "granian")
DOORS = ("native", *SERVERS)
LENGTH = "Content-Length: {}".format
CHUNKED = "Transfer-Encoding: chunked"
# The server's own: how it frames, what it calls itself, when it answered.
SERVERS_OWN = (b"connection", b"date", b"keep-alive", b"server", b"transfer-encoding")

# NOTE: h11 limits a head that comes in several reads, and not one that comes in a single read. Above the
# gateway's own limit it is out of the way, and the answer no longer depends on how TCP cuts the request.
H11_LIMIT = 1 << 20
UVICORN = (
    *("uvicorn", "gateway.app:app", "--port", "{port}", "--no-proxy-headers"),
    *("--h11-max-incomplete-event-size", str(H11_LIMIT)),
)
HYPERCORN = f"h11_max_incomplete_size = {H11_LIMIT}\n"

COMMANDS: dict[str, tuple[list[str], str]] = {
    "uvicorn": ([*UVICORN, "--ws", "websockets-sansio"], "Uvicorn running"),
    "uvicorn-wsproto": ([*UVICORN, "--ws", "wsproto"], "Uvicorn running"),
    "hypercorn": (
        ["hypercorn", "gateway.app:app", "--bind", "127.0.0.1:{port}", "--config", "{folder}/hypercorn.toml"],
        "Running on",
    ),
    "granian": (
        ["granian", "--interface", "asgi", "--port", "{port}", "gateway.app:app"],
        "Started worker-1",
    ),
}


def config_for(upstream: int) -> dict[str, Any]:
    """Return the configuration that every door serves."""
    return {
        "server": {"name": "agora-test", "trusted_proxies": ["127.0.0.2/32"], "limits": {"body": "8MiB"}},
        "upstream": [{"name": "up", "targets": [f"http://127.0.0.1:{upstream}"]}],
        "route": [
            {
                "name": "fixed",
                "path": "/fixed",
                "methods": ["GET", "POST"],
                "respond": {"body": "fixed", "headers": {"X-Fixed": "yes"}},
            },
            {
                "name": "moved",
                "path": "/moved",
                "respond": {"status": 308, "headers": {"location": "/fixed"}},
            },
            {"name": "up", "path": "/up/{rest:path}", "upstream": "up"},
            {"name": "app", "path": "/app/{rest:path}", "app": "tests.gateway.apps:app"},
            {
                "name": "small",
                "path": "/small/{rest:path}",
                "upstream": "up",
                "plugin": [{"use": "size-limit", "request": 10}],
            },
            {
                "name": "unlimited",
                "path": "/unlimited/{rest:path}",
                "upstream": "up",
                "plugin": [{"use": "size-limit", "request": "1GiB"}],
            },
            {
                "name": "denied",
                "path": "/denied",
                "respond": {"body": "never"},
                "plugin": [{"use": "ip-filter", "deny": ["127.0.0.0/8"]}],
            },
            {
                "name": "edited",
                "path": "/edited/{rest:path}",
                "upstream": "up",
                "plugin": [
                    {
                        "use": "headers",
                        "request": {"set": {"x-added": "in"}, "remove": ["x-gone"]},
                        "response": {"set": {"x-added": "out"}, "remove": ["x-secret"]},
                    }
                ],
            },
            {
                "name": "rated",
                "path": "/rated",
                "respond": {"body": "rated"},
                "plugin": [{"use": "rate-limit", "limit": ["1/day"], "by": "route"}],
            },
        ],
    }


Script = Callable[[Client, "Request"], Awaitable[None]]


class Request(Answer):
    """Be a request as the upstream received it."""

    def __init__(self, head: bytes) -> None:
        self.line, _, rest = head.partition(b"\r\n")
        super().__init__(b"HTTP/1.1 200 \r\n" + rest)


class Backend:
    """Be the upstream: a test says what happens on a path, the rest is told back to the client."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.origin = Origin(self._serve)

    async def _serve(self, client: Client) -> None:
        while True:
            request = Request(await client.reader.readuntil(b"\r\n\r\n"))
            path = request.line.split(b" ")[1].decode().partition("?")[0]
            if (script := self.scripts.get(path)) is not None:
                await script(client, request)
            else:
                await self._tell(client, request)

    @staticmethod
    async def _tell(client: Client, request: Request) -> None:
        """Answer with what was received."""
        received = await read_body(client, request)
        fields = sorted([name.decode().lower(), value.decode("latin-1")] for name, value in request.fields)
        told = json.dumps(
            {"line": request.line.decode(), "fields": fields, "body": received.decode("latin-1")}
        )
        client.send(b"HTTP/1.1 200 OK\r\nX-Secret: 1\r\nContent-Length: %d\r\n\r\n" % len(told))
        client.send(b"" if request.line.startswith(b"HEAD ") else told.encode())


async def read_body(client: Client, request: Request) -> bytes:
    """Read a request's body by its framing."""
    if request.header(b"transfer-encoding") == b"chunked":
        body = bytearray()
        while size := int(await client.read_until(b"\r\n"), 16):
            body += await client.read_exactly(size)
            assert await client.read_exactly(2) == b"\r\n"
        assert await client.read_until(b"\r\n") == b"\r\n"
        return bytes(body)
    return await client.read_exactly(int(request.header(b"content-length") or 0))


def request(line: str, *fields: str, body: bytes = b"", host: str = "example.test") -> bytes:
    """Return the bytes of a request."""
    version = "" if " HTTP/" in line else " HTTP/1.1"
    lines = [line + version, *([f"Host: {host}"] if host else []), *fields]
    return "".join(f"{text}\r\n" for text in [*lines, ""]).encode() + body


class Door:
    """Be one way into the gateway."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.port = port
        self.log: list[str] = []

    async def connect(self) -> Client:
        """Open a raw connection."""
        return await connect(self.port)

    async def ask(self, request: bytes) -> Answer:
        """Send a request on a connection of its own; return its answer."""
        client = await self.connect()
        try:
            client.send(request)
            return await client.response(to_head=request.startswith(b"HEAD "))
        finally:
            client.abort()

    async def read_all(self, request: bytes) -> bytes:
        """Send a request on a connection of its own; return all that comes until the close."""
        client = await self.connect()
        try:
            client.send(request)
            return await client.read_all()
        finally:
            client.abort()


def agree(ours: Answer, theirs: Answer, *but_for: bytes) -> None:
    """Assert that two answers are the same, but for these fields and how their bodies are framed."""
    own = {*SERVERS_OWN, b"content-length", *but_for}
    assert theirs.status == ours.status
    assert fields_of(theirs, own) == fields_of(ours, own)
    assert theirs.body == ours.body
    lengths = {answer.header(b"content-length") for answer in (ours, theirs)} - {None}
    assert len(lengths) <= 1


def fields_of(answer: Answer, but_for: Container[bytes]) -> list[tuple[bytes, ...]]:
    """Return an answer's fields in a fixed order, names in lower case."""
    fields = [(field[0].lower(), *field[1:]) for field in answer.fields]
    return sorted(field for field in fields if field[0] not in but_for)


@contextlib.asynccontextmanager
async def all_doors(folder: Path, backend: Backend) -> AsyncIterator[dict[str, Door]]:
    """Run every door before a backend."""
    config = config_for(backend.origin.port)
    async with contextlib.AsyncExitStack() as stack:
        native = await stack.enter_async_context(serving(config, system=True))
        servers = [stack.enter_async_context(server(name, folder, config)) for name in SERVERS]
        started = await asyncio.gather(*servers)
        yield {"native": Door("native", native.port), **{door.name: door for door in started}}


@contextlib.asynccontextmanager
async def server(name: str, folder: Path, config: dict[str, Any]) -> AsyncIterator[Door]:
    """Run the gateway under an ASGI server, in a process of its own."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps({**config, "server": {**config["server"], "data_dir": str(folder / name)}}))
    (folder / "hypercorn.toml").write_text(HYPERCORN)
    arguments, mark = COMMANDS[name]
    door = Door(name, free_port())
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *[argument.format(port=door.port, folder=folder) for argument in arguments],
        cwd=ROOT,
        env={**os.environ, "AGORA_CONFIG": str(file), "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    up = asyncio.Event()

    async def listen(output: asyncio.StreamReader) -> None:
        while line := await output.readline():
            door.log.append(line.decode())
            if mark in door.log[-1]:
                up.set()
        up.set()

    listening = asyncio.create_task(listen(process.stdout))
    try:
        async with asyncio.timeout(STARTING):
            await up.wait()
        assert process.returncode is None, "".join(door.log)
        yield door
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(PATIENCE):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await listening
