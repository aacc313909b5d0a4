"""New configurations under load: no request fails, nothing is closed too early, nothing is left behind."""

import asyncio
from typing import Any

import pytest

from core.decode import ConfigInvalid
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

GET = b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"


class Lives:
    """Count plugins' lives: one for each time that they are in a configuration put in force."""

    def __init__(self) -> None:
        self.opened = self.closed = self.busy = 0
        self.violations: list[str] = []

    def plugin(self, **phases: Any) -> dict[str, Any]:
        """Return the table of a plugin whose life is counted, and which notices work after its end."""
        state = {"open": 0}

        async def opens() -> None:
            self.opened += 1
            state["open"] += 1

        async def closes() -> None:
            self.closed += 1
            state["open"] -= 1

        def used(exchange: object) -> None:
            if state["open"] != 1:
                self.violations.append(f"used while open {state['open']} times")

        return scripted(open=opens, close=closes, request=used, response=used, log=used, **phases)


async def keep_asking(gateway: Gateway, stop: asyncio.Event, asked: list[int]) -> None:
    client = await gateway.connect()
    while not stop.is_set():
        client.send(GET)
        answer = await client.response()
        assert (answer.status, answer.body) == (200, b"hello")
        asked.append(1)
    client.close()


async def test_a_thousand_reloads_under_load_fail_no_request() -> None:
    lives = Lives()
    stop = asyncio.Event()
    asked: list[int] = []
    async with Recorder() as origin:

        def version(number: int) -> dict[str, Any]:
            """Return ever new plugins, and an upstream that changes every hundredth time."""
            return {
                **upstream(origin, max_connections=100 + number // 100),
                "plugin": [lives.plugin()],
                "server": {"timeouts": {"keep_alive": f"{60 + number % 7}s"}},
            }

        async with serving(version(0)) as gateway:
            load = [asyncio.create_task(keep_asking(gateway, stop, asked)) for _ in range(8)]
            for number in range(1, 1001):
                await gateway.configure(version(number))
                done = len(asked)
                if number % 10 == 0:
                    await eventually(lambda: len(asked) > done or any(task.done() for task in load))  # noqa: B023
            stop.set()
            await asyncio.gather(*load)
            assert len(asked) >= 100
            await eventually(lambda: lives.closed == 1000)
            assert lives.opened == 1001
            assert lives.violations == []
            assert gateway.count("agora_requests_total", status="2xx") == len(asked)
            assert origin.connections <= 11 * 8 + 8
        assert lives.closed == 1001
        await eventually(lambda: origin.open == 0)


async def test_an_unchanged_upstream_keeps_its_connections() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        for _ in range(5):
            assert (await gateway.ask(GET)).status == 200
            await gateway.configure({**upstream(origin), "plugin": [scripted(log=lambda exchange: None)]})
        assert origin.connections == 1


async def test_an_upstream_that_is_gone_lets_go_of_its_connections() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        assert (await gateway.ask(GET)).status == 200
        await gateway.configure(responding())
        await eventually(lambda: origin.open == 0)
        assert (await gateway.ask(GET)).body == b"hello"


async def test_an_exchange_ends_under_the_configuration_it_began_with() -> None:
    go_on = asyncio.Event()
    lives = Lives()

    async def script(client: Client) -> None:
        while True:
            await client.request()
            await go_on.wait()
            client.send(HELLO)

    def mark(value: bytes) -> dict[str, Any]:
        return scripted(response=lambda exchange: exchange.response.headers.set(b"x-version", value))

    async with Origin(script) as origin:
        old = {**upstream(origin), "plugin": [mark(b"old"), lives.plugin()]}
        async with serving(old) as gateway:
            client = await gateway.connect()
            client.send(GET)
            await eventually(lambda: origin.connections == 1)
            await gateway.configure({**responding("new"), "plugin": [mark(b"new")]})
            assert (await gateway.ask(GET)).header(b"x-version") == b"new"
            assert lives.closed == 0, "a plugin was closed under an exchange that uses it"
            go_on.set()
            answer = await client.response()
            assert (answer.header(b"x-version"), answer.body) == (b"old", b"hello")
            await eventually(lambda: lives.closed == 1)
            client.send(GET)
            answer = await client.response()
            assert (answer.header(b"x-version"), answer.body) == (b"new", b"new")
            await eventually(lambda: origin.open == 0)


async def test_a_request_that_waits_for_a_connection_survives_a_reload() -> None:
    go_on = asyncio.Event()

    async def script(client: Client) -> None:
        while True:
            await client.request()
            await go_on.wait()
            client.send(HELLO)

    async with Origin(script) as origin, serving(upstream(origin, max_connections=1)) as gateway:
        clients = [await gateway.connect() for _ in range(3)]
        for client in clients:
            client.send(GET)
        await eventually(lambda: gateway.pool().waiting == 2)
        await gateway.configure(responding("new"))
        await gateway.configure(responding("newer"))
        go_on.set()
        for client in clients:
            assert (await client.response()).body == b"hello"
        await eventually(lambda: origin.open == 0)


async def test_a_request_without_a_connection_yet_survives_two_reloads() -> None:
    """The upstream is dropped by the second reload while an exchange of the first one has not begun with it."""  # noqa: E501
    go_on = asyncio.Event()

    async def wait(exchange: object) -> None:
        await go_on.wait()

    async with (
        Recorder() as origin,
        serving({**upstream(origin), "plugin": [scripted(request=wait)]}) as gateway,
    ):
        client = await gateway.connect()
        client.send(GET)
        await eventually(lambda: gateway.plane.snapshot.live == 1)
        await gateway.configure(upstream(origin))
        await gateway.configure(responding())
        go_on.set()
        assert (await client.response()).body == b"hello"
        assert len(origin.requests) == 1
        await eventually(lambda: origin.open == 0)


# -- configurations that are refused ----------------------------------------------------------------------


async def fails() -> None:
    raise RuntimeError("cannot open")


async def test_a_plugin_that_cannot_open_leaves_all_as_it_was() -> None:
    old, new = Lives(), Lives()
    async with Recorder() as origin, serving({**upstream(origin), "plugin": [old.plugin()]}) as gateway:
        assert (await gateway.ask(GET)).status == 200
        snapshot, config = gateway.plane.snapshot, gateway.plane.config
        broken = scripted(open=fails, request=lambda exchange: None)
        with pytest.raises(RuntimeError, match="cannot open"):
            await gateway.configure({**responding("new"), "plugin": [new.plugin(), broken, new.plugin()]})
        assert gateway.plane.snapshot is snapshot
        assert gateway.plane.config is config
        assert (new.opened, new.closed) == (1, 1)
        assert (old.opened, old.closed) == (1, 0)
        assert (await gateway.ask(GET)).body == b"hello"
        assert origin.connections == 1
        await gateway.configure(responding("new"))
        assert (await gateway.ask(GET)).body == b"new"
        await eventually(lambda: old.closed == 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"route": [{"name": "r", "path": "/", "upstream": "nobody"}]},
        {"plugin": [{"use": "no-such-plugin"}]},
        {
            "route": [
                {"name": "a", "path": "/{x}", "respond": {}},
                {"name": "b", "path": "/{y}", "respond": {}},
            ]
        },
        {"server": {"listne": "x"}},
    ],
)
async def test_a_wrong_configuration_leaves_all_as_it_was(wrong: dict[str, Any]) -> None:
    async with serving(responding()) as gateway:
        snapshot = gateway.plane.snapshot
        with pytest.raises(ConfigInvalid):
            await gateway.configure({**responding("new"), **wrong})
        assert gateway.plane.snapshot is snapshot
        assert (await gateway.ask(GET)).body == b"hello"


