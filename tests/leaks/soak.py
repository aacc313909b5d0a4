"""Run every kind of exchange by the thousand, and show that nothing of it is left.

Counted are the live objects of every compiled class, and the bytes that malloc has given out. `make leaks`
runs this in a build of its own, with PYTHONMALLOC=malloc.
"""

import asyncio
import gc
import importlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

import core._fast
from tests.harness import Client, Gateway, Origin, free_port, serving
from tests.leaks import census

ROUNDS = 1000
SLACK = 48 * 1024  # bytes that a run may add: buffers of the loop and of the test come and go

Scenario = Callable[[Gateway], Awaitable[None]]


def compiled_classes() -> list[type]:
    """Return the compiled classes that no other compiled class is derived from."""
    found: list[type] = []
    for path in Path(core._fast.__path__[0]).glob("*.pyx"):
        module = importlib.import_module(f"core._fast.{path.stem}")
        classes = [value for value in vars(module).values() if isinstance(value, type)]
        found += [cls for cls in classes if cls.__module__ == module.__name__ and not issubclass(cls, Enum)]
    return [cls for cls in found if not any(cls is not other and issubclass(other, cls) for other in found)]


for compiled_class in compiled_classes():
    census.watch(compiled_class)


def config(origin: int, dead: int, silent: int) -> dict[str, Any]:
    """Return a configuration with a route for every kind of target."""
    return {
        "server": {"limits": {"body": "64KiB"}},
        "upstream": [
            {"name": name, "targets": [f"http://127.0.0.1:{port}"], "max_connections": 4}
            for name, port in (("origin", origin), ("dead", dead), ("silent", silent))
        ],
        "plugin": [{"use": "request-id"}, {"use": "trace"}],
        "route": [
            {"name": "fixed", "path": "/fixed/{x}", "methods": ["GET", "HEAD"], "respond": {"body": "fixed"}},
            {"name": "app", "path": "/app/{rest:path}", "app": "tests.leaks.soak:application"},
            {"name": "proxied", "path": "/origin/{rest:path}", "upstream": "origin"},
            {"name": "dead", "path": "/dead", "upstream": "dead"},
            {"name": "silent", "path": "/silent", "upstream": "silent"},
            {
                "name": "limited",
                "path": "/limited",
                "respond": {"body": "limited"},
                "plugin": [{"use": "rate-limit", "limit": "5/minute", "by": "ip"}],
            },
        ],
    }


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Echo a body; an ASGI application with a lifespan."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    if message["type"] == "http.disconnect":
        return
    body += message["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body[:1000], "more_body": True})
    await send({"type": "http.response.body", "body": body[1000:]})


async def origin_script(client: Client) -> None:
    """Answer by path: a length, chunks with a trailer, an upgrade, half an answer, nothing."""
    while True:
        head = await client.reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1]
        if b"chunked" in head:
            await client.reader.readuntil(b"\r\n0\r\n\r\n")
        elif b"Content-Length: " in head:
            await client.reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        if path == b"/origin/half":
            client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            return
        if path == b"/origin/nothing":
            return
        if path == b"/origin/bad":
            client.send(b"HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n")
            return
        if path == b"/origin/upgrade":
            client.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            while piece := await client.reader.read(1000):
                client.send(piece)
            return
        if path == b"/origin/chunks":
            client.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n")
            client.send(b"5\r\nabcde\r\n400\r\n" + b"x" * 1024 + b"\r\n0\r\nx: y\r\n\r\n")
        else:
            client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: x\r\n\r\norigin")


