"""Clients and upstreams that misbehave at random, many at once: every answer belongs to its question.

A run is decided by its seed. Each client asks for its own number and may cut, drip, reset, pipeline or leave;
each upstream connection may die, break off, answer early or say nothing; some plugins wait. Whatever comes,
a client sees its own number or no whole answer, and in the end nothing is left.
"""

import asyncio
import random
from typing import Any

import pytest

from tests.harness import Client, Gateway, Origin, eventually, scripted, serving, upstream

PADDING = 70_000  # bytes that make some bodies longer than one read


def question(choose: random.Random, number: int) -> bytes:
    """Return a request in one of the ways there are."""
    kind = choose.randrange(4)
    path = f"/{number}"
    if kind == 0:
        return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    body = b"x" * choose.choice([0, 1, 100, PADDING])
    head = f"{choose.choice(['POST', 'PUT'])} {path} HTTP/1.1\r\nHost: a\r\n"
    if kind == 1 or not body:
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    cut = choose.randrange(1, len(body) + 1)
    chunks = [piece for piece in (body[:cut], body[cut:]) if piece]
    framed = b"".join(b"%x;e=1\r\n%s\r\n" % (len(piece), piece) for piece in chunks)
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + framed + b"0\r\nX-T: 1\r\n\r\n"


async def send_oddly(choose: random.Random, client: Client, data: bytes) -> None:
    """Send bytes whole or in pieces, with turns of the loop between them."""
    while data:
        size = len(data) if choose.random() < 0.5 else choose.randrange(1, len(data) + 1)
        client.send(data[:size])
        data = data[size:]
        for _ in range(choose.randrange(3)):
            await asyncio.sleep(0)


async def ask(choose: random.Random, gateway: Gateway, first: int) -> int:
    """Ask some questions on one connection; return how many were answered whole."""
    client = await gateway.connect()
    count = choose.randrange(1, 6)
    data = b"".join(question(choose, first + turn) for turn in range(count))
    leaves = choose.random()
    if leaves < 0.3:
        await send_oddly(choose, client, data[: choose.randrange(len(data))])
        client.reset() if leaves < 0.15 else client.close()
        return 0
    sending = asyncio.create_task(send_oddly(choose, client, data))
    answered = 0
    try:
        for turn in range(count):
            answer = await client.response()
            if answer.status == 200:
                told = answer.body.split(b" ")[0]
                assert told == b"%d" % (first + turn), f"{told!r} is no answer to {first + turn}"
                answered += 1
            else:
                assert answer.status in (400, 413, 500, 502, 503, 504), answer.head
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    sending.cancel()
    await asyncio.wait({sending})
    client.abort()
    return answered


class Unreliable(Origin):
    """Be an upstream server that answers with the number asked for, mostly."""

    def __init__(self, choose: random.Random) -> None:
        super().__init__(self._serve_oddly)
        self.choose = choose

    async def _serve_oddly(self, client: Client) -> None:
        choose = self.choose
        while True:
            head = await client.read_until(b"\r\n\r\n")
            number = head.split(b" ")[1][1:]
            fate = choose.random()
            if fate < 0.04:
                return client.reset()
            if fate < 0.08:
                return None
            if fate < 0.9:
                await self._rest(client, head)
            body = number + b" " + b"y" * choose.choice([0, 10, PADDING])
            answer = self._framed(body)
            if fate < 0.14:
                await send_oddly(choose, client, answer[: choose.randrange(len(answer))])
                return client.reset() if choose.random() < 0.5 else None
            await send_oddly(choose, client, answer[:-1])
            # NOTE: what comes later, after the next question, could not be told from its answer by anybody.
            stray = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray" if fate < 0.18 else b""
            client.send(answer[-1:] + stray)
            if fate >= 0.9:
                return None  # it has not read the request's body

    def _framed(self, body: bytes) -> bytes:
        if self.choose.random() < 0.5:
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks

    @staticmethod
    async def _rest(client: Client, head: bytes) -> None:
        if b"Transfer-Encoding" in head:
            while size := int((await client.read_until(b"\r\n")), 16):
                await client.read_exactly(size + 2)
            await client.read_until(b"\r\n")
            if not client.reader.at_eof() and b"X-T" in head:
                await client.read_until(b"\r\n")
        else:
            for line in head.split(b"\r\n"):
                if line.startswith(b"Content-Length: "):
                    await client.read_exactly(int(line[16:]))


def waiting(choose: random.Random) -> dict[str, Any]:
    """Return a plugin that waits now and then, in every phase that may."""

    async def wait(exchange: object) -> None:
        for _ in range(choose.randrange(3)):
            await asyncio.sleep(0)

    return scripted(request=wait, forward=wait, response=wait)


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "plugins wait"])
@pytest.mark.parametrize("seed", range(6))
async def test_every_answer_belongs_to_its_question(seed: int, waits: bool) -> None:
    choose = random.Random(seed * 2 + waits)
    async with Unreliable(choose) as origin:
        config = upstream(origin, max_connections=choose.choice([2, 8, 64]), queue_timeout="10s")
        if waits:
            config["plugin"] = [waiting(choose)]
        async with serving(config) as gateway:
            answered = 0
            for batch in range(6):
                asked = [ask(choose, gateway, 1000 * (batch * 40 + number)) for number in range(40)]
                answered += sum(await asyncio.gather(*asked))
            assert answered > 50
            await eventually(lambda: gateway.plane.door.connections == 0)
            assert gateway.plane.snapshot.live == 0
            await eventually(lambda: gateway.pool().connections == gateway.pool().idle)
            assert gateway.pool().waiting == 0
