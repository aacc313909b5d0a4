"""A client's connection: answers of every framing, and what is sent again."""

from __future__ import annotations

import socket

import pytest

from gateway.demo import connection as module
from gateway.demo.connection import Address, Connection
from gateway.demo.errors import AddressInvalid, AnswerUnexpected, GatewayUnreachable
from tests.harness import Client, Origin


def at(origin: Origin) -> Connection:
    return Connection(Address.parse(f"{origin.url}/market/"))


@pytest.mark.parametrize(
    "text",
    ["", "example.test", "https://example.test", "http://", "http://x:port", "http://x?y", "http://x:99999"],
)
def test_refuses_what_is_no_address(text: str) -> None:
    with pytest.raises(AddressInvalid):
        Address.parse(text)


def test_reads_an_address() -> None:
    assert Address.parse("http://example.test/market/") == Address("example.test", 80, "/market")
    assert str(Address.parse("http://[::1]:8000")) == "http://[::1]:8000"


async def test_asks_one_after_the_other_on_one_connection() -> None:
    answers = [
        b'HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\n{"a":1}',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n2\r\n,2\r\n1\r\n]\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ]
    asked = []

    async def script(client: Client) -> None:
        for answer in answers:
            asked.append(await client.request())
            client.send(answer)

    async with Origin(script) as origin:
        client = at(origin)
        first = await client.ask("POST", "/orders", {"id": "o"})
        second = await client.ask("GET", "/markets")
        third = await client.ask("DELETE", "/orders/o")
        client.close()
        client.close()
    assert (first.status, first.json()) == (201, {"a": 1})
    assert (second.status, second.json()) == (200, [1, 2])
    assert (third.status, third.body) == (204, b"")
    assert [(one.method, one.target, bytes(one.body)) for one in asked] == [
        (b"POST", b"/market/orders", b'{"id":"o"}'),
        (b"GET", b"/market/markets", b""),
        (b"DELETE", b"/market/orders/o", b""),
    ]
    assert origin.connections == 1


async def test_asks_again_when_the_connection_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT", 0)
    seen = []

    async def script(client: Client) -> None:
        seen.append(bytes((await client.request()).body))
        if len(seen) == 1:
            client.reset()
        elif len(seen) == 2:
            client.send(b"HTTP/1.1 200 OK\r\nContent-Le")
        else:
            client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await client.read_all()

    async with Origin(script) as origin:
        client = at(origin)
        assert (await client.ask("POST", "/orders", {"id": "o"})).json() == {}
        assert client.repeated == 2
        await client.ask("GET", "/")
        client.close()
    assert seen == [b'{"id":"o"}'] * 3 + [b""]
    assert origin.connections == 4


async def test_says_that_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(
        GatewayUnreachable, match=f"no gateway answers at http://127.0.0.1:{port}: .*agora serve"
    ):
        await Connection(Address("127.0.0.1", port, "/market")).ask("GET", "/markets")


async def test_says_what_is_no_document() -> None:
    async def script(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await client.read_all()

    async with Origin(script) as origin:
        client = at(origin)
        answer = await client.ask("GET", "/")
        client.close()
    with pytest.raises(AnswerUnexpected, match="status 200 with a body that is no JSON: 'hello'"):
        answer.json()
