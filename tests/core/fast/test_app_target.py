"""ASGI applications as targets behind the native door: what they are shown, and how they are stopped."""

from __future__ import annotations

import asyncio
from typing import Any

from core._fast import app_target
from core._fast.app_target import App
from tests.core.fast.stage import Message, Receive, Send, answer, playing, stage
from tests.harness import PATIENCE

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def talk(app: Any, request: bytes = GET, **config: Any) -> Any:
    async with playing(app, **config) as gateway:
        client = await gateway.connect()
        client.send(request)
        got = await client.response(to_head=request.startswith(b"HEAD"))
        client.abort()
        return got


def test_the_compiled_module_is_the_one_loaded() -> None:
    assert app_target.__file__.endswith(".so")


# -- the scope ----------------------------------------------------------------------------------------


async def test_shows_the_request_as_asgi_prescribes() -> None:
    await talk(
        answer(),
        b"POST /a%20b/%2Fc/../d?q=1&r=%20 HTTP/1.1\r\nHost: example.test:8080\r\n"
        b"X-Mixed: One\r\nX-Mixed: two\r\nContent-Length: 2\r\n\r\nhi",
    )
    scope = stage.scopes[0]
    assert scope["type"] == "http"
    assert scope["asgi"]["version"] == "3.0"
    assert scope["http_version"] == "1.1"
    assert scope["method"] == "POST"
    assert scope["scheme"] == "http"
    assert scope["raw_path"] == b"/a%20b/d"
    assert scope["path"] == "/a b/d"
    assert scope["query_string"] == b"q=1&r=%20"
    assert scope["root_path"] == ""
    assert scope["client"] == ("127.0.0.1", 0)
    assert scope["server"] == ("example.test", 8080)
    assert scope["headers"] == [
        (b"host", b"example.test:8080"),
        (b"x-mixed", b"One"),
        (b"x-mixed", b"two"),
        (b"content-length", b"2"),
    ]


async def test_decodes_an_escaped_slash_in_the_path_but_not_in_the_raw_path() -> None:
    await talk(answer(), b"GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n")
    assert stage.scopes[0]["path"] == "/a/b"
    assert stage.scopes[0]["raw_path"] == b"/a%2Fb"


async def test_leaves_out_hop_by_hop_fields_and_transfer_coding() -> None:
    await talk(
        answer(),
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: x-hop\r\nX-Hop: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\n"
        b"Transfer-Encoding: chunked\r\nX-Stays: 1\r\n\r\n0\r\n\r\n",
    )
    assert stage.scopes[0]["headers"] == [(b"host", b"a"), (b"x-stays", b"1")]


async def test_a_request_of_http_1_0_needs_no_host() -> None:
    got = await talk(answer(200, [], b"x"), b"GET / HTTP/1.0\r\n\r\n")
    assert got.body == b"x"
    assert stage.scopes[0]["http_version"] == "1.0"
    assert stage.scopes[0]["server"] is None
    assert stage.scopes[0]["headers"] == []


async def test_believes_a_trusted_proxy_about_client_and_scheme() -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\r\n"
    await talk(answer(), request, server={"trusted_proxies": ["127.0.0.0/8"]})
    assert stage.scopes[0]["client"] == ("203.0.113.9", 0)
    assert stage.scopes[0]["scheme"] == "https"
    assert stage.scopes[0]["server"] == ("a", 443)
    await talk(answer(), request)
    assert stage.scopes[0]["client"] == ("127.0.0.1", 0)
    assert stage.scopes[0]["scheme"] == "http"
    assert stage.scopes[0]["headers"] == [(b"host", b"a")]


async def test_an_ipv6_host_is_told_without_its_brackets() -> None:
    await talk(answer(), b"GET / HTTP/1.1\r\nHost: [::1]:81\r\n\r\n")
    assert stage.scopes[0]["server"] == ("::1", 81)
    await talk(answer(), b"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n")
    assert stage.scopes[0]["server"] == ("::1", 80)


async def test_each_call_has_its_own_copy_of_the_state() -> None:
    application = App("a", answer(), {"pool": 1})
    assert application.calls == 0

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        scope["state"]["mine"] = 1
        await answer()(scope, receive, send)

    async with playing(app) as gateway:
        for _ in range(2):
            client = await gateway.connect()
            client.send(GET)
            await client.response()
            client.abort()
    assert stage.scopes[0]["state"] is not stage.scopes[1]["state"]


# -- stopping -----------------------------------------------------------------------------------------


async def test_closing_waits_for_calls_and_cancels_those_that_take_too_long() -> None:
    started = asyncio.Event()
    cancelled = asyncio.Event()

    async def stuck(scope: Message, receive: Receive, send: Send) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with playing(stuck) as gateway:
        client = await gateway.connect()
        client.send(GET)
        async with asyncio.timeout(PATIENCE):
            await started.wait()
        target = gateway.plane.snapshot.plans[0].target
        assert isinstance(target, App)
        assert target.calls == 1
        await target.close(0)
        assert target.calls == 0
        assert (await client.response()).status == 503
        client.abort()
    assert cancelled.is_set()
