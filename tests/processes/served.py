"""Run the real `agora serve` in a process of its own, and watch what it says.

Whoever waits here waits for a line of output, for the end of a process or for a condition that is looked at
again and again; each with a deadline. The fixture `agora` in conftest.py starts them and leaves none behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.harness import Answer, Client, Script, connect

AGORA = Path(sys.executable).with_name("agora")
PATIENCE = 20.0  # seconds that a test waits for what must come
LOOK_AGAIN = 0.01  # seconds between two looks at what tells nobody that it has changed


async def eventually(look: Callable[[], bool] | Callable[[], Awaitable[bool]], what: str) -> None:
    """Look again and again until something is so; fail after a while."""
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                seen = look()
                if await seen if isinstance(seen, Awaitable) else seen:
                    return
                await asyncio.sleep(LOOK_AGAIN)
    except TimeoutError:
        raise AssertionError(f"still not so: {what}") from None


class Served:
    """Be one `agora serve` of a configuration file.

    lines: what it and its workers have written to stdout and stderr so far
    port:  of its first TCP address, once it serves
    """

    def __init__(self, file: Path, process: asyncio.subprocess.Process) -> None:
        self.file = file
        self.process = process
        self.lines: list[str] = []
        self.port = 0
        self._clients: list[Client] = []
        self._news = asyncio.Event()
        assert process.stdout is not None
        self._reader = asyncio.ensure_future(self._read(process.stdout))

    @classmethod
    async def start(cls, file: Path, **options: Any) -> Served:
        """Start the gateway; ``options`` are those of a subprocess."""
        pipe = asyncio.subprocess.PIPE
        merged = asyncio.subprocess.STDOUT
        process = await asyncio.create_subprocess_exec(
            AGORA, "serve", str(file), stdout=pipe, stderr=merged, **options
        )
        return cls(file, process)

    @property
    def output(self) -> str:
        """Return all that was written."""
        return "\n".join(self.lines)

    async def ready(self) -> Served:
        """Wait until it serves."""
        await self.line("serving$")
        listening = re.search(r"listens on .*?https?://[^:,]+:(\d+)", self.output)
        if listening:
            self.port = int(listening[1])
        return self

    def matching(self, pattern: str) -> list[str]:
        """Return the lines that a pattern is found in."""
        return [line for line in self.lines if re.search(pattern, line)]

    async def line(self, pattern: str, count: int = 1) -> str:
        """Wait for the first line (or a later one) that a pattern is found in."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while len(found := self.matching(pattern)) < count and not self._reader.done():
                    self._news.clear()
                    await self._news.wait()
        found = self.matching(pattern)
        assert len(found) >= count, f"line {pattern!r} came {len(found)} times, not {count}:\n{self.output}"
        return found[count - 1]

    async def code(self) -> int:
        """Wait for its end, and that of all who hold its output; return the exit code."""
        async with asyncio.timeout(PATIENCE):
            await self._reader
            return await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def stop(self) -> int:
        """Send SIGTERM; return the exit code."""
        self.signal(signal.SIGTERM)
        return await self.code()

    async def reload(self, config: dict[str, Any] | None = None, *, workers: int = 1) -> None:
        """Write a configuration (None: as it is), send SIGHUP and wait until all workers have reloaded."""
        before = len(self.matching("reloaded"))
        if config is not None:
            write_config(self.file, config)
        self.signal(signal.SIGHUP)
        await self.line("reloaded", before + workers)

    def workers(self) -> dict[int, int]:
        """Return the process ids of the workers by their numbers, the last ones told."""
        told = (re.search(r"worker (\d+) is process (\d+)", line) for line in self.lines)
        return {int(found[1]): int(found[2]) for found in told if found}

    def kill(self) -> None:
        """End it, its workers and its clients at once."""
        for client in self._clients:
            client.abort()
        with suppress(ProcessLookupError):
            self.process.kill()
        for number, process in self.workers().items():
            with suppress(OSError):
                command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
                if [b"gateway.worker", os.fsencode(self.file), b"%d" % number] == command[2:5]:
                    os.kill(process, signal.SIGKILL)

    # -- being its client ----------------------------------------------------------------------------

    async def connect(self) -> Client:
        """Open a connection; it is closed with the gateway."""
        client = await connect(self.port)
        self._clients.append(client)
        return client

    async def get(self, path: str, *fields: str) -> Answer:
        """Return the answer to a GET on a connection of its own."""
        client = await self.connect()
        try:
            return await get(client, path, *fields)
        finally:
            client.abort()

    async def count(self, name: str, **labels: str) -> float:
        """Return a metric, added up over the labels that are not given."""
        text = bytes((await self.get("/metrics")).body).decode()
        return sum(value for series, value in samples(text, name) if labels.items() <= series.items())

    async def worker_of(self, client: Client) -> int:
        """Return the number of the worker that serves a connection."""
        token = (self.file.parent / "var" / "admin-token").read_text().strip()
        answer = await get(client, "/api/v1/api-gateway/status", f"Authorization: Bearer {token}")
        return int(json.loads(answer.body)["worker"])

    # -- private -------------------------------------------------------------------------------------

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.lines.append(line.decode().rstrip("\n"))
            self._news.set()
        self._news.set()


async def get(client: Client, path: str, *fields: str) -> Answer:
    """Send a GET on an open connection and return the answer."""
    lines = [f"GET {path} HTTP/1.1", "Host: agora.test", *fields]
    client.send("\r\n".join([*lines, "", ""]).encode())
    return await client.response()


def samples(text: str, name: str) -> Iterator[tuple[dict[str, str], float]]:
    """Yield the labels and the value of each sample of a metric in an exposition."""
    for labels, value in re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE):
        yield dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)


def write_config(file: Path, config: dict[str, Any]) -> None:
    """Write a configuration whole: whoever reads the file meanwhile finds the old one."""
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(config))
    draft.replace(file)


def fixed(body: str, **server: Any) -> dict[str, Any]:
    """Return a configuration with one route, `/hello`, that answers with a text."""
    return {
        "server": {"listen": "127.0.0.1:0", **server},
        "route": [{"name": "hello", "path": "/hello", "respond": {"body": body}}],
    }


def proxied(url: str, **server: Any) -> dict[str, Any]:
    """Return a configuration that leads everything to one upstream server."""
    return {
        "server": {"listen": "127.0.0.1:0", **server},
        "upstream": [{"name": "origin", "targets": [url]}],
        "route": [{"name": "all", "path": "/{rest:path}", "upstream": "origin"}],
    }


def answering_when_told(asked: asyncio.Event, go: asyncio.Event) -> Script:
    """Return an upstream's script: it says that it was asked, and answers when told to."""

    async def script(client: Client) -> None:
        while True:
            await client.reader.readuntil(b"\r\n\r\n")
            asked.set()
            await go.wait()
            client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    return script
