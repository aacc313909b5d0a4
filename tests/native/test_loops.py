"""The native door on both event loops: uvloop, under which it serves, and asyncio's own."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.harness import (
    HELLO,
    Client,
    Origin,
    Recorder,
    answering,
    eventually,
    free_port,
    responding,
    scripted,
    serving,
    upstream,
)

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop", "asyncio"])

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


async def echo(client: Client) -> None:
    while True:
        received = await client.request()
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(received.body) + received.body)


async def test_pipelined_requests_are_answered() -> None:
    async with Origin(answering(HELLO)) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(GET * 2000)
        for _ in range(2000):
            assert (await client.response()).body == b"hello"
        assert origin.connections == 1


async def test_large_bodies_pass_both_ways() -> None:
    body = bytes(range(256)) * 50_000
    async with Origin(echo) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert (await client.response()).body == body


async def test_tls_on_both_sides(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "certificate", "key")}
    authority.cert_pem.write_to_path(str(files["ca"]))
    issued.cert_chain_pems[0].write_to_path(str(files["certificate"]))
    issued.private_key_pem.write_to_path(str(files["key"]))
    behind = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    behind.load_cert_chain(files["certificate"], files["key"])
    body = bytes(range(256)) * 20_000
    async with Origin(echo, tls=behind) as origin:
        config: dict[str, Any] = upstream(origin, tls={"ca": str(files["ca"])})
        config["server"] = {"tls": {"certificate": str(files["certificate"]), "key": str(files["key"])}}
        async with serving(config) as gateway:
            context = ssl.create_default_context(cafile=str(files["ca"]))
            client = await gateway.connect(ssl=context, server_hostname="localhost")
            for _ in range(2):
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                assert (await client.response()).body == body
            assert origin.connections == 1


async def test_a_tunnel_opens_and_closes() -> None:
    async def shout(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        while piece := await client.reader.read(65536):
            client.send(piece.upper())

    async with Origin(shout) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nearly")
        assert (await client.response()).status == 101
        assert await client.read_exactly(5) == b"EARLY"
        client.close()
        await eventually(lambda: gateway.pool().connections == 0)


async def test_failures_are_told() -> None:
    async with serving(upstream(f"http://127.0.0.1:{free_port()}")) as gateway:
        assert (await gateway.ask(GET)).status == 502
        assert (await gateway.exchange(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_timeouts_fire() -> None:
    config = {**responding(), "server": {"timeouts": {"head": "40ms"}}}
    async with serving(config) as gateway:
        assert (await gateway.exchange(b"GET /")).startswith(b"HTTP/1.1 408 ")


async def test_plugins_may_wait() -> None:
    async def wait(exchange: Any) -> None:
        await asyncio.sleep(0)
        exchange.state["waited"] = True

    def told(exchange: Any) -> None:
        exchange.response.headers.set(b"x-waited", str(exchange.state["waited"]).encode())

    plugins = [scripted(request=wait), scripted(response=told)]
    async with Recorder() as origin, serving({**upstream(origin), "plugin": plugins}) as gateway:
        for _ in range(3):
            assert (await gateway.ask(GET)).header(b"x-waited") == b"True"


async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    async def flood(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while not client.writer.is_closing():
            client.send(bytes(1 << 18))
            await client.writer.drain()

    config = {"server": {"timeouts": {"write": "60ms"}}}
    async with Origin(flood) as origin, serving({**upstream(origin), **config}) as gateway:
        client = await gateway.connect(limit=4096)
        client.send(GET)
        await eventually(lambda: origin.connections == 1)
        await eventually(lambda: origin.open == 0 and gateway.pool().connections == 0)
