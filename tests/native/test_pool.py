"""Connections to upstreams: reuse, limits, waiting, and what is sent again when one has died."""

import asyncio
import itertools
import os
import socket

import pytest

from tests.harness import (
    HELLO,
    Client,
    Gateway,
    Origin,
    Received,
    Recorder,
    answering,
    eventually,
    free_port,
    scripted,
    serving,
    upstream,
)  # fmt: skip

GET = b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"
SAFE = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]


def request(method: str, body: bytes = b"") -> bytes:
    return f"{method} /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Mortal(Origin):
    """Be an upstream server whose connections die, after some answers, at the request that follows."""

    def __init__(self, lives: int) -> None:
        super().__init__(self._mortal)
        self.lives = lives
        self.seen: list[Received] = []

    async def _mortal(self, client: Client) -> None:
        for _ in range(self.lives):
            self.seen.append(await client.request())
            client.send(HELLO)
        self.seen.append(await client.request())


async def test_one_connection_serves_many_clients_in_turn() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        for _ in range(10):
            assert (await gateway.ask(GET)).status == 200
        assert origin.connections == 1
        assert (gateway.pool().connections, gateway.pool().idle) == (1, 1)


async def test_requests_at_the_same_time_get_connections_of_their_own() -> None:
    go_on = asyncio.Event()

    async def script(client: Client) -> None:
        while True:
            await client.request()
            await go_on.wait()
            client.send(HELLO)

    async with Origin(script) as origin, serving(upstream(origin)) as gateway:
        asked = [asyncio.create_task(gateway.ask(GET)) for _ in range(7)]
        await eventually(lambda: origin.connections == 7)
        go_on.set()
        assert [answer.status for answer in await asyncio.gather(*asked)] == [200] * 7
        assert gateway.pool().idle == 7


# -- connections that die while idle ----------------------------------------------------------------------


