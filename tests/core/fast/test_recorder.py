"""Logging exchanges from where they lie, driven through the native door."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

import core._fast.recorder
from core._fast.exchange import Exchange
from core._fast.message import Response
from core._fast.record import HEADER_SIZE, TEXTS, RecordBuffer
from core._fast.record_scan import decode
from core._fast.recorder import Recorder
from core.plugin import PluginConfig
from core.site import Site
from tests.harness import Origin, answering, serving

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


class Logging:
    """Log with the recorder of the test, after deciding as the test wants."""

    Config = PluginConfig
    recorder: ClassVar[Recorder]
    decide: ClassVar[Callable[[Exchange], Response | None]]

    def __init__(self, config: PluginConfig, site: Site) -> None: ...

    def request(self, exchange: Exchange) -> Response | None:
        return Logging.decide(exchange)

    def log(self, exchange: Exchange) -> None:
        Logging.recorder.log(exchange)


@asynccontextmanager
async def logging(
    recorder: Recorder, decide: Callable[[Exchange], Response | None], url: str = "http://127.0.0.1:9"
) -> AsyncIterator[Callable[[bytes], Awaitable[bytes]]]:
    """Serve a fixed answer on /a/b and an upstream on /up; yield how to ask."""
    Logging.recorder, Logging.decide = recorder, decide
    config = {
        "plugin": [{"use": f"{__name__}:Logging"}],
        "upstream": [{"name": "markets", "targets": [url]}],
        "route": [
            {"name": "greeting", "path": "/a/b", "respond": {"status": 200, "body": "hello"}},
            {"name": "market", "path": "/up", "upstream": "markets"},
        ],
    }
    async with serving(config) as gateway:
        yield lambda message: gateway.exchange(message.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))


def go_on(_: Exchange) -> None:
    """Decide go_on."""


def test_is_the_compiled_module() -> None:
    assert core._fast.recorder.__file__.endswith(".so")


async def test_logs_what_is_known_of_an_exchange() -> None:
    def identify(exchange: Exchange) -> None:
        exchange.request_id = b"id-1"
        exchange.trace_id = b"0af7651916cd43dd8448eb211c80319c"
        exchange.consumer = "alice"

    buffer = RecordBuffer(1 << 20)
    before = time.time_ns()
    async with logging(Recorder(buffer), identify) as ask:
        assert b"200" in await ask(ASK)
    (record,) = taken(buffer)
    after = time.time_ns()
    assert before - 1_000_000 <= record.pop("time_ns") <= after
    assert 0 < record.pop("duration_ns") < after - before
    assert record == {
        "sequence": 1, "worker": 0, "status": 200, "upstream_ns": None, "bytes_in": 0, "bytes_out": 5,
        "attempts": 0, "flags": (), "cut": (), "method": "GET", "path": "/a/b", "query": "q=1",
        "host": "api.example.test", "route": "greeting", "upstream": "greeting", "target": "",
        "client": "127.0.0.1", "request_id": "id-1", "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "consumer": "alice", "problem": "", "protocol": "http/1.1", "user_agent": "test/1",
    }  # fmt: skip


async def test_logs_how_an_upstream_answered() -> None:
    buffer = RecordBuffer(1 << 20)
    created = answering(b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\ndone")
    async with Origin(created) as origin, logging(Recorder(buffer), go_on, origin.url) as ask:
        await ask(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
    (record,) = taken(buffer)
    assert 0 < record["upstream_ns"] < record["duration_ns"]
    assert (record["status"], record["attempts"], record["bytes_in"], record["bytes_out"]) == (201, 1, 3, 4)
    assert (record["route"], record["upstream"], record["method"]) == ("market", "markets", "POST")
    assert str(origin.port) in record["target"]


async def test_logs_an_upstream_that_cannot_be_reached() -> None:
    buffer = RecordBuffer(1 << 20)
    async with logging(Recorder(buffer), go_on) as ask:
        await ask(b"GET /up HTTP/1.1\r\nHost: a\r\n\r\n")
    (record,) = taken(buffer)
    assert (record["status"], record["problem"], record["upstream_ns"]) == (502, "upstream-unreachable", None)


async def test_logs_the_path_that_was_asked_for_not_the_one_it_became() -> None:
    def rewrite(exchange: Exchange) -> None:
        exchange.request.path = "/elsewhere"

    buffer = RecordBuffer(1 << 20)
    async with logging(Recorder(buffer), rewrite) as ask:
        await ask(ASK)
    assert [record["path"] for record in taken(buffer)] == ["/a/b"]


async def test_leaves_queries_out_where_they_are_not_wanted() -> None:
    buffer = RecordBuffer(1 << 20)
    async with logging(Recorder(buffer, queries=False), go_on) as ask:
        await ask(ASK)
    assert [(record["path"], record["query"]) for record in taken(buffer)] == [("/a/b", "")]


async def test_logs_refusals_with_their_problem() -> None:
    def refuse(exchange: Exchange) -> Response:
        return Response.refusal(429, "rate-limited", "Too many requests")

    buffer = RecordBuffer(1 << 20)
    async with logging(Recorder(buffer), refuse) as ask:
        await ask(ASK)
        await ask(ASK.replace(b"/a/./b", b"/none"))
    found = [(record["status"], record["route"], record["problem"]) for record in taken(buffer)]
    assert found == [(429, "greeting", "rate-limited"), (429, "", "rate-limited")]


async def test_names_a_consumer_that_is_an_object() -> None:
    class Consumer:
        name = "bob"

    def identify(exchange: Exchange) -> None:
        exchange.consumer = Consumer()

    buffer = RecordBuffer(1 << 20)
    async with logging(Recorder(buffer), identify) as ask:
        await ask(ASK)
    assert [record["consumer"] for record in taken(buffer)] == ["bob"]


@pytest.mark.parametrize("failures", [False, True])
async def test_keeps_failures_whatever_the_share(failures: bool) -> None:
    def fail(exchange: Exchange) -> Response | None:
        return Response.refusal(503, "down", "Down") if exchange.request.query == "fail" else None

    buffer = RecordBuffer(1 << 20)
    async with logging(Recorder(buffer, 0.0, failures), fail) as ask:
        await ask(ASK)
        await ask(ASK.replace(b"q=1", b"fail"))
    assert [record["status"] for record in taken(buffer)] == ([503] if failures else [])


async def test_keeps_a_share_by_the_trace() -> None:
    traces = iter(f"{number:032x}".encode() for number in range(100))

    def identify(exchange: Exchange) -> None:
        exchange.trace_id = next(traces)

    runs = []
    for _ in range(2):
        traces = iter(f"{number:032x}".encode() for number in range(100))
        buffer = RecordBuffer(1 << 20)
        async with logging(Recorder(buffer, 0.3), identify) as ask:
            for _ in range(100):
                await ask(ASK)
        runs.append([record["trace_id"] for record in taken(buffer)])
    assert runs[0] == runs[1]
    assert 10 < len(runs[0]) < 60


def test_logs_no_exchange_that_never_began() -> None:
    buffer = RecordBuffer(1 << 20)
    Recorder(buffer).log(Exchange())
    assert buffer.appended == 0


def test_a_subclass_that_was_not_initialised_logs_nothing() -> None:
    Recorder.__new__(Recorder).log(Exchange())
