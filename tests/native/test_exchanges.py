"""What plugins do to exchanges, and what exchanges survive of plugins."""

import asyncio
import contextlib
from typing import Any

import pytest

from core._fast.message import Response
from tests.harness import (
    HELLO,
    Client,
    Gateway,
    Origin,
    Recorder,
    eventually,
    responding,
    scripted,
    serving,
    upstream,
)

GET = b"GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody"


def fail(*_: object) -> None:
    raise RuntimeError("the plugin's own mistake")


async def fail_later(*_: object) -> None:
    await asyncio.sleep(0)
    fail()


def plugged(config: dict[str, Any], *plugins: dict[str, Any]) -> dict[str, Any]:
    return {**config, "plugin": list(plugins)}


def answer(status: int = 418, body: bytes = b"tea") -> Response:
    return Response(status, [(b"x-made", b"here")], body)


# -- plugins that fail ------------------------------------------------------------------------------------

BEFORE_THE_HEAD = [
    ("accept", fail),
    ("request", fail),
    ("request", fail_later),
    ("forward", fail),
    ("forward", fail_later),
    ("response", fail),
    ("response", fail_later),
]


@pytest.mark.parametrize(("phase", "method"), BEFORE_THE_HEAD)
async def test_a_plugin_that_fails_is_a_500_and_the_connection_lives_on(
    phase: str, method: Any, caplog: pytest.LogCaptureFixture
) -> None:
    turn = iter([True, False])

    def sometimes(exchange: object) -> Any:
        return method(exchange) if next(turn) else None

    async def sometimes_later(exchange: object) -> Any:
        if next(turn):
            await method(exchange)

    scripted_phase = sometimes_later if method is fail_later else sometimes
    logged: list[tuple[int, str | None]] = []
    plugins = [
        scripted(**{phase: scripted_phase}),
        scripted(log=lambda exchange: logged.append((exchange.status, exchange.problem))),
    ]
    async with Recorder() as origin, serving(plugged(upstream(origin), *plugins)) as gateway:
        client = await gateway.connect()
        client.send(GET)
        failed = await client.response()
        assert failed.status == 500
        assert b"urn:agora:problem:plugin-failed" in failed.body
        assert b"mistake" not in failed.body
        client.send(GET)
        assert (await client.response()).status == 200
        assert logged == [(500, "plugin-failed"), (200, None)]
        await eventually(lambda: gateway.pool().connections == gateway.pool().idle)
    assert "the plugin's own mistake" in caplog.text


