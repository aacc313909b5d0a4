"""Bodies stream: each piece goes on when it comes, and nobody's slowness fills the gateway's memory."""

import asyncio
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from tests.harness import HELLO, Client, Origin, eventually, scripted, serving, upstream

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
MEGABYTE = 1 << 20
IN_FLIGHT = 32 * MEGABYTE  # what kernels hold in the buffers of two loopback connections, and some more


@pytest.mark.parametrize("framing", ["by length", "by chunks", "by close"])
async def test_each_event_arrives_before_the_next_is_made(framing: str) -> None:
    events = [b"data: %d\n\n" % number for number in range(20)]
    seen = asyncio.Semaphore(0)
    fields = {
        "by length": b"Content-Length: %d\r\n" % sum(map(len, events)),
        "by chunks": b"Transfer-Encoding: chunked\r\n",
        "by close": b"",
    }[framing]

    async def source(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + fields + b"\r\n")
        for event in events:
            await seen.acquire()
            client.send(b"%x\r\n%s\r\n" % (len(event), event) if framing == "by chunks" else event)
        if framing == "by chunks":
            client.send(b"0\r\n\r\n")

    async with Origin(source) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(GET)
        assert (await client.response(to_head=True)).status == 200
        for event in events:
            seen.release()
            assert event in await client.read_until(b"\n\n")


async def test_each_piece_of_an_upload_arrives_before_the_next_is_sent() -> None:
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def sink(client: Client) -> None:
        await client.read_until(b"\r\n\r\n")
        for _ in range(10):
            size = int(await client.read_until(b"\r\n"), 16)
            arrived.put_nowait((await client.read_exactly(size + 2))[:-2])
        await client.read_until(b"0\r\n\r\n")
        client.send(HELLO)

    async with Origin(sink) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(10):
            client.send(b"7\r\npiece %d\r\n" % number)
            assert await asyncio.wait_for(arrived.get(), 5) == b"piece %d" % number
        client.send(b"0\r\n\r\n")
        assert (await client.response()).status == 200


async def test_a_conversation_within_one_exchange_is_possible() -> None:
    """The answer's pieces depend on the request's: neither is held back for the other's end."""

    async def talk(client: Client) -> None:
        await client.read_until(b"\r\n\r\n")
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            client.send((await client.read_exactly(1)).upper())

    async with Origin(talk) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        client.send(b"a")
        assert (await client.response(to_head=True)).status == 200
        for number in range(10):
            assert await client.read_exactly(1) == b"ABCDEFGHIJ"[number : number + 1]
            if number < 9:
                client.send(b"abcdefghij"[number + 1 : number + 2])


# -- backpressure -----------------------------------------------------------------------------------------


class Memory:
    """Watch how much this process's memory has grown, at most, at the moments it is asked to look."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._began = self._process.memory_info().rss
        self.grown = 0

    def look(self) -> None:
        """Look."""
        self.grown = max(self.grown, self._process.memory_info().rss - self._began)


async def pour(client: Client, total: int, poured: list[int]) -> None:
    """Write until the other side takes no more, counting what it took."""
    piece = bytes(256 * 1024)
    client.writer.transport.set_write_buffer_limits(high=0)
    while poured[0] < total and not client.writer.is_closing():
        client.send(piece)
        await client.writer.drain()
        poured[0] += len(piece)


async def test_a_client_that_reads_nothing_holds_back_the_upstream() -> None:
    total = 200 * MEGABYTE
    poured = [0]
    memory = Memory()

    async def source(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        await pour(client, total, poured)

    config: dict[str, Any] = {
        "server": {"timeouts": {"write": "300ms"}},
        "plugin": [scripted(log=lambda exchange: memory.look())],
    }
    async with Origin(source) as origin, serving({**upstream(origin), **config}) as gateway:
        client = await gateway.connect(limit=4096)
        client.send(GET)
        await eventually(lambda: origin.connections == 1)
        await eventually(
            lambda: origin.open == 0
        )  # the gateway has cut the reader off, and then the upstream
        assert poured[0] < IN_FLIGHT
        assert memory.grown < 16 * MEGABYTE


async def test_an_upstream_that_reads_nothing_holds_back_the_client() -> None:
    total = 200 * MEGABYTE
    poured = [0]
    memory = Memory()
    ended = asyncio.Event()

    async def deaf(client: Client) -> None:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await ended.wait()

    config = {
        **upstream("http://127.0.0.1:1", first_byte_timeout="300ms", idle_timeout="300ms"),
        "plugin": [scripted(log=lambda exchange: memory.look())],
    }
    async with Origin(deaf) as origin:
        config["upstream"][0]["targets"] = [origin.url]
        async with serving(config) as gateway:
            client = await gateway.connect()
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % total)
            pouring = asyncio.create_task(pour(client, total, poured))
            assert (await client.response()).status == 504
            pouring.cancel()
            await asyncio.wait({pouring})
            ended.set()
            assert poured[0] < IN_FLIGHT
            assert memory.grown < 16 * MEGABYTE


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_large_answer_passes_whole_through_little_memory(framing: str) -> None:
    total = 96 * MEGABYTE
    piece = bytes(range(256)) * 1024
    memory = Memory()

    async def source(client: Client) -> None:
        await client.request()
        chunked = framing == "chunks"
        field = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % total
        client.send(b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\n")
        for _ in range(total // len(piece)):
            client.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            await client.writer.drain()
            memory.look()
        client.send(b"0\r\n\r\n" if chunked else b"")

    async with Origin(source) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect(limit=MEGABYTE)
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        head = await client.read_until(b"\r\n\r\n")
        assert b"200 OK" in head
        received, last = 0, b""
        while part := await client.reader.read(1 << 18):
            received += len(part)
            last = part
        assert received == total
        assert piece.endswith(last[-256:])
        assert memory.grown < 16 * MEGABYTE


async def test_a_large_upload_passes_whole_through_little_memory() -> None:
    total = 96 * MEGABYTE
    memory = Memory()
    arrived = 0

    async def sink(client: Client) -> None:
        nonlocal arrived
        await client.read_until(b"\r\n\r\n")
        while arrived < total:
            arrived += len(await client.reader.read(1 << 18))
            memory.look()
        client.send(HELLO)

    async with Origin(sink) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % total)
        await pour(client, total, [0])
        assert (await client.response()).status == 200
        assert arrived == total
        assert memory.grown < 16 * MEGABYTE


async def test_slow_readers_do_not_hold_up_the_others() -> None:
    async def source(client: Client) -> None:
        received = await client.request()
        if received.target == b"/big":
            client.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MEGABYTE))
            await pour(client, 64 * MEGABYTE, [0])
        else:
            client.send(HELLO)

    async with Origin(source) as origin, serving(upstream(origin)) as gateway:
        slow = [await gateway.connect(limit=4096) for _ in range(5)]
        for client in slow:
            client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        await eventually(lambda: origin.connections == 5)
        for _ in range(50):
            assert (await gateway.ask(GET)).body == b"hello"


async def test_a_reader_that_comes_back_gets_the_rest() -> None:
    total = 24 * MEGABYTE
    poured = [0]

    async def source(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        await pour(client, total, poured)

    async with Origin(source) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect(limit=4096)
        client.send(GET)
        await client.read_until(b"\r\n\r\n")
        before = -1
        while poured[0] != before:  # until nothing moves any more
            before = poured[0]
            for _ in range(200):
                await asyncio.sleep(0)
        assert poured[0] < total
        assert len(await client.read_exactly(total)) == total
