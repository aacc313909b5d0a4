"""The built-in plugins together, over sockets, through the native door to an upstream server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from core.request_log import Record, RequestLogReader
from plugins.request_log import DIRECTORY
from tests.harness import Answer, Client, Gateway, Origin, Received, Recorder, serving

TRACE = "0af7651916cd43dd8448eb211c80319c"
USUAL: list[dict[str, Any]] = [
    {"use": "request-log"},
    {"use": "request-id"},
    {"use": "trace", "response_header": "x-trace-id"},
    {"use": "ip-filter", "allow": ["127.0.0.0/8"]},
    {"use": "size-limit", "request": "1KiB"},
]
OWN: list[dict[str, Any]] = [
    {"use": "rate-limit", "limit": "2/minute"},
    {"use": "timeout", "first_byte": "5s"},
    {"use": "rewrite", "strip_prefix": "/api"},
    {"use": "headers", "request": {"set": {"x-market": "{param:id}"}}, "response": {"remove": ["x-inner"]}},
]


@asynccontextmanager
async def proxying(data_dir: Path) -> AsyncIterator[tuple[Gateway, list[Received]]]:
    """Serve all plugins in front of an upstream server; yield the gateway and what the server received."""
    async with Recorder(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Inner: 1\r\n\r\nok") as origin:
        config = {
            "server": {"data_dir": str(data_dir)},
            "upstream": [{"name": "markets", "targets": [origin.url]}],
            "plugin": USUAL,
            "route": [
                {"name": "market", "path": "/api/markets/{id}", "upstream": "markets", "plugin": OWN},
            ],
        }
        async with serving(config) as gateway:
            yield gateway, origin.requests


async def ask(gateway: Gateway, start: str, *fields: str, body: str = "") -> Answer:
    """Send one request on a connection of its own and read the response."""
    client = await gateway.connect()
    client.send("\r\n".join([f"{start} HTTP/1.1", "Host: api.test", *fields, "", body]).encode())
    answer = await client.response()
    client.abort()
    return answer


def logged(data_dir: Path) -> list[Record]:
    """Return the request log."""
    with RequestLogReader.open(data_dir / DIRECTORY) as reader:
        return reader.read(limit=100).records


async def test_a_request_passes_all_plugins_and_is_logged(tmp_path: Path) -> None:
    async with proxying(tmp_path) as (gateway, received):
        parent = f"Traceparent: 00-{TRACE}-b7ad6b7169203331-01"
        answer = await ask(gateway, "GET /api/markets/7?a=b", parent, "X-Market: forged")
    (request,) = received
    assert request.target == b"/markets/7?a=b"
    assert request.all(b"x-market") == [b"7"]
    assert (request.header(b"traceparent") or b"")[3:35] == TRACE.encode()
    assert answer.status == 200
    assert answer.header(b"x-inner") is None
    assert answer.header(b"x-trace-id") == TRACE.encode()
    assert answer.header(b"x-request-id") == request.header(b"x-request-id")
    assert answer.header(b"ratelimit") == b'"2/minute";r=1;t=30'
    (record,) = logged(tmp_path)
    assert (record.path, record.query, record.status) == ("/api/markets/7", "", 200)
    assert (record.route, record.upstream, record.trace_id) == ("market", "markets", TRACE)
    assert record.request_id.encode() == answer.header(b"x-request-id")


async def test_refusals_carry_the_ids_and_are_logged(tmp_path: Path) -> None:
    async with proxying(tmp_path) as (gateway, received):
        answers = [await ask(gateway, "GET /api/markets/7") for _ in range(3)]
        answers.append(await ask(gateway, "POST /api/markets/7", "Content-Length: 2000"))
        answers.append(await ask(gateway, "GET /elsewhere"))
    assert [answer.status for answer in answers] == [200, 200, 429, 413, 404]
    assert len(received) == 2
    records = logged(tmp_path)
    assert [record.problem for record in records] == ["", "", "rate-limited", "body-too-large", "no-route"]
    assert [record.request_id.encode() for record in records] == [
        answer.header(b"x-request-id") for answer in answers
    ]
    assert all(answer.header(b"x-trace-id") for answer in answers)


async def test_a_reload_keeps_counts_and_log(tmp_path: Path) -> None:
    async with proxying(tmp_path) as (gateway, _):
        assert (await ask(gateway, "GET /api/markets/7")).status == 200
        await gateway.plane.swap(gateway.plane.config)
        assert (await ask(gateway, "GET /api/markets/7")).status == 200
        assert (await ask(gateway, "GET /api/markets/7")).status == 429
    assert [record.status for record in logged(tmp_path)] == [200, 200, 429]


async def test_a_target_that_is_too_slow_for_the_route_is_a_504(tmp_path: Path) -> None:
    async def script(client: Client) -> None:
        await client.request()
        assert await client.closed()

    async with Origin(script) as origin:
        config = {
            "server": {"data_dir": str(tmp_path)},
            "upstream": [{"name": "u", "targets": [origin.url]}],
            "route": [
                {
                    "name": "slow",
                    "path": "/slow",
                    "upstream": "u",
                    "plugin": [{"use": "timeout", "first_byte": "50ms"}],
                },
                {
                    "name": "total",
                    "path": "/total",
                    "upstream": "u",
                    "plugin": [{"use": "timeout", "total": "50ms"}],
                },
            ],
        }
        async with serving(config) as gateway:
            assert (await ask(gateway, "GET /slow")).status == 504
            assert (await ask(gateway, "GET /total")).status == 504