async def test_a_plugin_that_fails_over_a_piece_cuts_the_answer_off() -> None:
    def fails(exchange: object, side: str, piece: bytes, last: bool) -> None:
        if side == "response" and b"second" in piece:
            fail()

    async def pieces(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await go_on.wait()
        client.send(b"6\r\nsecond\r\n0\r\n\r\n")

    go_on = asyncio.Event()
    async with Origin(pieces) as origin, serving(plugged(upstream(origin), scripted(chunk=fails))) as gateway:
        client = await gateway.connect()
        client.send(GET)
        assert b"first" in await client.read_until(b"first")
        go_on.set()
        assert b"0\r\n\r\n" not in await client.read_all()
        await eventually(lambda: gateway.pool().connections == 0)


@pytest.mark.parametrize("last_piece", [False, True])
async def test_a_plugin_that_fails_over_a_piece_of_the_request_is_a_500(last_piece: bool) -> None:
    def fails(exchange: object, side: str, piece: bytes, last: bool) -> None:
        if side == "request" and last == last_piece:
            fail()

    seen: list[bytes] = []

    async def script(client: Client) -> None:
        while True:
            seen.append(bytes((await client.request()).body))
            client.send(HELLO)

    async with Origin(script) as origin, serving(plugged(upstream(origin), scripted(chunk=fails))) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        client.send(b"0\r\n\r\n")
        assert (await client.response()).status == 500
        await eventually(lambda: gateway.pool().connections == 0)
        assert not seen, "an upstream took the beginning of a body for the whole"


async def test_a_log_that_fails_harms_nobody_and_the_others_are_run() -> None:
    logged: list[int] = []
    plugins = [scripted(log=lambda exchange: logged.append(exchange.status)), scripted(log=fail)]
    async with Recorder() as origin, serving(plugged(upstream(origin), *plugins)) as gateway:
        client = await gateway.connect()
        for _ in range(3):
            client.send(GET)
            assert (await client.response()).status == 200
        assert logged == [200, 200, 200]


@pytest.mark.parametrize("wrong", [True, "denied", b"denied", {"status": 403}, 403])
@pytest.mark.parametrize("waits", [False, True], ids=["at once", "later"])
async def test_an_answer_that_is_no_response_is_the_plugins_mistake(wrong: object, waits: bool) -> None:
    async def later(exchange: object) -> object:
        await asyncio.sleep(0)
        return wrong

    method = later if waits else lambda exchange: wrong
    async with serving(plugged(responding(), scripted(request=method))) as gateway:
        failed = await gateway.ask(GET)
        assert failed.status == 500
        assert b"urn:agora:problem:plugin-failed" in failed.body


async def test_a_header_that_would_split_the_answer_is_the_plugins_mistake() -> None:
    def splits(exchange: Any) -> None:
        exchange.response.headers.set(b"x-a", b"1\r\nSet-Cookie: evil=1")

    async with Recorder() as origin, serving(plugged(upstream(origin), scripted(response=splits))) as gateway:
        received = await gateway.ask(GET)
        assert received.status == 500
        assert b"evil" not in received.head


# -- plugins that answer ----------------------------------------------------------------------------------


async def test_accept_answers_before_a_route_is_known() -> None:
    seen: list[tuple[str, str]] = []
    plugins = [
        scripted(accept=lambda exchange: answer()),
        scripted(log=lambda exchange: seen.append((exchange.route, exchange.request.target))),
    ]
    async with Recorder() as origin, serving(plugged(upstream(origin), *plugins)) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            client.send(POST)
            received = await client.response()
            assert (received.status, received.body, received.header(b"x-made")) == (418, b"tea", b"here")
        assert not origin.requests
        assert seen == [("", "/"), ("", "/")]


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "later"])
async def test_request_answers_before_the_upstream_is_asked(waits: bool) -> None:
    async def later(exchange: object) -> Response:
        await asyncio.sleep(0)
        return answer()

    order: list[str] = []
    plugins = [
        scripted(
            request=lambda exchange: order.append("first"), response=lambda exchange: order.append("out")
        ),
        scripted(request=later if waits else lambda exchange: answer()),
        scripted(request=lambda exchange: order.append("never")),
    ]
    async with Recorder() as origin, serving(plugged(upstream(origin), *plugins)) as gateway:
        client = await gateway.connect()
        client.send(GET + GET)
        for _ in range(2):
            assert (await client.response()).status == 418
        assert order == ["first", "out"] * 2
        assert origin.connections == 0


async def test_phases_run_in_order_and_back() -> None:
    order: list[str] = []

    def notes(name: str, waits: bool) -> dict[str, Any]:
        def note(phase: str) -> Any:
            def at_once(exchange: object) -> None:
                order.append(f"{phase} {name}")

            async def later(exchange: object) -> None:
                await asyncio.sleep(0)
                order.append(f"{phase} {name}")

            return later if waits and phase in ("request", "forward", "response") else at_once

        return scripted(
            **{phase: note(phase) for phase in ("accept", "request", "forward", "response", "log")}
        )

    async with Recorder() as origin:
        config = plugged(upstream(origin), notes("a", False), notes("b", True))
        config["route"][0]["plugin"] = [notes("c", False), notes("d", True)]
        async with serving(config) as gateway:
            assert (await gateway.ask(GET)).status == 200
            assert order == [
                "accept a", "accept b",
                "request a", "request b", "request c", "request d",
                "forward a", "forward b", "forward c", "forward d",
                "response d", "response c", "response b", "response a",
                "log d", "log c", "log b", "log a",
            ]  # fmt: skip


async def test_one_answer_object_may_be_given_again_and_again() -> None:
    same = answer()

    def decorate(exchange: Any) -> None:
        exchange.response.headers.add(b"x-added", b"1")

    plugins = [scripted(request=lambda exchange: same), scripted(response=decorate)]
    async with serving(plugged(responding(), *plugins)) as gateway:
        client = await gateway.connect()
        for _ in range(3):
            client.send(GET)
            received = await client.response()
            assert received.all(b"x-added") == [b"1"]
        assert len(same.headers) == 1


