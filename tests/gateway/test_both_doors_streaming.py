"""Both doors stream alike: piece by piece, at the pace of the slower side, and cut off where it breaks."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.gateway.both_doors import CHUNKED, DOORS, LENGTH, Backend, Door, Request, request
from tests.gateway.http2 import http2
from tests.harness import PATIENCE, Client

pytestmark = pytest.mark.asyncio(loop_scope="module")


# -- streaming ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DOORS)
async def test_events_pass_one_by_one(doors: dict[str, Door], backend: Backend, name: str) -> None:
    heard: asyncio.Queue[None] = asyncio.Queue()

    async def script(client: Client, _: Request) -> None:
        client.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for number in range(5):
            client.send(b"9\r\ndata: %d\n\n\r\n" % number)
            await heard.get()
        client.send(b"0\r\n\r\n")

    backend.scripts["/up/events"] = script
    client = await doors[name].connect()
    client.send(request("GET /up/events"))
    await client.read_until(b"\r\n\r\n")
    for number in range(5):
        await client.read_until(b"data: %d\n\n\r\n" % number)
        heard.put_nowait(None)
    assert await client.read_exactly(5) == b"0\r\n\r\n"
    client.abort()


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("path", ["/app/echo", "/up/echo"])
async def test_a_body_passes_both_ways_piece_by_piece(
    doors: dict[str, Door], backend: Backend, name: str, path: str
) -> None:
    async def script(client: Client, _: Request) -> None:
        client.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while size := int(await client.read_until(b"\r\n"), 16):
            client.send(b"%x\r\n%b\r\n" % (size, await client.read_exactly(size)))
            await client.read_exactly(2)
        await client.read_exactly(2)
        client.send(b"0\r\n\r\n")

    backend.scripts["/up/echo"] = script
    client = await doors[name].connect()
    client.send(request(f"POST {path}", CHUNKED))
    for number in range(5):
        client.send(b"6\r\npiece%d\r\n" % number)
        await client.read_until(b"piece%d\r\n" % number)
    client.send(b"0\r\n\r\n")
    await client.read_until(b"0\r\n\r\n")
    client.abort()


@pytest.mark.parametrize("name", DOORS)
async def test_a_client_that_waits_is_told_to_go_on(doors: dict[str, Door], name: str) -> None:
    client = await doors[name].connect()
    client.send(request("POST /up/a", LENGTH(5), "Expect: 100-continue"))
    assert (await client.response()).status == 100
    client.send(b"hello")
    assert json.loads((await client.response()).body)["body"] == "hello"
    client.abort()


@pytest.mark.parametrize("name", DOORS)
async def test_a_client_that_goes_is_told_to_the_upstream(
    doors: dict[str, Door], backend: Backend, name: str
) -> None:
    gone = asyncio.Event()

    async def script(client: Client, _: Request) -> None:
        client.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        assert await client.closed()
        gone.set()

    backend.scripts["/up/stays"] = script
    client = await doors[name].connect()
    client.send(request("GET /up/stays"))
    await client.read_until(b"1\r\nx\r\n")
    client.abort()
    async with asyncio.timeout(PATIENCE):
        await gone.wait()


@pytest.mark.parametrize("name", DOORS)
async def test_a_client_that_goes_before_the_answer_is_told_to_the_upstream(
    doors: dict[str, Door], backend: Backend, name: str
) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def script(client: Client, _: Request) -> None:
        asked.set()
        assert await client.closed()
        gone.set()

    backend.scripts["/up/waits"] = script
    client = await doors[name].connect()
    client.send(request("GET /up/waits"))
    async with asyncio.timeout(PATIENCE):
        await asked.wait()
        client.abort()
        await gone.wait()


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize(
    "beginning",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ],
)
async def test_an_upstream_that_dies_in_the_middle_cuts_the_answer(
    doors: dict[str, Door], backend: Backend, name: str, beginning: bytes
) -> None:
    async def script(client: Client, _: Request) -> None:
        client.send(beginning)
        raise ConnectionError

    backend.scripts["/up/dies"] = script
    received = await doors[name].read_all(request("GET /up/dies"))
    assert b"200" in received.partition(b"\r\n")[0]
    assert b"half" in received
    assert not received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("name", DOORS)
async def test_an_application_that_fails_in_the_middle_cuts_the_answer(
    doors: dict[str, Door], name: str
) -> None:
    received = await doors[name].read_all(request("GET /app/fails-late"))
    assert b"half" in received
    assert not received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("name", DOORS)
async def test_a_slow_reader_holds_the_upstream(doors: dict[str, Door], backend: Backend, name: str) -> None:
    total, piece = 96 * 1024 * 1024, bytes(65536)
    read, ahead = 0, 0

    async def script(client: Client, _: Request) -> None:
        nonlocal ahead
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        for sent in range(0, total, len(piece)):
            client.send(piece)
            await client.drain()
            ahead = max(ahead, sent - read)

    backend.scripts["/up/large"] = script
    client = await doors[name].connect()
    client.send(request("GET /up/large"))
    await client.read_until(b"\r\n\r\n")
    while read < total:
        for _ in range(3):
            await asyncio.sleep(0)  # others run; no time passes
        async with asyncio.timeout(PATIENCE):
            read += len(await client.reader.read(65536))
    client.abort()
    assert ahead < 48 * 1024 * 1024  # what four sockets, a server and the client's reader hold


@pytest.mark.parametrize("name", DOORS)
async def test_a_slow_upstream_holds_the_client(doors: dict[str, Door], backend: Backend, name: str) -> None:
    total, piece = 96 * 1024 * 1024, bytes(65536)
    taken = 0

    async def script(client: Client, asked: Request) -> None:
        nonlocal taken
        while taken < total:
            for _ in range(3):
                await asyncio.sleep(0)  # others run; no time passes
            taken += len(await client.reader.read(65536))
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    backend.scripts["/unlimited/large"] = script
    client = await doors[name].connect()
    client.send(request("POST /unlimited/large", LENGTH(total)))
    ahead = 0
    for sent in range(0, total, len(piece)):
        client.send(piece)
        await client.drain()
        ahead = max(ahead, sent - taken)
    assert (await client.response()).status == 200
    client.abort()
    assert ahead < 48 * 1024 * 1024  # what four sockets, a server and the upstream's reader hold


# -- HTTP/2 -------------------------------------------------------------------------------------------

OVER_HTTP2 = ("hypercorn", "granian")


@pytest.mark.parametrize("name", OVER_HTTP2)
async def test_http2_gives_the_same_answer(doors: dict[str, Door], name: str) -> None:
    native = await doors["native"].ask(request("GET /app/scope?q=1", "Cookie: a=1; b=2"))
    async with http2(doors[name].port) as client:
        client.request(b"GET", b"/app/scope?q=1", [(b"cookie", b"a=1"), (b"cookie", b"b=2")])
        status, _, body, complete = await client.response()
    assert (status, json.loads(body), complete) == (native.status, json.loads(native.body), True)


@pytest.mark.parametrize("name", OVER_HTTP2)
async def test_http2_carries_a_body_of_unknown_length(doors: dict[str, Door], name: str) -> None:
    async with http2(doors[name].port) as client:
        stream = client.request(b"POST", b"/up/a", more=True)
        client.body(stream, b"hello ", more=True)
        client.body(stream, b"world")
        _, _, body, _ = await client.response()
    told = json.loads(body)
    assert told["body"] == "hello world"
    assert ["host", "example.test"] in told["fields"]


@pytest.mark.parametrize("name", OVER_HTTP2)
async def test_http2_refuses_what_is_too_large(doors: dict[str, Door], name: str) -> None:
    async with http2(doors[name].port) as client:
        stream = client.request(b"POST", b"/small/a", more=True)
        client.body(stream, b"hello ", more=True)
        client.body(stream, b"world", more=True)
        status, fields, _, _ = await client.response()
    assert status == 413
    assert b"connection" not in dict(fields)


@pytest.mark.parametrize("name", OVER_HTTP2)
async def test_http2_shows_an_answer_that_breaks_off(
    doors: dict[str, Door], backend: Backend, name: str
) -> None:
    async def script(client: Client, _: Request) -> None:
        client.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        raise ConnectionError

    backend.scripts["/up/dies"] = script
    async with http2(doors[name].port) as client:
        client.request(b"GET", b"/up/dies")
        status, _, body, complete = await client.response()
    assert (status, body, complete) == (200, b"half", False)
