"""Logging exchanges from where they lie, driven through the native door."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import core._fast.recorder
from core._fast.client import Door
from core._fast.exchange import Exchange
from core._fast.head_writer import Wording
from core._fast.message import Response
from core._fast.meter import Meter
from core._fast.plan import Plan, Snapshot
from core._fast.record import HEADER_SIZE, TEXTS, RecordBuffer
from core._fast.record_scan import decode
from core._fast.recorder import Recorder
from core._fast.router import Router
from core._fast.targets import Respond, Unmatched
from core._fast.wheel import Wheel
from core.route_pattern import Pattern

NUMBERS = (
    "sequence", "time_ns", "worker", "status", "duration_ns", "upstream_ns", "bytes_in", "bytes_out",
    "attempts", "flags", "cut",
)  # fmt: skip
ASK = b"GET /a/./b?q=1 HTTP/1.1\r\nHost: api.example.test\r\nUser-Agent: test/1\r\n\r\n"


def taken(buffer: RecordBuffer) -> list[dict[str, Any]]:
    """Return what was logged."""
    return [
        dict(zip((*NUMBERS, *TEXTS), fields, strict=True))
        for block in buffer.take()
        for fields in decode(memoryview(block)[HEADER_SIZE:], block.count, 1, 0)
    ]


@asynccontextmanager
async def serving(
    log: Callable[[Exchange], None], request: Callable[[Exchange], Response | None]
) -> AsyncIterator[int]:
    """Serve a fixed answer on /a/b with these phases; yield the port."""
    loop = asyncio.get_running_loop()
    phases: dict[str, Any] = {"request": [request], "log": [log]}
    answer = Respond("fixed", Response(200, [(b"content-type", b"text/plain")], b"hello"))
    route = Plan("greeting", 0, answer, Meter(), **phases)
    unmatched = Plan("", -1, Unmatched(), Meter(), **phases)
    snapshot = Snapshot(Router([Pattern("/a/b", frozenset({"GET", "POST"}), ())]), [route], unmatched)
    wheel = Wheel(loop)
    door = Door(wheel, refused=lambda slug: None, gauge=lambda change: None)
    door.configure(
        snapshot, Wording(b"agora", True, True, False), trusts=lambda _: False, client_of=lambda *_: None,
        request_line=8192, header_block=32768, header_count=100, max_extensions=1024, head_timeout=10,
        body_timeout=10, keep_alive_timeout=10, write_timeout=10, max_connections=10, max_per_address=10,
    )  # fmt: skip
    server = await loop.create_server(door.protocol, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    door.abort()
    server.close()
    await server.wait_closed()
    wheel.close()


async def exchange(port: int, message: bytes) -> bytes:
    """Send a request, and read the answer until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(message.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
    answer = await reader.read()
    writer.close()
    return answer


def nothing(_: Exchange) -> None:
    """Be a phase that does nothing."""


def test_is_the_compiled_module() -> None:
    assert core._fast.recorder.__file__.endswith(".so")


async def test_logs_what_is_known_of_an_exchange() -> None:
    def identify(exchange: Exchange) -> None:
        exchange.request_id = b"id-1"
        exchange.trace_id = b"0af7651916cd43dd8448eb211c80319c"
        exchange.consumer = "alice"

    buffer = RecordBuffer(1 << 20)
    before = time.time_ns()
    async with serving(Recorder(buffer).log, identify) as port:
        assert b"200" in await exchange(port, ASK)
    (record,) = taken(buffer)
    after = time.time_ns()
    assert before - 1_000_000 <= record.pop("time_ns") <= after
    assert 0 < record.pop("duration_ns") < after - before
    assert record == {
        "sequence": 1, "worker": 0, "status": 200, "upstream_ns": None, "bytes_in": 0, "bytes_out": 5,
        "attempts": 0, "flags": (), "cut": (), "method": "GET", "path": "/a/b", "query": "q=1",
        "host": "api.example.test", "route": "greeting", "upstream": "fixed", "target": "",
        "client": "127.0.0.1", "request_id": "id-1", "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "consumer": "alice", "problem": "", "protocol": "http/1.1", "user_agent": "test/1",
    }  # fmt: skip


async def test_logs_the_path_that_was_asked_for_not_the_one_it_became() -> None:
    def rewrite(exchange: Exchange) -> None:
        exchange.request.path = "/elsewhere"

    buffer = RecordBuffer(1 << 20)
    async with serving(Recorder(buffer).log, rewrite) as port:
        await exchange(port, ASK)
    assert [record["path"] for record in taken(buffer)] == ["/a/b"]


async def test_logs_refusals_with_their_problem() -> None:
    def refuse(exchange: Exchange) -> Response:
        return Response.refusal(429, "rate-limited", "Too many requests")

    buffer = RecordBuffer(1 << 20)
    async with serving(Recorder(buffer).log, refuse) as port:
        await exchange(port, ASK)
        await exchange(port, ASK.replace(b"/a/./b", b"/none"))
    found = [(record["status"], record["route"], record["problem"]) for record in taken(buffer)]
    assert found == [(429, "greeting", "rate-limited"), (429, "", "rate-limited")]


async def test_names_a_consumer_that_is_an_object() -> None:
    class Consumer:
        name = "bob"

    def identify(exchange: Exchange) -> None:
        exchange.consumer = Consumer()

    buffer = RecordBuffer(1 << 20)
    async with serving(Recorder(buffer).log, identify) as port:
        await exchange(port, ASK)
    assert [record["consumer"] for record in taken(buffer)] == ["bob"]


@pytest.mark.parametrize("failures", [False, True])
async def test_keeps_failures_whatever_the_share(failures: bool) -> None:
    def fail(exchange: Exchange) -> Response | None:
        return Response.refusal(503, "down", "Down") if exchange.request.query == "fail" else None

    buffer = RecordBuffer(1 << 20)
    async with serving(Recorder(buffer, 0.0, failures).log, fail) as port:
        await exchange(port, ASK)
        await exchange(port, ASK.replace(b"q=1", b"fail"))
    assert [record["status"] for record in taken(buffer)] == ([503] if failures else [])


async def test_keeps_a_share_by_the_trace() -> None:
    traces = iter(f"{number:032x}".encode() for number in range(100))

    def identify(exchange: Exchange) -> None:
        exchange.trace_id = next(traces)

    runs = []
    for _ in range(2):
        traces = iter(f"{number:032x}".encode() for number in range(100))
        buffer = RecordBuffer(1 << 20)
        async with serving(Recorder(buffer, 0.3).log, identify) as port:
            for _ in range(100):
                await exchange(port, ASK)
        runs.append([record["trace_id"] for record in taken(buffer)])
    assert runs[0] == runs[1]
    assert 10 < len(runs[0]) < 60


def test_logs_no_exchange_that_never_began() -> None:
    buffer = RecordBuffer(1 << 20)
    Recorder(buffer).log(Exchange())
    assert buffer.appended == 0