class Application:
    """Be an ASGI application that counts its starts and stops; it answers nothing."""

    started = stopped = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        for what in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{what}"
            self.started += what == "startup"
            self.stopped += what == "shutdown"
            await send({"type": f"lifespan.{what}.complete"})


application = Application()


async def test_a_refused_configuration_stops_the_applications_it_had_started() -> None:
    application.started = application.stopped = 0
    new = {
        "route": [{"name": "app", "path": "/app", "app": "tests.native.test_reload:application"}],
        "plugin": [scripted(open=fails, request=lambda exchange: None)],
    }
    async with serving(responding()) as gateway:
        with pytest.raises(RuntimeError, match="cannot open"):
            await gateway.configure(new)
        assert (application.started, application.stopped) == (1, 1)


async def test_an_unchanged_application_goes_on() -> None:
    application.started = application.stopped = 0
    route = {"name": "app", "path": "/app", "app": "tests.native.test_reload:application"}
    async with serving({"route": [route]}) as gateway:
        for _ in range(3):
            await gateway.configure({"route": [route], "plugin": [scripted(log=lambda exchange: None)]})
        assert (application.started, application.stopped) == (1, 0)
        await gateway.configure(responding())
        await eventually(lambda: application.stopped == 1)
    assert application.started == 1


# -- settings ---------------------------------------------------------------------------------------------


async def test_new_limits_hold_for_requests_that_begin_from_then_on() -> None:
    async with serving(responding()) as gateway:
        client = await gateway.connect()
        large = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1000 + b"\r\n\r\n"
        client.send(large)
        assert (await client.response()).status == 200
        await gateway.configure({**responding(), "server": {"limits": {"header_block": 500}}})
        client.send(large)
        assert (await client.response()).status == 431


async def test_new_timeouts_hold_for_connections_that_stand() -> None:
    async with serving(responding()) as gateway:
        client = await gateway.connect()
        client.send(GET)
        await client.response()
        await gateway.configure({**responding(), "server": {"timeouts": {"keep_alive": "40ms"}}})
        client.send(GET)
        await client.response()
        assert await client.closed()


async def test_draining_ends_idle_connections_and_lets_exchanges_finish() -> None:
    go_on, drained = asyncio.Event(), asyncio.Event()

    async def script(client: Client) -> None:
        await client.request()
        await go_on.wait()
        client.send(HELLO)

    async with Origin(script) as origin, serving(upstream(origin)) as gateway:
        idle, busy, begun = [await gateway.connect() for _ in range(3)]
        idle.send(b"")
        busy.send(GET)
        begun.send(GET[:10])
        await eventually(lambda: origin.connections == 1 and gateway.plane.door.connections == 3)
        gateway.plane.door.drain(drained.set)
        assert await idle.closed()
        begun.send(GET[10:])
        await eventually(lambda: origin.connections == 2)
        go_on.set()
        for client in (busy, begun):
            answer = await client.response()
            assert (answer.body, answer.header(b"connection")) == (b"hello", b"close")
            assert await client.closed()
        async with asyncio.timeout(5):
            await drained.wait()
