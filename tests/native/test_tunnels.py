"""Upgrades: a tunnel is opened by the upstream's 101 and by nothing else, and ends with either side."""

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect as websocket
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.harness import HELLO, Client, Origin, Recorder, eventually, scripted, serving, upstream

UPGRADE = b"GET /t HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Extra: 1\r\n\r\n"


async def echo(client: Client) -> None:
    """Switch protocols, then send everything back in capitals until the other side ends."""
    received = await client.request()
    assert received.header(b"upgrade") == b"echo"
    assert received.header(b"connection") == b"upgrade"
    client.send(SWITCHED)
    while piece := await client.reader.read(65536):
        client.send(piece.upper())
        await client.drain()


async def test_websockets_speak_through_the_gateway() -> None:
    async def talk(connection: ServerConnection) -> None:
        assert connection.request is not None
        assert "X-Forwarded-For" in connection.request.headers
        async for message in connection:
            await connection.send(message)
        await connection.close()

    async with serve(talk, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with serving(upstream(f"http://127.0.0.1:{port}")) as gateway:
            async with websocket(f"ws://127.0.0.1:{gateway.port}/chat") as socket:
                for message in ["hello", b"\x00\xff", "ä" * 100_000, b"x" * 1_000_000]:
                    await socket.send(message)  # type: ignore[arg-type]
                    assert await socket.recv() == message
                assert await socket.ping()
            assert socket.close_code == 1000
            await eventually(lambda: gateway.pool().connections == 0)
            await eventually(lambda: gateway.plane.door.connections == 0)
            assert gateway.count("agora_requests_total", status="1xx") == 1


async def test_many_websockets_at_once() -> None:
    async def talk(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(talk, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with serving(upstream(f"http://127.0.0.1:{port}")) as gateway:

            async def one(number: int) -> None:
                async with websocket(f"ws://127.0.0.1:{gateway.port}/") as socket:
                    for turn in range(20):
                        await socket.send(f"{number}/{turn}")
                        assert await socket.recv() == f"{number}/{turn}"

            await asyncio.gather(*[one(number) for number in range(20)])


async def test_a_refused_websocket_is_an_ordinary_answer() -> None:
    async with Recorder(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno") as origin:
        async with serving(upstream(origin)) as gateway:
            with pytest.raises(InvalidStatus) as refused:
                await websocket(f"ws://127.0.0.1:{gateway.port}/").__aenter__()
            assert refused.value.response.status_code == 403
            assert refused.value.response.body == b"no"


async def test_an_upstream_that_vanishes_ends_the_websocket() -> None:
    async def vanish(connection: ServerConnection) -> None:
        await connection.recv()
        connection.transport.abort()

    async with serve(vanish, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with serving(upstream(f"http://127.0.0.1:{port}")) as gateway:
            async with websocket(f"ws://127.0.0.1:{gateway.port}/") as socket:
                await socket.send("x")
                with pytest.raises(ConnectionClosedError):
                    await socket.recv()


async def test_bytes_right_behind_the_request_enter_the_tunnel() -> None:
    async with Origin(echo) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(UPGRADE + b"early ")
        client.send(b"bytes")
        answer = await client.response()
        assert (answer.status, answer.header(b"upgrade"), answer.header(b"x-extra")) == (101, b"echo", b"1")
        assert await client.read_exactly(11) == b"EARLY BYTES"
        client.send(b", late")
        assert await client.read_exactly(6) == b", LATE"


async def test_bytes_right_behind_the_101_reach_the_client() -> None:
    async def eager(client: Client) -> None:
        await client.request()
        client.send(SWITCHED + b"welcome")
        await client.read_all()

    async with Origin(eager) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(UPGRADE)
        assert (await client.response()).status == 101
        assert await client.read_exactly(7) == b"welcome"


async def test_a_request_right_behind_a_refused_upgrade_is_a_request() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(UPGRADE + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [(await client.response()).status for _ in range(2)] == [200, 200]
        assert [each.target for each in origin.requests] == [b"/t", b"/next"]


async def test_what_hides_behind_a_refused_upgrade_is_judged_as_a_request() -> None:
    """The bytes behind an upgrade that was not accepted pass routes and plugins like all others."""
    async with Recorder() as origin:
        config = upstream(origin)
        config["route"].insert(0, {"name": "guarded", "path": "/admin", "respond": {"status": 403}})
        async with serving(config) as gateway:
            client = await gateway.connect()
            client.send(UPGRADE + b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n")
            assert [(await client.response()).status for _ in range(2)] == [200, 403]
            assert [each.target for each in origin.requests] == [b"/t"]


async def test_a_client_may_end_its_half_and_hear_the_rest() -> None:
    async def count(client: Client) -> None:
        await client.request()
        client.send(SWITCHED)
        received = await client.reader.read()  # to the client's end
        client.send(b"%d bytes" % len(received))

    async with Origin(count) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(UPGRADE)
        assert (await client.response()).status == 101
        client.send(b"x" * 100_000)
        client.close_sending()
        assert await client.read_all() == b"100000 bytes"
        await eventually(lambda: gateway.pool().connections == 0)


async def test_the_upstreams_end_ends_the_tunnel_after_its_last_byte() -> None:
    async def last_words(client: Client) -> None:
        await client.request()
        client.send(SWITCHED + b"x" * 300_000)

    async with Origin(last_words) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(UPGRADE)
        assert (await client.response()).status == 101
        assert await client.read_all() == b"x" * 300_000


async def test_a_client_that_vanishes_ends_the_tunnel() -> None:
    async with Origin(echo) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(UPGRADE)
        assert (await client.response()).status == 101
        client.reset()
        await eventually(lambda: gateway.pool().connections == 0 and origin.open == 0)
        assert gateway.plane.snapshot.live == 0


async def test_a_tunnel_holds_back_whoever_is_too_fast() -> None:
    async def flood(client: Client) -> None:
        await client.request()
        client.send(SWITCHED)
        piece = bytes(1 << 18)
        while sent[0] < 200 << 20:
            client.send(piece)
            await client.writer.drain()
            sent[0] += len(piece)

    sent = [0]
    config = {"server": {"timeouts": {"write": "200ms"}}}
    async with Origin(flood) as origin, serving({**upstream(origin), **config}) as gateway:
        client = await gateway.connect(limit=4096)
        client.send(UPGRADE)
        await eventually(lambda: origin.connections == 1)
        await eventually(lambda: origin.open == 0)
        assert sent[0] < 32 << 20


async def test_a_quiet_tunnel_lives_on() -> None:
    """Neither the timeouts of bodies nor those of idle upstreams and clients count in a tunnel."""
    config = {"server": {"timeouts": {"keep_alive": "40ms", "body": "40ms", "head": "40ms"}}}
    quiet = upstream("http://127.0.0.1:1", first_byte_timeout="60ms", idle_timeout="40ms")
    answers = iter([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", None])

    async def first_plain_then_echo(client: Client) -> None:
        await client.request()
        client.send(next(answers) or b"")
        await echo(client)

    async with Origin(first_plain_then_echo) as origin:
        quiet["upstream"][0]["targets"] = [origin.url]
        async with serving({**quiet, **config}) as gateway:
            # The connection has carried a sized answer before: nothing of that may stay with the tunnel.
            assert (await gateway.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).body == b"hello"
            client = await gateway.connect()
            client.send(UPGRADE)
            assert (await client.response()).status == 101
            idle = [await gateway.connect() for _ in range(3)]
            for other in idle:  # each closed for being idle: the time has come and gone
                assert await other.closed()
                await asyncio.gather(*[(await gateway.connect()).closed() for _ in range(2)])
            client.send(b"still there")
            assert await client.read_exactly(11) == b"STILL THERE"
            assert origin.connections == 1


async def test_limits_of_bodies_do_not_count_in_a_tunnel() -> None:
    config = {"server": {"limits": {"body": 10}}}
    async with Origin(echo) as origin, serving({**upstream(origin), **config}) as gateway:
        client = await gateway.connect()
        client.send(UPGRADE)
        assert (await client.response()).status == 101
        client.send(b"more than ten bytes")
        assert await client.read_exactly(19) == b"MORE THAN TEN BYTES"


async def test_plugins_that_hold_or_rewrite_bodies_leave_tunnels_alone() -> None:
    def shout(exchange: Any, side: str, piece: bytes, last: bool) -> bytes:
        return b"!" + piece

    plugins = [
        scripted(response=lambda exchange: None, response_body_limit=1000),
        scripted(chunk=shout, rewrites_bodies=True),
        scripted(request=lambda exchange: None, request_body_limit=1000),
    ]
    async with Origin(echo) as origin, serving({**upstream(origin), "plugin": plugins}) as gateway:
        client = await gateway.connect()
        client.send(UPGRADE)
        assert (await client.response()).status == 101
        client.send(b"frames")
        assert await client.read_exactly(6) == b"FRAMES"


async def test_a_plugin_may_refuse_an_upgrade() -> None:
    from core._fast.message import Response

    plugins = [scripted(request=lambda exchange: Response(401, [], b"who?"))]
    async with Origin(echo) as origin, serving({**upstream(origin), "plugin": plugins}) as gateway:
        client = await gateway.connect()
        client.send(UPGRADE + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [(await client.response()).body for _ in range(2)] == [b"who?", b"who?"]
        assert origin.connections == 0


async def test_an_upgrade_in_http_1_0_is_none() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        received = await gateway.exchange(UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert received.startswith(b"HTTP/1.1 200 ")
        assert origin.requests[0].header(b"upgrade") is None
        assert HELLO.endswith(b"hello")