async def test_a_plugin_may_close_the_connection() -> None:
    def close(exchange: Any) -> None:
        exchange.close = True

    async with Recorder() as origin, serving(plugged(upstream(origin), scripted(request=close))) as gateway:
        received = await gateway.exchange(GET + GET)
        assert received.count(b"HTTP/1.1 200") == 1
        assert b"Connection: close" in received


async def test_a_plugin_may_change_what_is_sent_and_what_is_answered() -> None:
    def forward(exchange: Any) -> None:
        exchange.request.path = "/other/%2e%2e/path"
        exchange.request.query = "a=b"
        exchange.request.host = "b.test"
        exchange.request.headers.set(b"x-new", b"1")
        exchange.request.headers.remove(b"x-old")

    def respond(exchange: Any) -> None:
        exchange.response.status = 203
        exchange.response.headers.remove(b"server")
        assert exchange.response.streams

    said = b"HTTP/1.1 200 Fine\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello"
    async with Recorder(said) as origin:
        config = plugged(upstream(origin), scripted(forward=forward, response=respond))
        async with serving(config) as gateway:
            received = await gateway.ask(b"GET /x HTTP/1.1\r\nHost: a\r\nX-Old: 1\r\n\r\n")
            assert received.start == b"HTTP/1.1 203 Non-Authoritative Information"
            assert received.header(b"server") is None
            sent = origin.requests[0]
            assert (sent.target, sent.header(b"host")) == (b"/path?a=b", b"b.test")
            assert (sent.header(b"x-new"), sent.header(b"x-old")) == (b"1", None)


# -- clients that leave, exchanges that are kept ----------------------------------------------------------


@pytest.mark.parametrize("phase", ["request", "forward", "response"])
async def test_a_client_that_leaves_while_a_plugin_waits_cancels_it(phase: str) -> None:
    waiting, cancelled = asyncio.Event(), asyncio.Event()
    logged: list[int] = []

    async def wait(exchange: object) -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    plugin = scripted(**{phase: wait, "log": lambda exchange: logged.append(exchange.status)})  # type: ignore[attr-defined]
    async with Recorder() as origin, serving(plugged(upstream(origin), plugin)) as gateway:
        client = await gateway.connect()
        client.send(GET)
        await waiting.wait()
        client.abort()
        async with asyncio.timeout(5):
            await cancelled.wait()
        await eventually(lambda: gateway.plane.snapshot.live == 0)
        assert len(logged) == 1
        await eventually(lambda: gateway.pool().connections == gateway.pool().idle)


async def test_a_plugin_that_ignores_its_cancelling_changes_nothing_any_more() -> None:
    waiting, ended = asyncio.Event(), asyncio.Event()

    async def stubborn(exchange: Any) -> Response:
        waiting.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        exchange.request.headers.set(b"x-late", b"1")
        ended.set()
        return answer()

    async with Recorder() as origin:
        config = upstream(origin)
        config["route"].insert(0, {"name": "slow", "path": "/slow", "upstream": "u"})
        config["route"][0]["plugin"] = [scripted(request=stubborn)]
        async with serving(config) as gateway:
            client = await gateway.connect()
            client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            await waiting.wait()
            client.abort()
            others = [await gateway.connect() for _ in range(5)]
            for other in others:
                other.send(GET)
            await ended.wait()
            for other in others:
                received = await other.response()
                assert (received.status, received.header(b"x-made")) == (200, None)
            assert all(each.header(b"x-late") is None for each in origin.requests)


async def ask_many(gateway: Gateway, count: int) -> list[bytes]:
    client = await gateway.connect()
    bodies = []
    for number in range(count):
        client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\nX-Number: %d\r\n\r\n" % (number, number))
        bodies.append(bytes((await client.response()).body))
    return bodies


