"""The forward-auth plugin, with a real service that decides."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.decode import ConfigInvalid
from tests.harness import Answer, Client, Gateway, Origin, Recorder, free_port, serving, upstream
from tests.plugins.make import plugin

ADA = b"HTTP/1.1 200 OK\r\nX-Consumer: ada\r\nX-Plan: gold\r\nX-Plan: extra\r\nContent-Length: 0\r\n\r\n"
NOBODY = b"HTTP/1.1 204 No Content\r\n\r\n"
LOGIN = (
    b"HTTP/1.1 302 Found\r\nLocation: https://login.test/?a=b\r\nSet-Cookie: s=1\r\n"
    b"Content-Length: 2\r\n\r\nno"
)
BROKEN = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"
LARGE = b"HTTP/1.1 403 No\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)


@contextlib.asynccontextmanager
async def guarded(answer: bytes, **options: Any) -> AsyncIterator[tuple[Gateway, Recorder, Recorder]]:
    """Serve a target behind a service that answers so."""
    async with Recorder(answer) as service, Recorder() as origin:
        config = upstream(origin)
        use = {"use": "forward-auth", "url": f"{service.url}/check?x=1", **options}
        config["route"][0]["plugin"] = [use]
        async with serving(config) as gateway:
            yield gateway, service, origin


async def ask(gateway: Gateway, *fields: str, method: str = "GET") -> Answer:
    lines = [f"{method} /a%20b?c=d HTTP/1.1", "Host: shop.test", *fields, "", ""]
    return await gateway.ask("\r\n".join(lines).encode())


async def test_the_service_is_told_of_the_request_and_the_target_of_the_consumer() -> None:
    async with guarded(ADA, copy=["X-Plan", "x-team"]) as (gateway, service, origin):
        forged = ("X-Plan: forged", "X-Team: forged", "X-Consumer-Name: forged", "X-Forwarded-Uri: /forged")
        answer = await ask(
            gateway, "Authorization: Bearer t", "Cookie: a=1", "X-Other: 1", *forged, method="POST"
        )
        assert answer.status == 200
        [asked], [received] = service.requests, origin.requests
        assert asked.head.startswith(b"GET /check?x=1 HTTP/1.1\r\n")
        told = {name: asked.header(name) for name in (b"authorization", b"cookie", b"x-other")}
        assert told == {b"authorization": b"Bearer t", b"cookie": b"a=1", b"x-other": None}
        assert asked.all(b"x-forwarded-uri") == [b"/a%20b?c=d"]
        assert asked.all(b"x-forwarded-method") == [b"POST"]
        assert asked.all(b"x-forwarded-host") == [b"shop.test"]
        assert asked.all(b"x-forwarded-for") == [b"127.0.0.1"]
        assert received.all(b"x-consumer-name") == [b"ada"]
        assert received.all(b"x-plan") == [b"gold", b"extra"]
        assert received.all(b"x-team") == []


async def test_who_is_not_named_is_somebody_all_the_same() -> None:
    async with guarded(NOBODY, consumer="guests") as (gateway, _, origin):
        assert (await ask(gateway)).status == 200
        assert origin.requests[0].all(b"x-consumer-name") == [b"guests"]


async def test_what_the_service_answers_else_is_the_clients_answer() -> None:
    async with guarded(LOGIN) as (gateway, _, origin):
        answer = await ask(gateway)
        assert (answer.status, bytes(answer.body)) == (302, b"no")
        assert answer.header(b"location") == b"https://login.test/?a=b"
        assert answer.all(b"set-cookie") == [b"s=1"]
        assert origin.requests == []


@pytest.mark.parametrize("answer", [BROKEN, LARGE, b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nConte"])
@pytest.mark.parametrize(("on_failure", "status"), [("refuse", 503), ("admit", 200)])
async def test_while_the_service_is_away_it_is_as_was_said(
    answer: bytes, on_failure: str, status: int
) -> None:
    async def once(client: Client) -> None:
        await client.request()
        client.send(answer)
        await client.drain()
        client.close()

    async with Origin(once) as service, Recorder() as origin:
        config = upstream(origin)
        use = {"use": "forward-auth", "url": service.url, "on_failure": on_failure}
        config["route"][0]["plugin"] = [use]
        async with serving(config) as gateway:
            assert (await ask(gateway)).status == status
            assert gateway.count("agora_forward_auth_away_total", route="r") == 1


async def test_a_service_that_is_not_there_or_never_answers_is_away() -> None:
    async def silent(client: Client) -> None:
        await client.closed()

    async with Origin(silent) as service, Recorder() as origin:
        for url in (f"http://127.0.0.1:{free_port()}", service.url):
            config = upstream(origin)
            config["route"][0]["plugin"] = [{"use": "forward-auth", "url": url, "timeout": "100ms"}]
            async with serving(config) as gateway:
                assert (await ask(gateway)).status == 503
        assert origin.requests == []


@pytest.mark.parametrize("url", ["", "ftp://a", "http://", "localhost:80", "http://a b"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigInvalid, match="write http://host:port/path"):
        plugin("forward-auth", url=url)
