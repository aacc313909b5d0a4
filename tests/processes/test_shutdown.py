import asyncio
import signal
from pathlib import Path

import pytest

from tests.harness import Client, Origin
from tests.processes.conftest import Start
from tests.processes.served import Served, answering_when_told, eventually, fixed, get, proxied

GET = b"GET / HTTP/1.1\r\nHost: agora.test\r\n\r\n"

either_way = pytest.mark.parametrize(
    ("workers", "number"), [(1, signal.SIGTERM), (2, signal.SIGINT)], ids=["one-term", "two-int"]
)
one_or_two = pytest.mark.parametrize("workers", [1, 2])


async def refused(served: Served) -> None:
    """Wait until nobody listens any more."""

    async def seen() -> bool:
        try:
            (await served.connect()).abort()
        except ConnectionRefusedError:
            return True
        return False

    await eventually(seen, "connections are refused")


@either_way
async def test_an_exchange_under_way_is_finished(agora: Start, workers: int, number: signal.Signals) -> None:
    asked, go = asyncio.Event(), asyncio.Event()
    async with Origin(answering_when_told(asked, go)) as origin:
        served = await agora(proxied(origin.url, workers=workers))
        client = await served.connect()
        client.send(GET)
        await asked.wait()
        served.signal(number)
        await refused(served)
        assert served.process.returncode is None
        go.set()
        answer = await client.response()
        assert answer.status == 200
        assert answer.body == b"done"
        assert answer.header(b"connection") == b"close"
        assert await client.closed()
        client.abort()
    assert await served.code() == 0
    assert served.lines[-1].endswith("agora: stopped")


@one_or_two
async def test_idle_connections_are_closed(agora: Start, workers: int) -> None:
    served = await agora(fixed("hi", workers=workers))
    clients = [await served.connect() for _ in range(8)]
    for client in clients[:-1]:  # the last one has never sent anything
        assert (await get(client, "/hello")).status == 200
    served.signal(signal.SIGTERM)
    for client in clients:
        assert await client.closed()
        client.abort()
    assert await served.code() == 0


async def test_a_head_that_has_begun_is_still_answered(agora: Start) -> None:
    served = await agora(fixed("hi"))
    client = await served.connect()
    client.send(b"GET /hello HTTP/1.1\r\nHo")

    async def taken() -> bool:
        return await served.count("agora_connections") == 2

    await eventually(taken, "the connection is open")
    served.signal(signal.SIGTERM)
    await refused(served)
    client.send(b"st: agora.test\r\n\r\n")
    answer = await client.response()
    assert answer.status == 200
    assert answer.body == b"hi"
    assert await client.closed()
    client.abort()
    assert await served.code() == 0


@one_or_two
async def test_the_deadline_cuts_what_is_left(agora: Start, workers: int) -> None:
    asked, too_late = asyncio.Event(), asyncio.Event()
    async with Origin(answering_when_told(asked, too_late)) as origin:
        served = await agora(proxied(origin.url, workers=workers, timeouts={"drain": "200ms"}))
        client = await served.connect()
        client.send(GET)
        await asked.wait()
        served.signal(signal.SIGTERM)
        assert await client.closed()
        client.abort()
        assert await served.code() == 0
        assert served.matching("the deadline for draining has passed")
        assert served.matching("cutting 1 connections")
        too_late.set()


@either_way
async def test_a_second_signal_cuts_what_is_left_at_once(
    agora: Start, workers: int, number: signal.Signals
) -> None:
    asked, too_late = asyncio.Event(), asyncio.Event()
    async with Origin(answering_when_told(asked, too_late)) as origin:
        served = await agora(proxied(origin.url, workers=workers, timeouts={"drain": "1h"}))
        client = await served.connect()
        client.send(GET)
        await asked.wait()
        served.signal(number)
        await refused(served)
        served.signal(number)
        assert await client.closed()
        client.abort()
        assert await served.code() == 0
        assert served.matching("cutting 1 connections")
        too_late.set()


async def test_a_stream_goes_on_until_it_is_cut(agora: Start) -> None:
    go = asyncio.Event()

    async def stream(client: Client) -> None:
        await client.reader.readuntil(b"\r\n\r\n")
        client.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await go.wait()
        client.send(b"6\r\nsecond\r\n")
        await client.read_all()

    async with Origin(stream) as origin:
        served = await agora(proxied(origin.url, timeouts={"drain": "1h"}))
        client = await served.connect()
        client.send(GET)
        await client.read_until(b"first")
        served.signal(signal.SIGTERM)
        await refused(served)
        go.set()
        await client.read_until(b"second\r\n")
        served.signal(signal.SIGTERM)
        assert await client.closed()  # without a last chunk: nobody takes it for the whole
        client.abort()
        assert await served.code() == 0


async def test_a_worker_that_hangs_is_killed_in_the_end(agora: Start, tmp_path: Path) -> None:
    (tmp_path / "hang.py").write_text(
        "import os, time\n"
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    os.write(1, b'hanging\\n')\n"
        "    time.sleep(60)\n"
    )
    config = fixed("hi", workers=2, timeouts={"drain": "100ms"})
    config["route"].append({"name": "hang", "path": "/hang", "app": "hang:app"})
    served = await agora(config)
    client = await served.connect()
    client.send(b"GET /hang HTTP/1.1\r\nHost: agora.test\r\n\r\n")
    await served.line("hanging")
    served.signal(signal.SIGTERM)
    assert await client.closed()
    client.abort()
    assert await served.code() == 0
    assert served.matching("killing 1 workers that did not end in time")


@one_or_two
async def test_applications_and_plugins_are_closed(agora: Start, tmp_path: Path, workers: int) -> None:
    (tmp_path / "mine.py").write_text(
        "import os\n"
        "from core.plugin import Plugin, PluginConfig\n"
        "def tell(what): os.write(1, what.encode() + b'\\n')\n"
        "async def app(scope, receive, send):\n"
        "    for _ in range(2):\n"
        "        kind = (await receive())['type']\n"
        "        tell('app ' + kind)\n"
        "        await send({'type': kind + '.complete'})\n"
        "class Mine(Plugin):\n"
        "    class Config(PluginConfig, frozen=True):\n"
        "        pass\n"
        "    def __init__(self, config, site): pass\n"
        "    def response(self, exchange): pass\n"
        "    async def open(self): tell('plugin opened')\n"
        "    async def close(self): tell('plugin closed')\n"
    )
    config = fixed("hi", workers=workers)
    config["plugin"] = [{"use": "mine:Mine"}]
    config["route"].append({"name": "app", "path": "/app", "app": "mine:app"})
    served = await agora(config)
    assert await served.stop() == 0
    for line in ("app lifespan.startup", "plugin opened", "plugin closed", "app lifespan.shutdown"):
        assert len(served.matching(f"^{line}$")) == workers, served.output


async def test_a_signal_while_it_starts_ends_it(agora: Start, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import asyncio, os\n"
        "async def app(scope, receive, send):\n"
        "    os.write(1, b'starting\\n')\n"
        "    await asyncio.sleep(3600)\n"
    )
    for workers in (1, 2):
        config = fixed("hi", workers=workers)
        config["route"].append({"name": "slow", "path": "/slow", "app": "slow:app"})
        served = await agora(config, wait=False)
        await served.line("starting", workers)
        served.signal(signal.SIGTERM)
        await served.code()
        assert not served.matching("serving$")