@pytest.mark.parametrize("part", ["exchange", "request", "headers", "response", "response headers", "state"])
async def test_what_a_plugin_keeps_is_not_used_again_under_it(part: str) -> None:
    """Exchanges are recycled, but not while anybody holds a part of one."""
    kept: list[Any] = []
    get = {
        "exchange": lambda exchange: exchange,
        "request": lambda exchange: exchange.request,
        "headers": lambda exchange: exchange.request.headers,
        "response": lambda exchange: exchange.response,
        "response headers": lambda exchange: exchange.response.headers,
        "state": lambda exchange: exchange.state,
    }[part]

    def keep(exchange: Any) -> None:
        exchange.state["path"] = exchange.request.path
        kept.append(get(exchange))  # type: ignore[no-untyped-call]

    async def echo(client: Client) -> None:
        while True:
            target = (await client.request()).target
            client.send(
                b"HTTP/1.1 200 OK\r\nX-Path: %s\r\nContent-Length: %d\r\n\r\n" % (target, len(target))
                + target
            )

    async with Origin(echo) as origin, serving(plugged(upstream(origin), scripted(log=keep))) as gateway:
        assert await ask_many(gateway, 50) == [b"/%d" % number for number in range(50)]
        for number, held in enumerate(kept):
            path = f"/{number}"
            if part == "exchange":
                assert (held.request.path, held.status) == (path, 200)
                assert held.request.headers.get(b"x-number") == b"%d" % number
            elif part == "request":
                assert (held.path, held.headers.get(b"x-number")) == (path, b"%d" % number)
            elif part == "headers":
                assert held.get(b"x-number") == b"%d" % number
            elif part == "response":
                assert held.headers.get(b"x-path") == path.encode()
            elif part == "response headers":
                assert held.get(b"x-path") == path.encode()
            else:
                assert held == {"path": path}


async def test_nothing_of_one_exchange_is_left_in_the_next() -> None:
    def first(exchange: Any) -> None:
        for name in ("consumer", "request_id", "trace_id", "server", "problem", "certificate"):
            assert getattr(exchange, name) is None, name
        assert (exchange.max_response_body, exchange.idle_timeout, exchange.connect_timeout) == (0, 0, 0)
        assert exchange.state == {}
        assert exchange.request.body is None
        assert exchange.bytes_in in (0, len(b"body"))  # a small body is there with its head
        assert (exchange.bytes_out, exchange.status) == (0, 0)
        exchange.state["x"] = 1
        exchange.consumer, exchange.request_id, exchange.trace_id = "c", b"r", b"t"
        exchange.max_response_body, exchange.max_request_body = 1000, 1000
        exchange.idle_timeout = exchange.connect_timeout = exchange.first_byte_timeout = 5
        exchange.problem = "x"
        exchange.request.path = "/changed"
        exchange.request.query = "changed"

    async with Recorder() as origin, serving(plugged(upstream(origin), scripted(accept=first))) as gateway:
        client = await gateway.connect()
        for request in (POST, GET, POST, b"GET /no-query HTTP/1.1\r\nHost: a\r\n\r\n"):
            client.send(request)
            assert (await client.response()).status == 200


async def test_plugins_see_the_exchange_as_it_was() -> None:
    seen: list[Any] = []

    def look(exchange: Any) -> None:
        request = exchange.request
        seen.append((request.method, request.version, request.path, request.query, request.host))
        seen.append((exchange.route, exchange.parameters, exchange.client, exchange.peer, exchange.scheme))
        seen.append((exchange.status, exchange.bytes_in, exchange.bytes_out, exchange.server))
        assert 0 < exchange.target_elapsed <= exchange.elapsed

    async with Recorder() as origin:
        config = plugged(upstream(origin), scripted(log=look))
        config["route"] = [{"name": "item", "path": "/items/{id}", "upstream": "u"}]
        async with serving(config) as gateway:
            await gateway.ask(
                b"PUT /items/a%20b?q=1 HTTP/1.1\r\nHost: a.test:81\r\nContent-Length: 4\r\n\r\nbody"
            )
            assert seen == [
                ("PUT", "1.1", "/items/a%20b", "q=1", "a.test:81"),
                ("item", {"id": "a b"}, "127.0.0.1", "127.0.0.1", "http"),
                (200, 4, 5, origin.url),
            ]


async def test_no_route_is_a_404_and_the_wrong_method_a_405() -> None:
    config = {"route": [{"name": "r", "path": "/x", "methods": ["GET", "PUT"], "respond": {"body": "x"}}]}
    async with serving(config) as gateway:
        assert (await gateway.ask(b"GET /y HTTP/1.1\r\nHost: a\r\n\r\n")).status == 404
        received = await gateway.ask(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert received.status == 405
        allowed = received.header(b"allow")
        assert allowed is not None
        assert {b"GET", b"PUT"} <= set(allowed.split(b", "))


async def test_the_answers_size_may_be_limited() -> None:
    def limit(exchange: Any) -> None:
        exchange.max_response_body = 4

    async with Recorder() as origin, serving(plugged(upstream(origin), scripted(request=limit))) as gateway:
        assert (await gateway.exchange(GET)).count(b"hello") == 0