def request(path: str, body: bytes = b"", *fields: str, method: str = "") -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    method = method or ("POST" if body else "GET")
    lines = [f"{method} {path} HTTP/1.1", "Host: example.test", *length, *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def asking(gateway: Gateway, *requests: bytes) -> None:
    """Send requests one after the other on one connection, and read the answers."""
    client = await gateway.connect()
    for sent in requests:
        client.send(sent)
        await client.response(to_head=sent.startswith(b"HEAD"))
    client.abort()


async def fixed(gateway: Gateway) -> None:
    await asking(gateway, request("/fixed/1"), request("/fixed/2", method="HEAD"), request("/fixed/%7e/../3"))


async def pipelined(gateway: Gateway) -> None:
    client = await gateway.connect()
    client.send(request("/fixed/1") * 5 + request("/origin/x") + request("/fixed/2") * 5)
    for _ in range(11):
        await client.response()
    client.abort()


async def unanswered(gateway: Gateway) -> None:
    await asking(gateway, request("/nowhere"), request("/fixed/1", method="DELETE"), request("/dead"))


async def limited(gateway: Gateway) -> None:
    await asking(gateway, request("/limited"), request("/limited"))


async def refused(gateway: Gateway) -> None:
    for sent in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"nonsense\r\n\r\n",
        request("/origin/x", b"x" * 100_000),
        b"POST /origin/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ):
        client = await gateway.connect()
        client.send(sent)
        await client.read_all()
        client.abort()


async def in_pieces(gateway: Gateway) -> None:
    client = await gateway.connect()
    sent = request("/origin/x", b"body" * 1000)
    for at in range(0, len(sent), 100):
        client.send(sent[at : at + 100])
        await asyncio.sleep(0)
    await client.response()
    client.abort()


async def application_called(gateway: Gateway) -> None:
    await asking(gateway, request("/app/x"), request("/app/x", b"body" * 1000))


async def proxied(gateway: Gateway) -> None:
    chunked = b"5\r\nabcde\r\n0\r\n\r\n"
    await asking(
        gateway,
        request("/origin/x"),
        request("/origin/x", b"body"),
        request("/origin/chunks", b"", "TE: trailers", "Connection: te"),
        request("/origin/x", b"", "Transfer-Encoding: chunked", method="POST") + chunked,
        request("/origin/x", b"", method="HEAD"),
    )


async def broken_upstream(gateway: Gateway) -> None:
    for path in ("/origin/half", "/origin/nothing", "/origin/bad"):
        client = await gateway.connect()
        client.send(request(path))
        await client.read_all() if path == "/origin/half" else await client.response()
        client.abort()


async def leaving_clients(gateway: Gateway) -> None:
    for sent in (
        b"",
        b"GET / HT",
        request("/silent"),
        request("/origin/x", b"x" * 1000)[:-500],
        request("/app/x", b"x" * 1000)[:-500],
        request("/origin/chunks"),
    ):
        client = await gateway.connect()
        client.send(sent)
        await asyncio.sleep(0)
        client.abort()


async def waiting_in_the_queue(gateway: Gateway) -> None:
    clients = [await gateway.connect() for _ in range(8)]
    for client in clients:
        client.send(request("/silent"))
    await asyncio.sleep(0)
    for client in clients:
        client.abort()


async def tunnel(gateway: Gateway) -> None:
    client = await gateway.connect()
    client.send(request("/origin/upgrade", b"", "Connection: upgrade", "Upgrade: echo"))
    await client.response()
    client.send(b"through the tunnel")
    assert await client.read_exactly(18) == b"through the tunnel"
    client.close_sending()
    await client.read_all()
    client.abort()


async def reloaded(gateway: Gateway) -> None:
    client = await gateway.connect()
    client.send(request("/origin/x"))
    await gateway.plane.swap(gateway.plane.config)
    await client.response()
    client.abort()


SCENARIOS: list[Scenario] = [
    fixed, pipelined, unanswered, limited, refused, in_pieces, application_called, proxied, broken_upstream,
    leaving_clients, waiting_in_the_queue, tunnel, reloaded,
]  # fmt: skip


async def settle(gateway: Gateway) -> None:
    """Let everything end that is ending: no connection left but idle ones to the origin."""
    gateway.clients.clear()  # all of them are closed
    while gateway.plane.door.connections:
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    gc.collect()


async def silence(client: Client) -> None:
    await client.reader.read()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_leaves_nothing_behind(scenario: Scenario) -> None:
    async with (
        Origin(origin_script) as origin,
        Origin(silence) as silent,
        serving(config(origin.port, free_port(), silent.port)) as gateway,
    ):
        for _ in range(ROUNDS // 4):
            await scenario(gateway)
        await settle(gateway)
        objects, size = census.live_counts(), census.bytes_in_use()
        for _ in range(ROUNDS):
            await scenario(gateway)
        await settle(gateway)
        grown = {
            name: live - objects[name] for name, live in census.live_counts().items() if live > objects[name]
        }
        assert grown == {}
        assert census.bytes_in_use() - size < SLACK