@pytest.mark.parametrize("method", [*SAFE, "POST", "PATCH"])
async def test_a_connection_that_died_while_idle_is_found_before_it_is_used(method: str) -> None:
    async def once(client: Client) -> None:
        await client.request()
        client.send(HELLO if method != "HEAD" else b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")

    async with Origin(once) as origin, serving(upstream(origin)) as gateway:
        for count in (1, 2, 3):
            answer = await gateway.ask(request(method), to_head=method == "HEAD")
            assert answer.status == 200
            assert origin.connections == count


@pytest.mark.parametrize("body", [b"", b"body"], ids=["empty", "body"])
@pytest.mark.parametrize("method", SAFE)
async def test_a_safe_request_is_sent_again_when_its_connection_dies_under_it(
    method: str, body: bytes
) -> None:
    async with Mortal(1) as origin, serving(upstream(origin)) as gateway:
        assert (await gateway.ask(GET)).status == 200
        answer = await gateway.ask(request(method, body), to_head=method == "HEAD")
        assert answer.status == 200
        assert [(each.method.decode(), bytes(each.body)) for each in origin.seen[1:]] == [(method, body)] * 2
        assert origin.connections == 2


@pytest.mark.parametrize("method", ["POST", "PATCH", "PURGE"])
async def test_an_unsafe_request_is_never_sent_again(method: str) -> None:
    async with Mortal(1) as origin, serving(upstream(origin)) as gateway:
        assert (await gateway.ask(GET)).status == 200
        answer = await gateway.ask(request(method, b"once"))
        assert answer.status == 502
        assert b"urn:agora:problem:upstream-closed" in answer.body
        assert [each.method.decode() for each in origin.seen[1:]] == [method]


async def test_a_request_is_sent_again_once_at_most() -> None:
    async with Mortal(0) as origin, serving(upstream(origin)) as gateway:
        assert (await gateway.ask(GET)).status == 502
        assert len(origin.seen) == 1, "the first request of a connection is not sent again"
        origin.lives = 1
        assert (await gateway.ask(GET)).status == 200
        origin.lives = 0
        assert (await gateway.ask(GET)).status == 502
        assert len(origin.seen) == 4


async def test_a_request_is_not_sent_again_once_a_byte_of_an_answer_came() -> None:
    async def script(client: Client) -> None:
        await client.request()
        client.send(HELLO)
        await client.request()
        client.send(b"H")
        await client.drain()

    async with Origin(script) as origin, serving(upstream(origin)) as gateway:
        assert (await gateway.ask(GET)).status == 200
        answer = await gateway.ask(GET)
        assert answer.status == 502
        assert b"urn:agora:problem:upstream-broken" in answer.body
        assert origin.connections == 1


async def test_a_request_is_not_sent_again_after_an_interim_answer() -> None:
    async def script(client: Client) -> None:
        await client.request()
        client.send(HELLO)
        await client.request()
        client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await client.drain()

    async with Origin(script) as origin, serving(upstream(origin)) as gateway:
        assert (await gateway.ask(GET)).status == 200
        assert (await gateway.ask(GET)).status == 502
        assert origin.connections == 1


async def test_a_body_that_streams_is_not_sent_again_but_its_connection_is_looked_at() -> None:
    """The connection dies between two turns of the loop: only looking at the socket tells."""
    sockets: list[socket.socket] = []
    seen: list[bytes] = []

    async def script(client: Client) -> None:
        sockets.append(socket.socket(fileno=os.dup(client.writer.get_extra_info("socket").fileno())))
        while True:
            seen.append(bytes((await client.request()).body))
            client.send(HELLO)

    async with Origin(script) as origin, serving(upstream(origin)) as gateway:
        assert (await gateway.ask(GET)).status == 200
        client = await gateway.connect()
        client.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf")
        sockets[0].shutdown(socket.SHUT_RDWR)  # in the same turn: the loop has seen neither yet
        client.send(b"half")
        sockets.pop(0).close()
        answer = await client.response()
        assert answer.status == 200
        assert seen == [b"", b"halfhalf"]
        sockets.pop().close()


async def test_a_plan_that_looks_at_bodies_still_finds_dead_connections() -> None:
    async def once(client: Client) -> None:
        await client.request()
        client.send(HELLO)

    config = {"plugin": [scripted(chunk=lambda exchange, side, piece, last: None)]}
    async with Origin(once) as origin, serving({**upstream(origin), **config}) as gateway:
        for count in (1, 2, 3):
            assert (await gateway.ask(GET)).status == 200
            assert origin.connections == count


# -- limits and waiting -----------------------------------------------------------------------------------


class Gate(Origin):
    """Be an upstream server that answers with the request's path when it is let."""

    def __init__(self) -> None:
        super().__init__(self._gate)
        self.order: list[bytes] = []
        self.let = asyncio.Semaphore(0)

    async def _gate(self, client: Client) -> None:
        while True:
            received = await client.request()
            self.order.append(received.target)
            await self.let.acquire()
            client.send(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(received.target) + received.target
            )


async def ask_for(gateway: Gateway, number: int) -> tuple[int, bytes]:
    answer = await gateway.ask(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
    return answer.status, bytes(answer.body)


async def test_requests_over_the_connections_wait_in_order() -> None:
    async with Gate() as origin, serving(upstream(origin, max_connections=1)) as gateway:
        asked = []
        for number in range(6):
            asked.append(asyncio.create_task(ask_for(gateway, number)))
            await eventually(lambda: len(origin.order) + gateway.pool().waiting == len(asked))
        for _ in asked:
            origin.let.release()
        assert await asyncio.gather(*asked) == [(200, b"/%d" % number) for number in range(6)]
        assert origin.order == [b"/%d" % number for number in range(6)]
        assert origin.connections == 1


async def test_a_full_queue_is_503_at_once() -> None:
    async with Gate() as origin, serving(upstream(origin, max_connections=1, queue=1)) as gateway:
        first = asyncio.create_task(ask_for(gateway, 1))
        await eventually(lambda: len(origin.order) == 1)
        second = asyncio.create_task(ask_for(gateway, 2))
        await eventually(lambda: gateway.pool().waiting == 1)
        status, body = await ask_for(gateway, 3)
        assert status == 503
        assert b"urn:agora:problem:upstream-busy" in body
        origin.let.release()
        origin.let.release()
        assert [(await first)[0], (await second)[0]] == [200, 200]


async def test_waiting_too_long_is_503() -> None:
    config = {"max_connections": 1, "queue_timeout": "40ms"}
    async with Gate() as origin, serving(upstream(origin, **config)) as gateway:
        first = asyncio.create_task(ask_for(gateway, 1))
        await eventually(lambda: len(origin.order) == 1)
        assert (await ask_for(gateway, 2))[0] == 503
        assert gateway.pool().waiting == 0
        origin.let.release()
        assert (await first)[0] == 200
        assert gateway.count("agora_upstream_failures_total", reason="upstream-busy") == 1


async def test_a_client_that_leaves_the_queue_makes_room() -> None:
    async with Gate() as origin, serving(upstream(origin, max_connections=1)) as gateway:
        first = asyncio.create_task(ask_for(gateway, 1))
        await eventually(lambda: len(origin.order) == 1)
        leaver = await gateway.connect()
        leaver.send(GET)
        await eventually(lambda: gateway.pool().waiting == 1)
        last = asyncio.create_task(ask_for(gateway, 3))
        await eventually(lambda: gateway.pool().waiting == 2)
        leaver.abort()
        await eventually(lambda: gateway.pool().waiting == 1)
        origin.let.release()
        origin.let.release()
        assert [(await first)[0], (await last)[0]] == [200, 200]
        assert origin.order == [b"/1", b"/3"]


async def test_who_waits_gets_a_new_connection_when_the_busy_one_dies() -> None:
    async def dies(client: Client) -> None:
        await client.request()
        await let.acquire()
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
        await client.drain()

    let = asyncio.Semaphore(0)
    async with Origin(dies) as origin, serving(upstream(origin, max_connections=1)) as gateway:
        clients = [await gateway.connect() for _ in range(3)]
        for client in clients:
            client.send(GET)
        await eventually(lambda: gateway.pool().waiting == 2)
        for client in clients:
            let.release()
            assert b"hel" in await client.read_all()
        assert origin.connections == 3


# -- connecting -------------------------------------------------------------------------------------------


async def test_a_refused_connect_is_502() -> None:
    async with serving(upstream(f"http://127.0.0.1:{free_port()}")) as gateway:
        answer = await gateway.ask(GET)
        assert answer.status == 502
        assert b"urn:agora:problem:upstream-unreachable" in answer.body
        assert gateway.pool().connections == 0
        assert gateway.count("agora_upstream_failures_total", reason="upstream-unreachable") == 1


async def test_everybody_who_waits_hears_of_a_refused_connect_without_delay() -> None:
    config = upstream(f"http://127.0.0.1:{free_port()}", max_connections=1, queue_timeout="60s")
    async with serving(config) as gateway:
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*[gateway.ask(GET) for _ in range(20)])
        assert [answer.status for answer in answers] == [502] * 20
        assert (gateway.pool().connections, gateway.pool().waiting) == (0, 0)


class Unanswering:
    """Be an address at which connecting never ends: a listener whose queue is full."""

    def __enter__(self) -> str:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self._fill = [socket.socket() for _ in range(2)]
        for filler in self._fill:
            filler.setblocking(False)
            filler.connect_ex(self._listener.getsockname())
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._fill):
            each.close()


