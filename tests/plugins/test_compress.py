"""The compress plugin, over sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from core.content_coding import Coding
from core.decode import ConfigInvalid
from core.exchange import Exchange, Response
from core.testing import PluginChain
from tests.core.test_content_coding import Decoder
from tests.harness import Answer, Client, Gateway, Origin, Recorder, responding, scripted, serving, upstream
from tests.plugins.make import plugin

TEXT = b'{"market": "rain", "price": 0.25}\n' * 200
CODINGS: tuple[Coding, ...] = ("zstd", "br", "gzip")


def answer(*fields: bytes, body: bytes = TEXT, status: bytes = b"200 OK") -> bytes:
    """Return a target's answer in JSON, with its length."""
    kind = [] if any(field.lower().startswith(b"content-type") for field in fields) else [JSON]
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join([b"HTTP/1.1 " + status, *kind, *fields, length, b"", body])


JSON = b"Content-Type: application/json"


def asking(accepted: bytes = b"gzip", *fields: bytes, method: bytes = b"GET") -> bytes:
    """Return a request that accepts codings."""
    return b"\r\n".join(
        [method + b" / HTTP/1.1", b"Host: a", b"Accept-Encoding: " + accepted, *fields, b"", b""]
    )


def compressing(config: dict[str, Any], *others: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Return a configuration with the plugin in it."""
    return {**config, "plugin": [{"use": "compress", **options}, *others]}


@asynccontextmanager
async def before(target: bytes, **options: Any) -> AsyncIterator[Gateway]:
    """Serve the plugin before a target that answers so."""
    async with Recorder(target) as origin, serving(compressing(upstream(origin), **options)) as gateway:
        yield gateway


def read(got: Answer) -> bytes:
    """Return the body as a client reads it, which goes by the answer's head."""
    coding: Any = (got.header(b"content-encoding") or b"").decode()
    return Decoder(coding).take(bytes(got.body)) if coding else bytes(got.body)


@pytest.mark.parametrize("coding", CODINGS)
async def test_compresses_what_streams(coding: Coding) -> None:
    async with before(answer()) as gateway:
        got = await gateway.ask(asking(coding.encode()))
        assert got.header(b"content-encoding") == coding.encode()
        assert got.header(b"transfer-encoding") == b"chunked"
        assert got.all(b"content-length") == []
        assert got.header(b"vary") == b"accept-encoding"
        assert read(got) == TEXT
        assert len(got.body) < len(TEXT) // 5


@pytest.mark.parametrize("coding", CODINGS)
async def test_compresses_what_is_whole_and_says_its_length(coding: Coding) -> None:
    fixed = responding(TEXT.decode(), headers={"content-type": "application/json"})
    async with serving(compressing(fixed)) as gateway:
        got = await gateway.ask(asking(coding.encode()))
        assert got.header(b"content-encoding") == coding.encode()
        assert got.header(b"content-length") == b"%d" % len(got.body)
        assert read(got) == TEXT


async def test_a_connection_goes_on_after_a_compressed_answer() -> None:
    async with before(answer()) as gateway:
        client = await gateway.connect()
        for accepted in (b"gzip", b"identity", b"br"):
            client.send(asking(accepted))
            assert read(await client.response()) == TEXT


async def test_a_piece_can_be_read_before_the_next_comes() -> None:
    go_on = asyncio.Event()

    async def script(client: Client) -> None:
        await client.request()
        client.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for piece in (b"one\n", b"two\n"):
            client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            await go_on.wait()
        client.send(b"0\r\n\r\n")

    async with Origin(script) as origin, serving(compressing(upstream(origin))) as gateway:
        client = await gateway.connect()
        client.send(asking(b"br"))
        await client.read_until(b"\r\n\r\n")
        decoder, text = Decoder("br"), b""
        while text != b"one\n":
            text += decoder.take(await read_chunk(client))
        go_on.set()
        while piece := await read_chunk(client):
            text += decoder.take(piece)
        assert text == b"one\ntwo\n"


async def read_chunk(client: Client) -> bytes:
    size = int(await client.read_until(b"\r\n"), 16)
    return (await client.read_exactly(size + 2))[:-2]


async def test_a_body_may_come_byte_by_byte() -> None:
    async def script(client: Client) -> None:
        await client.request()
        for at in range(len(whole)):
            client.send(whole[at : at + 1])
            await asyncio.sleep(0)

    whole = answer(body=b"ab" * 60)
    async with Origin(script) as origin, serving(compressing(upstream(origin), min_size=0)) as gateway:
        got = await gateway.ask(asking(b"zstd"))
        assert read(got) == b"ab" * 60


@pytest.mark.parametrize(
    "target",
    [
        answer(body=b"x" * 1023),
        answer(body=b""),
        answer(b"Content-Encoding: gzip"),
        answer(b"Content-Encoding: identity"),
        answer(b"Content-Type: image/png"),
        answer(b"Content-Type: text/event-stream"),
        answer(b"Content-Type: Text/Event-Stream; charset=utf-8"),
        answer(b"Cache-Control: private", b"Cache-Control: max-age=1, No-Transform"),
        answer(b"Content-Range: bytes 0-9/20", status=b"206 Partial Content"),
        answer(b"Content-Digest: sha-256=:AAAA:"),
    ],
)
async def test_leaves_alone_what_is_not_to_be_changed(target: bytes) -> None:
    head, _, body = target.partition(b"\r\n\r\n")
    async with before(target) as gateway:
        got = await gateway.ask(asking())
        assert got.body == body
        assert got.header(b"content-length") == b"%d" % len(body)
        assert got.all(b"content-encoding") == [
            line.partition(b": ")[2] for line in head.split(b"\r\n") if line.startswith(b"Content-Encoding")
        ]
        assert got.header(b"vary") is None


async def test_a_body_without_a_type_stays_as_it_is() -> None:
    target = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
    async with before(target, types=["*/*"]) as gateway:
        assert (await gateway.ask(asking())).header(b"content-encoding") is None


@pytest.mark.parametrize(
    "request_", [asking(b"identity"), asking(b"gzip;q=0"), asking(b"gzip", b"Cache-Control: no-transform")]
)
async def test_who_cannot_read_it_gets_it_as_it_is_and_caches_are_told(request_: bytes) -> None:
    async with before(answer(b'ETag: "a"', b"Accept-Ranges: bytes", b"Vary: origin")) as gateway:
        got = await gateway.ask(request_)
        assert got.body == TEXT
        assert got.header(b"content-length") == b"%d" % len(TEXT)
        assert got.all(b"vary") == [b"origin, accept-encoding"]
        assert (got.header(b"etag"), got.header(b"accept-ranges")) == (b'"a"', b"bytes")


@pytest.mark.parametrize(("etag", "expected"), [(b'"a"', b'W/"a"'), (b'W/"a"', b'W/"a"')])
async def test_a_strong_etag_becomes_weak(etag: bytes, expected: bytes) -> None:
    async with before(answer(b"ETag: " + etag, b"Accept-Ranges: bytes")) as gateway:
        got = await gateway.ask(asking())
        assert got.all(b"etag") == [expected]
        assert got.header(b"accept-ranges") is None


@pytest.mark.parametrize(
    ("known", "expected"), [(b'W/"a"', b'W/"a"'), (b'"b", W/"a"', b'W/"a"'), (b'"a"', b'"a"')]
)
async def test_a_304_names_the_etag_that_the_client_has(known: bytes, expected: bytes) -> None:
    async with before(b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n') as gateway:
        got = await gateway.ask(asking(b"gzip", b"If-None-Match: " + known))
        assert (got.status, got.header(b"etag")) == (304, expected)
        assert got.header(b"content-encoding") is None


async def test_an_answer_to_head_is_not_compressed_and_promises_no_length() -> None:
    head = answer().partition(TEXT)[0]
    async with before(head) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            client.send(asking(method=b"HEAD"))
            got = await client.response(to_head=True)
            assert got.header(b"content-encoding") is None
            assert got.header(b"content-length") is None
            assert got.header(b"vary") == b"accept-encoding"
        client.send(asking(b"identity", method=b"HEAD"))
        assert (await client.response(to_head=True)).header(b"content-length") == b"%d" % len(TEXT)


async def test_a_204_stays_empty() -> None:
    async with before(b"HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n\r\n") as gateway:
        got = await gateway.ask(asking())
        assert got.status == 204
        assert not {b"vary", b"content-encoding", b"transfer-encoding"} & {
            name.lower() for name, _ in got.fields
        }


async def test_an_http_1_0_client_reads_to_the_close() -> None:
    async with before(answer()) as gateway:
        got = await gateway.exchange(asking().replace(b"HTTP/1.1", b"HTTP/1.0"))
        head, _, body = got.partition(b"\r\n\r\n")
        assert b"Transfer-Encoding" not in head
        assert Decoder("gzip").take(body) == TEXT


async def test_a_target_that_breaks_off_leaves_a_broken_answer() -> None:
    async def script(client: Client) -> None:
        await client.request()
        client.send(answer()[:-1000])

    async with Origin(script) as origin, serving(compressing(upstream(origin))) as gateway:
        got = await gateway.exchange(asking())
        assert b"content-encoding: gzip" in got
        assert not got.endswith(b"0\r\n\r\n")


async def test_a_body_that_another_plugin_puts_in_later_is_compressed_too() -> None:
    def replace(exchange: Exchange) -> None:
        exchange.response.body = TEXT * 2

    async with Recorder(answer()) as origin:
        config = compressing(upstream(origin))
        config["plugin"].insert(0, scripted(response=replace))  # response phases run in reverse
        async with serving(config) as gateway:
            got = await gateway.ask(asking())
            assert read(got) == TEXT * 2


async def test_an_answer_in_place_of_a_compressed_one_is_as_it_is_made() -> None:
    def fail(exchange: Exchange) -> None:
        raise RuntimeError

    async with Recorder(answer()) as origin:
        config = compressing(upstream(origin))
        config["plugin"].insert(0, scripted(response=fail))
        async with serving(config) as gateway:
            got = await gateway.ask(asking())
            assert got.status == 500
            assert got.header(b"content-encoding") is None
            assert got.header(b"content-length") == b"%d" % len(got.body)


async def test_what_would_not_get_smaller_stays_as_it_is() -> None:
    fixed = responding("abcdefghij", headers={"content-type": "text/plain"})
    async with serving(compressing(fixed, min_size=1)) as gateway:
        got = await gateway.ask(asking())
        assert bytes(got.body) == b"abcdefghij"
        assert got.header(b"content-encoding") is None
        assert got.header(b"content-length") == b"10"


def test_takes_the_coding_that_is_named_first_among_equals() -> None:
    chain = PluginChain(
        plugin("compress", encodings=["gzip", "zstd"]),
        answer=Response(200, [(b"content-type", b"text/plain")], TEXT),
    )
    assert chain.send(headers={"accept-encoding": "zstd, gzip"}).headers.get(b"content-encoding") == b"gzip"
    assert chain.send(headers={"accept-encoding": "br"}).headers.get(b"content-encoding") is None
    several = [("accept-encoding", "br"), ("accept-encoding", "zstd;q=0.5, gzip;q=0.1")]
    assert chain.send(headers=several).headers.get(b"content-encoding") == b"zstd"


@pytest.mark.parametrize(
    ("types", "kind", "taken"),
    [
        (["text/*"], b"text/plain; charset=utf-8", True),
        (["text/*"], b"TEXT/HTML", True),
        (["application/*+json"], b"application/problem+json", True),
        (["application/*+json"], b"application/json", False),
        (["*/*"], b"image/png", True),
        (["*/*"], b"text/event-stream", False),
        (["a.b/c"], b"axb/c", False),
    ],
)
def test_compresses_the_types_that_are_named(types: list[str], kind: bytes, taken: bool) -> None:
    chain = PluginChain(
        plugin("compress", types=types), answer=Response(200, [(b"content-type", kind)], TEXT)
    )
    sent = chain.send(headers={"accept-encoding": "gzip"})
    assert (b"content-encoding" in sent.headers) == taken


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encodings": ["deflate"]}, "encodings"),
        ({"encodings": []}, "encodings"),
        ({"types": []}, "types"),
        ({"types": ["json"]}, r"types\[0\]: must be a media type"),
        ({"gzip_level": 10}, "gzip_level"),
        ({"zstd_level": 20}, "zstd_level"),
        ({"min_size": -1}, "min_size"),
    ],
)
def test_refuses_what_it_cannot_do(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        plugin("compress", **options)
