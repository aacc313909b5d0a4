"""The mirror plugin, over sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from core.decode import ConfigInvalid
from core.exchange import Response
from tests.harness import (
    Client,
    Gateway,
    Origin,
    Received,
    Recorder,
    eventually,
    free_port,
    scripted,
    serving,
    upstream,
)
from tests.plugins.make import plugin

GET = b"GET /a%2Fb?x=%20&y=1 HTTP/1.1\r\nHost: api.test\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\n\r\nbody"


@asynccontextmanager
async def mirroring(
    target: Origin, shadow: Origin | str, *others: dict[str, Any], **options: Any
) -> AsyncIterator[Gateway]:
    """Serve the plugin before a target, with copies to a shadow."""
    url = shadow if isinstance(shadow, str) else shadow.url
    config = upstream(target)
    config["route"][0]["plugin"] = [{"use": "mirror", "url": url, **options}, *others]
    async with serving(config) as gateway:
        yield gateway


async def done(gateway: Gateway, outcome: str, count: int = 1) -> None:
    """Wait until so many copies have come to that."""
    await eventually(lambda: gateway.count("agora_mirrored_total", outcome=outcome) == count)


async def copies_of(*requests: bytes, **options: Any) -> list[Received]:
    """Return what the shadow gets of requests that all are copied."""
    async with Recorder() as target, Recorder() as shadow:
        async with mirroring(target, shadow, **options) as gateway:
            for request in requests:
                assert (await gateway.ask(request)).body == b"hello"
            await done(gateway, "sent", len(requests))
            return shadow.requests


async def test_a_copy_is_what_the_target_is_sent() -> None:
    (copy,) = await copies_of(GET)
    assert (copy.method, copy.target, bytes(copy.body)) == (b"GET", b"/a%2Fb?x=%20&y=1", b"")
    assert copy.header(b"content-length") is None
    assert (copy.header(b"x-mirrored") or b"").startswith(b"agora")


async def test_a_copy_has_the_requests_body_however_it_came() -> None:
    chunked = (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"
    )
    for copy in await copies_of(POST, chunked):
        assert copy.body == b"body"
        assert copy.header(b"content-length") == b"4"
        assert copy.header(b"transfer-encoding") is None


async def test_a_body_may_come_byte_by_byte() -> None:
    async with Recorder() as target, Recorder() as shadow, mirroring(target, shadow) as gateway:
        client = await gateway.connect()
        for byte in POST + POST:
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        for _ in range(2):
            assert (await client.response()).body == b"hello"
        await done(gateway, "sent", 2)
        assert [bytes(copy.body) for copy in shadow.requests] == [b"body", b"body"]
        assert [bytes(each.body) for each in target.requests] == [b"body", b"body"]


async def test_the_url_may_have_a_path_of_its_own() -> None:
    async with Recorder() as target, Recorder() as shadow:
        async with mirroring(target, shadow.url + "/shadow/") as gateway:
            await gateway.ask(GET)
            await done(gateway, "sent")
        assert shadow.requests[0].target == b"/shadow/a%2Fb?x=%20&y=1"


@pytest.mark.parametrize("target", [b"/a%2fB;c/%7e~!$&'()*+,=:@", b"//a///b/", b"/?{|}^`%zz&a[]='<>/?"])
async def test_path_and_query_are_copied_byte_by_byte(target: bytes) -> None:
    async with Recorder() as origin, Recorder() as shadow, mirroring(origin, shadow) as gateway:
        if (await gateway.ask(GET.replace(b"/a%2Fb?x=%20&y=1", target))).status == 200:
            await done(gateway, "sent")
        assert [copy.target for copy in shadow.requests] == [each.target for each in origin.requests]
        assert len(shadow.requests) == 1


async def test_what_belongs_to_the_connection_or_to_the_client_is_left_out() -> None:
    fields = {
        b"Connection": b"x-hop, keep-alive",
        b"X-Hop": b"1",
        b"Keep-Alive": b"timeout=1",
        b"TE": b"trailers",
        b"Proxy-Authorization": b"p",
        b"Authorization": b"a",
        b"Cookie": b"c",
        b"X-Api-Key": b"k",
        b"X-Other": b"o",
    }
    request = GET[:-2] + b"".join(b"%b: %b\r\n" % field for field in fields.items()) + b"X-Other: 2\r\n\r\n"
    (copy,) = await copies_of(request)
    names = {name.lower() for name, _ in copy.fields}
    assert names <= {b"host", b"x-other", b"x-mirrored", b"connection"}
    assert copy.all(b"connection") in ([], [b"keep-alive"])
    assert copy.all(b"x-other") == [b"o", b"2"]
    (copy,) = await copies_of(request, credentials=True)
    assert [copy.header(name) for name in (b"authorization", b"cookie", b"x-api-key")] == [b"a", b"c", b"k"]
    assert copy.header(b"x-hop") is None


async def test_a_copy_is_told_apart_and_not_copied_again() -> None:
    async with Recorder() as target, Recorder() as shadow:
        async with mirroring(target, shadow, mark="X-Shadow") as gateway:
            await gateway.ask(GET[:-2] + b"X-Shadow: other\r\n\r\n")
            await gateway.ask(GET)
            await done(gateway, "sent")
        (copy,) = shadow.requests
        assert copy.all(b"x-shadow") != [b"other"]
        assert len(copy.all(b"x-shadow")) == 1


async def test_neither_silence_nor_absence_of_the_other_server_is_noticed() -> None:
    async def silent(client: Client) -> None:
        await client.request()
        await client.read_all()

    async with Recorder() as target, Origin(silent) as shadow:
        async with mirroring(target, shadow, concurrency=1) as gateway:
            for _ in range(3):
                assert (await gateway.ask(GET)).body == b"hello"
            await done(gateway, "busy", 2)
        async with mirroring(target, f"http://127.0.0.1:{free_port()}") as gateway:
            assert (await gateway.ask(GET)).body == b"hello"
            await done(gateway, "failed")


@pytest.mark.parametrize(
    "answer", [b"nonsense\r\n\r\n", b"", b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nx"]
)
async def test_what_the_other_server_answers_is_of_no_matter(answer: bytes) -> None:
    async def script(client: Client) -> None:
        await client.request()
        client.send(answer)

    async with Recorder() as target, Origin(script) as shadow, mirroring(target, shadow) as gateway:
        assert (await gateway.ask(GET)).body == b"hello"
        await done(gateway, "failed")
        assert (await gateway.ask(GET)).body == b"hello"


async def test_an_answer_without_end_is_cut_off() -> None:
    async def endless(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            client.send(b"x" * 1000)
            await client.drain()

    async with Recorder() as target, Origin(endless) as shadow:
        async with mirroring(target, shadow, timeout="50ms") as gateway:
            assert (await gateway.ask(GET)).body == b"hello"
            await done(gateway, "failed")


async def test_bodies_that_are_too_large_are_not_copied() -> None:
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n"
    sized = POST.replace(b": 4", b": 5") + b"!"
    async with Recorder() as target, Recorder() as shadow:
        async with mirroring(target, shadow, max_body=4, concurrency=1) as gateway:
            for request in (chunked, sized):
                assert (await gateway.ask(request)).body == b"hello"
            await done(gateway, "too-large", 2)
            assert (await gateway.ask(POST)).body == b"hello"
            await done(gateway, "sent")
        assert [bytes(each.body) for each in target.requests] == [b"12345", b"body!", b"body"]
        assert [bytes(copy.body) for copy in shadow.requests] == [b"body"]


async def test_a_client_that_goes_in_the_middle_leaves_its_place_to_others() -> None:
    async with Recorder() as target, Recorder() as shadow:
        async with mirroring(target, shadow, concurrency=1) as gateway:
            client = await gateway.connect()
            client.send(POST[:-2])
            await eventually(lambda: target.open == 1)
            client.abort()
            await done(gateway, "failed")
            assert (await gateway.ask(POST)).body == b"hello"
            await done(gateway, "sent")
        assert len(shadow.requests) == 1


async def test_requests_that_are_refused_are_not_copied() -> None:
    refusing = scripted(request=lambda exchange: Response(403) if exchange.request.path == "/no" else None)
    async with Recorder() as target, Recorder() as shadow:
        async with mirroring(target, shadow, refusing) as gateway:
            assert (await gateway.ask(b"GET /no HTTP/1.1\r\nHost: a\r\n\r\n")).status == 403
            assert (await gateway.ask(GET)).status == 200
            await done(gateway, "sent")
        assert [copy.target for copy in shadow.requests] == [b"/a%2Fb?x=%20&y=1"]


async def test_a_copy_has_what_other_plugins_changed() -> None:
    def change(exchange: Any) -> None:
        exchange.request.path = "/changed"
        exchange.request.headers.set(b"x-set", b"1")

    async with Recorder() as target, Recorder() as shadow:
        async with mirroring(target, shadow, scripted(forward=change)) as gateway:
            await gateway.ask(GET)
            await done(gateway, "sent")
        assert shadow.requests[0].target == b"/changed?x=%20&y=1"
        assert shadow.requests[0].header(b"x-set") == b"1"


async def test_only_the_methods_that_are_named_are_copied() -> None:
    async with Recorder() as target, Recorder() as shadow:
        async with mirroring(target, shadow, methods=["GET"]) as gateway:
            await gateway.ask(POST)
            await gateway.ask(GET)
            await done(gateway, "sent")
        assert [copy.method for copy in shadow.requests] == [b"GET"]


async def test_only_a_share_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([0.5, 0.49, 0.0, 0.99])
    monkeypatch.setattr("plugins.mirror.random.random", lambda: next(drawn))
    async with Recorder() as target, Recorder() as shadow:
        async with mirroring(target, shadow, share=0.5) as gateway:
            for number in range(4):
                await gateway.ask(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
            await done(gateway, "sent", 2)
        assert {copy.target for copy in shadow.requests} == {b"/1", b"/2"}


async def test_a_reload_waits_for_no_copy() -> None:
    async def silent(client: Client) -> None:
        await client.request()
        await client.read_all()

    async with Recorder() as target, Origin(silent) as shadow, mirroring(target, shadow) as gateway:
        await gateway.ask(GET)
        await eventually(lambda: shadow.open == 1)
        await gateway.plane.swap(gateway.plane.config)
        await done(gateway, "failed")
        assert (await gateway.ask(GET)).body == b"hello"


def test_joins_no_phase_without_work() -> None:
    assert plugin("mirror", url="http://a.test", share=0).unused == {"chunk", "log"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "url: "),
        ({"url": "shadow:80"}, "url: must be a URL"),
        ({"url": "http://a?b"}, "url: must be a URL"),
        ({"url": "http://a", "share": 2}, "share"),
        ({"url": "http://a", "concurrency": 0}, "concurrency"),
        ({"url": "http://a", "mark": "a b"}, "mark: must be a name of a header"),
    ],
)
def test_refuses_what_it_cannot_do(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        plugin("mirror", **options)