async def test_a_connect_without_an_answer_is_504() -> None:
    with Unanswering() as url:
        async with serving(upstream(url, connect_timeout="50ms")) as gateway:
            answer = await gateway.ask(GET)
            assert answer.status == 504
            assert b"urn:agora:problem:upstream-connect-timeout" in answer.body
            await eventually(lambda: gateway.pool().connections == 0)


async def test_a_plugin_may_shorten_the_connect_timeout() -> None:
    def hurry(exchange: object) -> None:
        exchange.connect_timeout = 0.04  # type: ignore[attr-defined]

    with Unanswering() as url:
        config = {**upstream(url, connect_timeout="60s"), "plugin": [scripted(request=hurry)]}
        async with serving(config) as gateway:
            assert (await gateway.ask(GET)).status == 504


async def test_no_limit_on_connecting_is_no_limit() -> None:
    async with Recorder() as origin, serving(upstream(origin, connect_timeout=0, queue_timeout=0)) as gateway:
        assert (await gateway.ask(GET)).status == 200


async def test_a_client_that_leaves_while_connecting_leaves_no_exchange_behind() -> None:
    with Unanswering() as url:
        async with serving(upstream(url, connect_timeout="60s")) as gateway:
            client = await gateway.connect()
            client.send(GET)
            await eventually(lambda: gateway.pool().connecting == 1)
            client.abort()
            await eventually(lambda: gateway.plane.snapshot.live == 0)
            assert gateway.pool().waiting == 0


# -- idle connections -------------------------------------------------------------------------------------


async def test_an_idle_connection_is_closed_when_its_time_is_over() -> None:
    async with Recorder() as origin, serving(upstream(origin, keep_alive="40ms")) as gateway:
        assert (await gateway.ask(GET)).status == 200
        await eventually(lambda: origin.open == 0)
        assert gateway.pool().connections == 0
        assert (await gateway.ask(GET)).status == 200


async def test_no_more_idle_connections_are_kept_than_allowed() -> None:
    async with Recorder() as origin, serving(upstream(origin, max_idle=0)) as gateway:
        for count in (1, 2, 3):
            assert (await gateway.ask(GET)).status == 200
            assert origin.connections == count
        await eventually(lambda: gateway.pool().connections == 0)


async def test_servers_of_an_upstream_take_turns() -> None:
    def says(body: bytes) -> Origin:
        return Origin(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + body))

    async with says(b"a") as first, says(b"b") as second, serving(upstream(first, second)) as gateway:
        bodies = [bytes((await gateway.ask(GET)).body) for _ in range(6)]
        assert sorted(bodies) == [b"a"] * 3 + [b"b"] * 3
        assert all(one != other for one, other in itertools.pairwise(bodies))


async def test_many_clients_share_few_connections_without_mixing_answers() -> None:
    async def echo(client: Client) -> None:
        while True:
            target = (await client.request()).target
            client.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(target) + target)

    async with Origin(echo) as origin, serving(upstream(origin, max_connections=4)) as gateway:

        async def ask(number: int) -> None:
            client = await gateway.connect()
            for turn in range(10):
                client.send(b"GET /%d/%d HTTP/1.1\r\nHost: a\r\n\r\n" % (number, turn))
                assert (await client.response()).body == b"/%d/%d" % (number, turn)

        await asyncio.gather(*[ask(number) for number in range(40)])
        assert origin.connections <= 4
