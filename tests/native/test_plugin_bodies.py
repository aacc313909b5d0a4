"""What plugins do to bodies: rewrite them, look at them, hold them whole."""

import asyncio
from typing import Any

import pytest

from tests.harness import (
    HELLO,
    Recorder,
    eventually,
    responding,
    scripted,
    serving,
    upstream,
)
from tests.native.test_exchanges import GET, POST, plugged


async def test_a_plugin_may_rewrite_both_bodies() -> None:
    def rewrite(exchange: object, side: str, piece: bytes, last: bool) -> bytes:
        return (piece.upper() if side == "request" else piece[::-1]) + (b"!" if last else b"")

    rewriting = scripted(chunk=rewrite, rewrites_bodies=True)
    async with Recorder() as origin, serving(plugged(upstream(origin), rewriting)) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            client.send(POST)
            received = await client.response()
            assert received.body == b"olleh!"
            assert received.header(b"content-length") is None
        assert [bytes(each.body) for each in origin.requests] == [b"BODY!"] * 2
        assert origin.connections == 1


async def test_a_plugin_cannot_add_a_body_where_none_was_announced() -> None:
    """What a plugin adds to an empty request is not sent: the upstream would take it for another one."""

    def smuggle(exchange: object, side: str, piece: bytes, last: bool) -> bytes:
        return piece + (b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n" if last and side == "request" else b"")

    adding = scripted(chunk=smuggle, rewrites_bodies=True)
    async with Recorder() as origin, serving(plugged(upstream(origin), adding)) as gateway:
        for request in (GET, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"):
            assert (await gateway.ask(request)).status == 200
        assert [each.target for each in origin.requests] == [b"/x?y=1", b"/"]


async def test_a_plugin_that_holds_a_body_and_one_that_rewrites_it_agree_on_its_length() -> None:
    plugins = [
        scripted(request=lambda exchange: None, request_body_limit=100),
        scripted(chunk=lambda exchange, side, piece, last: piece * 2, rewrites_bodies=True),
    ]
    async with Recorder() as origin, serving(plugged(upstream(origin), *plugins)) as gateway:
        assert (await gateway.ask(POST)).status == 200
        assert origin.requests[0].body == b"bodybody"


async def test_pieces_seen_add_up_to_the_bodies() -> None:
    seen: dict[str, list[tuple[bytes, bool]]] = {"request": [], "response": []}

    def look(exchange: object, side: str, piece: bytes, last: bool) -> None:
        seen[side].append((piece, last))

    async with Recorder() as origin, serving(plugged(upstream(origin), scripted(chunk=look))) as gateway:
        received = await gateway.ask(POST)
        assert received.header(b"content-length") == b"5"
        for side, body in (("request", b"body"), ("response", b"hello")):
            assert b"".join(piece for piece, _ in seen[side]) == body
            assert [last for _, last in seen[side]] == [False] * (len(seen[side]) - 1) + [True]


async def test_pieces_of_a_response_meet_the_plugins_in_the_order_of_the_response_phases() -> None:
    def marking(mark: bytes) -> dict[str, Any]:
        def response(exchange: Any) -> None:
            exchange.response.headers.set(b"x-marks", exchange.response.headers.get(b"x-marks", b"") + mark)

        def chunk(exchange: object, side: str, piece: bytes, last: bool) -> bytes:
            return piece + mark if last else piece

        return scripted(response=response, chunk=chunk, rewrites_bodies=True)

    async with Recorder() as origin:
        async with serving(plugged(upstream(origin), marking(b"1"), marking(b"2"))) as gateway:
            answer = await gateway.ask(POST)
            assert (answer.header(b"x-marks"), answer.body) == (b"21", b"hello21")
            assert origin.requests[0].body == b"body12"


async def test_a_plugin_that_returns_bytes_without_saying_so_is_refused() -> None:
    sneaky = scripted(chunk=lambda exchange, side, piece, last: b"x")
    async with Recorder() as origin, serving(plugged(upstream(origin), sneaky)) as gateway:
        assert (await gateway.ask(POST)).status == 500


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
async def test_a_plugin_gets_the_whole_request_body_up_to_its_limit(chunked: bool) -> None:
    held: list[bytes] = []
    holding = scripted(request=lambda exchange: held.append(exchange.request.body), request_body_limit=20_000)

    def request(size: int) -> bytes:
        body = b"x" * size
        if chunked:
            framed = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
            return b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + framed
        return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + body

    async with Recorder() as origin, serving(plugged(upstream(origin), holding)) as gateway:
        assert (await gateway.ask(request(20_000))).status == 200
        assert held == [b"x" * 20_000]
        assert origin.requests[0].body == b"x" * 20_000
        assert (await gateway.ask(request(20_001))).status == 413
        assert (await gateway.ask(GET)).status == 200
        assert held[1:] == [b""]
        assert len(origin.requests) == 2


async def test_a_body_too_large_to_hold_is_refused_before_it_is_asked_for() -> None:
    holding = scripted(request=lambda exchange: None, request_body_limit=10)
    async with serving(plugged(responding(), holding)) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n")
        assert (await client.response()).status == 413


async def test_a_held_body_is_asked_for_when_the_client_waits() -> None:
    held: list[bytes] = []
    holding = scripted(request=lambda exchange: held.append(exchange.request.body), request_body_limit=10)
    async with serving(plugged(responding(), holding)) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert (await client.response()).status == 100
        client.send(b"body")
        assert (await client.response()).status == 200
        assert held == [b"body"]


async def test_a_plugin_may_put_another_body_in_the_requests_place() -> None:
    def replace(exchange: Any) -> None:
        exchange.request.body = b"replaced"

    for limit in (0, 100):
        plugin = scripted(request=replace, request_body_limit=limit)
        async with Recorder() as origin, serving(plugged(upstream(origin), plugin)) as gateway:
            client = await gateway.connect()
            for _ in range(2):
                client.send(POST)
                assert (await client.response()).status == 200
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.send(b"3\r\nabc\r\n0\r\n\r\n")
            assert (await client.response()).status == 200
            client.send(GET)
            assert (await client.response()).status == 200
            assert [bytes(each.body) for each in origin.requests] == [b"replaced"] * 4


async def test_a_plugin_gets_the_whole_answer_up_to_its_limit() -> None:
    def reverse(exchange: Any) -> None:
        assert not exchange.response.streams
        exchange.response.body = exchange.response.body[::-1]

    holding = scripted(response=reverse, response_body_limit=5)
    async with Recorder() as origin, serving(plugged(upstream(origin), holding)) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            client.send(GET)
            received = await client.response()
            assert (received.body, received.header(b"content-length")) == (b"olleh", b"5")
        origin.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n0\r\n\r\n"
        client.send(GET)
        received = await client.response()
        assert received.status == 502
        origin.answer = HELLO
        client.send(GET)
        assert (await client.response()).body == b"olleh"


async def test_an_answer_without_a_body_is_held_as_empty_and_keeps_its_meaning() -> None:
    bodies: list[bytes | None] = []
    holding = scripted(response=lambda exchange: bodies.append(exchange.response.body), response_body_limit=5)
    async with Recorder() as origin, serving(plugged(upstream(origin), holding)) as gateway:
        client = await gateway.connect()
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        head_only = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"
        origin.answer = head_only
        assert (await client.response(to_head=True)).header(b"content-length") in (None, b"7")
        for empty in (
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
        ):
            origin.answer = empty
            client.send(GET)
            received = await client.response()
            assert received.status in (204, 304)
            assert received.header(b"content-length") in (None, b"7")
        assert bodies == [None, b"", b""]  # an answer to HEAD is never held: it stands for another


async def test_a_plugin_that_waits_holds_the_body_back_and_loses_nothing() -> None:
    go_on = asyncio.Event()

    async def wait(exchange: object) -> None:
        await go_on.wait()

    body = bytes(range(256)) * 8192
    for phase in ("request", "forward", "response"):
        go_on.clear()
        async with (
            Recorder() as origin,
            serving(plugged(upstream(origin), scripted(**{phase: wait}))) as gateway,
        ):
            origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            client = await gateway.connect()
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await eventually(lambda: gateway.plane.snapshot.live == 1)
            for _ in range(100):
                await asyncio.sleep(0)
            go_on.set()
            assert (await client.response()).body == body
            assert origin.requests[0].body == body


@pytest.mark.parametrize("rewritten", [False, True])
async def test_only_a_response_that_is_said_to_be_rewritten_loses_its_length(rewritten: bool) -> None:
    def response(exchange: Any) -> None:
        exchange.response.rewritten = rewritten

    def double(exchange: Any, side: str, piece: bytes, last: bool) -> bytes | None:
        return piece * 2 if rewritten and side == "response" else None

    doubling = scripted(response=response, chunk=double)
    async with Recorder() as origin, serving(plugged(upstream(origin), doubling)) as gateway:
        answer = await gateway.ask(POST)
        assert answer.body == (b"hellohello" if rewritten else b"hello")
        assert answer.header(b"content-length") == (None if rewritten else b"5")
        assert origin.requests[0].header(b"content-length") == b"4"
    async with serving(plugged(responding(), doubling)) as gateway:
        assert (await gateway.ask(GET)).body == (b"hellohello" if rewritten else b"hello")
        head = await gateway.ask(GET.replace(b"GET", b"HEAD"), to_head=True)
        assert head.header(b"content-length") == (None if rewritten else b"5")


async def test_a_response_said_to_be_rewritten_says_nothing_of_the_request() -> None:
    def response(exchange: Any) -> None:
        exchange.response.rewritten = True

    def change(exchange: Any, side: str, piece: bytes, last: bool) -> bytes | None:
        return piece * 2 if side == "request" else None

    async with Recorder() as origin:
        changing = scripted(response=response, chunk=change)
        async with serving(plugged(upstream(origin), changing)) as gateway:
            assert (await gateway.ask(POST)).status == 500


async def test_a_responses_pieces_meet_the_plugins_in_the_order_of_its_head() -> None:
    def adding(name: bytes) -> dict[str, Any]:
        def response(exchange: Any) -> None:
            exchange.response.headers.add(b"x-met", name)

        def chunk(exchange: Any, side: str, piece: bytes, last: bool) -> bytes:
            return piece + name if last else piece

        return scripted(response=response, chunk=chunk, rewrites_bodies=True)

    async with Recorder() as origin:
        async with serving(plugged(upstream(origin), adding(b"1"), adding(b"2"))) as gateway:
            answer = await gateway.ask(POST)
            assert origin.requests[0].body == b"body12"
            assert answer.body == b"hello21"
            assert answer.all(b"x-met") == [b"2", b"1"]
