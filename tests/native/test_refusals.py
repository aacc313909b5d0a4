"""What the native door does not take: each refusal's status, body, counter, and the connection's end."""

import json

import pytest

from tests.harness import HELLO, Recorder, connect, eventually, responding, serving, upstream

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


def head(*lines: bytes, method: bytes = b"POST") -> bytes:
    return b"\r\n".join((method + b" / HTTP/1.1", b"Host: a.test", *lines)) + b"\r\n\r\n"


# name: (the request, status, slug)
REFUSED: dict[str, tuple[bytes, int, str]] = {
    "length and chunks": (
        head(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
        400,
        "framing-ambiguous",
    ),
    "chunks and length": (
        head(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n",
        400,
        "framing-ambiguous",
    ),
    "two different lengths": (
        head(b"Content-Length: 5", b"Content-Length: 6") + b"hello!",
        400,
        "content-length-conflict",
    ),
    "a list of lengths": (head(b"Content-Length: 5, 5"), 400, "content-length-malformed"),
    "a signed length": (head(b"Content-Length: +5"), 400, "content-length-malformed"),
    "a negative length": (head(b"Content-Length: -5"), 400, "content-length-malformed"),
    "a hexadecimal length": (head(b"Content-Length: 0x5"), 400, "content-length-malformed"),
    "an underscored length": (head(b"Content-Length: 1_0"), 400, "content-length-malformed"),
    "an empty length": (head(b"Content-Length:"), 400, "content-length-malformed"),
    "a length with trailing text": (head(b"Content-Length: 5 x"), 400, "content-length-malformed"),
    "a huge length": (head(b"Content-Length: 9223372036854775808"), 400, "content-length-overflow"),
    "another coding": (head(b"Transfer-Encoding: gzip, chunked"), 501, "transfer-encoding-unknown"),
    "chunked that is not final": (
        head(b"Transfer-Encoding: chunked, gzip"),
        400,
        "transfer-encoding-malformed",
    ),
    "chunked twice": (head(b"Transfer-Encoding: chunked, chunked"), 400, "transfer-encoding-malformed"),
    "identity": (head(b"Transfer-Encoding: identity"), 400, "transfer-encoding-malformed"),
    "xchunked": (head(b"Transfer-Encoding: xchunked"), 400, "transfer-encoding-malformed"),
    "chunked with a parameter": (head(b"Transfer-Encoding: chunked;a=b"), 400, "transfer-encoding-malformed"),
    "chunked behind a vertical tab": (
        head(b"Transfer-Encoding: \x0bchunked"),
        400,
        "header-value-character",
    ),
    "two transfer encodings": (
        head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        400,
        "transfer-encoding-repeated",
    ),
    "chunks in HTTP/1.0": (
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "transfer-encoding-version",
    ),
    "a bare LF after the request line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "bare-lf"),
    "a bare LF after a field": (b"GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", 400, "bare-lf"),
    "a bare LF as the empty line": (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "bare-lf"),
    "a bare CR in a value": (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r2\r\n\r\n", 400, "bare-cr"),
    "a space before the colon": (head(b"X-A : 1"), 400, "header-name-space"),
    "transfer-encoding with a space before its colon": (
        head(b"Transfer-Encoding : chunked"),
        400,
        "header-name-space",
    ),
    "a folded line": (head(b"X-A: 1", b" 2"), 400, "header-folded"),
    "a folded transfer-encoding": (head(b"Transfer-Encoding: chunked", b"\t, x"), 400, "header-folded"),
    "white space before the first field": (
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        400,
        "headers-leading-space",
    ),
    "an empty name": (head(b": 1"), 400, "header-name-empty"),
    "a name that is no token": (head(b"X(A): 1"), 400, "header-name-malformed"),
    "a name outside ASCII": (head(b"X\xc3\xa4: 1"), 400, "header-name-malformed"),
    "a line without a colon": (head(b"X-A"), 400, "header-no-colon"),
    "a NUL in a value": (head(b"X-A: 1\x002"), 400, "header-value-character"),
    "a control byte in a value": (head(b"X-A: \x1b[2J"), 400, "header-value-character"),
    "a control byte in the target": (
        b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
        "target-character",
    ),
    "a tab in the request line": (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "method-malformed"),
    "a byte outside ASCII in the target": (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target-character"),
    "a fragment": (b"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target-fragment"),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target-missing"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400, "host-missing"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host-repeated"),
    "a host with a path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "host-malformed"),
    "a host with a user": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "host-malformed"),
    "a list of hosts": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, "host-malformed"),
    "another host than the target's": (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "host-mismatch"),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version-unsupported"),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "version-unsupported"),
    "HTTP/0.9": (b"GET /\r\n", 400, "version-missing"),
    "a preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "target-asterisk"),
    "a lower-case version": (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400, "version-malformed"),
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400, "method-malformed"),
    "a long request line": (
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        414,
        "request-line-too-long",
    ),
    "a large header block": (head(b"X: " + b"a" * 40000), 431, "headers-too-large"),
    "many fields": (head(*[b"X: 1"] * 200), 431, "headers-too-many"),
    "an unknown expectation": (head(b"Expect: 200-ok"), 417, "expectation-unknown"),
    "too many options of Connection": (
        head(b"Connection: " + b",".join(b"x%d" % number for number in range(100))),
        400,
        "connection-options",
    ),
}


def check_refusal(received: bytes, status: int, slug: str) -> None:
    """Hold what came before the close to one refusal, and nothing after it."""
    answer, _, body = received.partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status), received
    assert b"\r\nconnection: close" in answer.lower()
    assert b"\r\ncontent-type: application/problem+json" in answer.lower()
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["type"] == f"urn:agora:problem:{slug}"
    assert problem["title"]


@pytest.mark.parametrize("name", REFUSED)
async def test_refuses_once_closes_and_takes_nothing_more(name: str) -> None:
    request, status, slug = REFUSED[name]
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        check_refusal(await gateway.exchange(request + GET * 3), status, slug)
        assert gateway.count("agora_requests_refused_total", reason=slug) == 1
        assert gateway.count("agora_requests_refused_total") == 1
        assert gateway.count("agora_requests_total") == 0
        assert not origin.requests


async def test_refuses_the_same_when_the_bytes_come_one_by_one() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        for request, status, slug in REFUSED.values():
            if len(request) > 5000:
                continue
            client = await gateway.connect()
            for byte in request + GET:
                client.send(bytes([byte]))
            check_refusal(await client.read_all(), status, slug)
        assert not origin.requests


async def test_requests_before_a_refused_one_are_answered_first() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(GET + GET + head(b"X : 1") + GET)
        assert [(await client.response()).status for _ in range(3)] == [200, 200, 400]
        assert await client.closed()
        assert len(origin.requests) == 2


async def test_what_follows_a_refused_request_is_never_taken_for_one() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n")
        assert (await client.response()).status == 400
        for _ in range(5):
            client.send(GET)
        assert await client.closed()
        assert not origin.requests


# -- chunked bodies ---------------------------------------------------------------------------------------

CHUNKED = head(b"Transfer-Encoding: chunked")
BROKEN_CHUNKS: dict[str, tuple[bytes, str]] = {
    "no size": (b"\r\n", "chunk-size-malformed"),
    "a size that is no number": (b"g\r\n", "chunk-size-malformed"),
    "a signed size": (b"+5\r\nhello\r\n0\r\n\r\n", "chunk-size-malformed"),
    "a prefixed size": (b"0x5\r\nhello\r\n0\r\n\r\n", "chunk-size-malformed"),
    "an underscored size": (b"1_0\r\n", "chunk-size-malformed"),
    "a space before the size": (b" 5\r\nhello\r\n", "chunk-size-malformed"),
    "a space after the size": (b"5 \r\nhello\r\n", "chunk-size-malformed"),
    "a huge size": (b"ffffffffffffffff\r\n", "chunk-size-overflow"),
    "a very long size": (b"0" * 17 + b"5\r\nhello\r\n", "chunk-size-overflow"),
    "a bare LF after the size": (b"5\nhello\r\n0\r\n\r\n", "bare-lf"),
    "a bare LF after the last size": (b"5\r\nhello\r\n0\n\r\n", "bare-lf"),
    "a bare LF in an extension": (b"5;a\nhello\r\n0\r\n\r\n", "bare-lf"),
    "a bare CR in an extension": (b"5;a\rb\r\nhello\r\n0\r\n\r\n", "bare-cr"),
    "a control byte in an extension": (b"5;a=\x00\r\nhello\r\n0\r\n\r\n", "chunk-extension-character"),
    "too many extension bytes": (
        b"5;" + b"a" * 2000 + b"\r\nhello\r\n0\r\n\r\n",
        "chunk-extensions-too-large",
    ),
    "extensions that add up": (b"1;aaaaaaaaaa\r\nx\r\n" * 200, "chunk-extensions-too-large"),
    "data longer than its size": (b"5\r\nhelloX\r\n0\r\n\r\n", "chunk-end-malformed"),
    "any two bytes after the data": (b"5\r\nhelloXX0\r\n\r\n", "chunk-end-malformed"),
    "a folded trailer": (b"0\r\nX: 1\r\n 2\r\n\r\n", "header-folded"),
    "a trailer that is none": (b"0\r\nX\r\n\r\n", "header-no-colon"),
    "a bare LF in the trailers": (b"0\r\nX: 1\n\r\n", "bare-lf"),
    "large trailers": (b"0\r\nX: " + b"a" * 10000 + b"\r\n\r\n", "trailers-too-large"),
}


@pytest.mark.parametrize("name", BROKEN_CHUNKS)
async def test_a_broken_chunked_body_is_refused_and_never_complete_upstream(name: str) -> None:
    body, slug = BROKEN_CHUNKS[name]
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        status = 431 if slug == "trailers-too-large" else 400
        check_refusal(await gateway.exchange(CHUNKED + body + GET), status, slug)
        assert gateway.count("agora_requests_refused_total", reason=slug) == 1
        assert not origin.requests, "an upstream took a broken body for a whole one"


@pytest.mark.parametrize("name", BROKEN_CHUNKS)
async def test_a_broken_chunked_body_is_refused_when_it_comes_byte_by_byte(name: str) -> None:
    body, slug = BROKEN_CHUNKS[name]
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        for byte in CHUNKED + body + GET:
            client.send(bytes([byte]))
        received = await client.read_all()
        assert f"urn:agora:problem:{slug}".encode() in received
        assert received.count(b"HTTP/1.1 ") == 1
        assert not origin.requests


async def test_a_broken_body_after_the_answer_has_begun_ends_the_connection() -> None:
    async with serving(responding()) as gateway:
        received = await gateway.exchange(CHUNKED + b"5\r\nhello\r\nXX" + GET)
        assert received.count(b"HTTP/1.1 ") == 1


# -- smuggling: two readings of one message ---------------------------------------------------------------

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"
VECTORS: dict[str, bytes] = {
    "CL.TE": head(b"Content-Length: 6", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
    "TE.CL": head(b"Transfer-Encoding: chunked", b"Content-Length: 3")
    + b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
    "TE.TE, one hidden": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x")
    + b"0\r\n\r\n"
    + SMUGGLED,
    "TE in a folded line": head(b"X: y", b" Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
    "TE behind a bare LF": head(b"X: y\nTransfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
    "TE behind a bare CR": head(b"X: y\rTransfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
    "TE with a space before the colon": head(b"Transfer-Encoding : chunked", b"Content-Length: 5")
    + b"0\r\n\r\n"
    + SMUGGLED,
    "TE with a tab before the colon": head(b"Transfer-Encoding\t: chunked") + b"0\r\n\r\n" + SMUGGLED,
    "TE with an NBSP": head(b"Transfer-Encoding: chunked\xa0") + b"0\r\n\r\n" + SMUGGLED,
    "TE with an underscore, and a length": head(
        b"Transfer_Encoding: chunked", b"Content-Length: %d" % len(SMUGGLED)
    )
    + SMUGGLED,
    "CL with a space before the colon": head(b"Content-Length : %d" % len(SMUGGLED)) + SMUGGLED,
    "CL behind a NUL": head(b"X: \x00Content-Length: %d" % len(SMUGGLED)) + SMUGGLED,
    "a newline in a chunk extension": CHUNKED + b"2;\nxx\r\n%x\r\n0\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
    "a size over 64 bits": CHUNKED + b"10000000000000000\r\n\r\n" + SMUGGLED,
    "a body in a GET": head(b"Content-Length: %d" % len(SMUGGLED), method=b"GET") + SMUGGLED,
    "a body in a HEAD": head(b"Content-Length: %d" % len(SMUGGLED), method=b"HEAD") + SMUGGLED,
    "a length in a trailer": CHUNKED + b"0\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED),
    "an upgrade that nobody takes": head(
        b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: %d" % len(SMUGGLED)
    )
    + SMUGGLED,
}


@pytest.mark.parametrize("name", VECTORS)
async def test_nothing_is_smuggled(name: str) -> None:
    """Count requests at an upstream that reads by the framing it is sent: none for the smuggled path."""
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(VECTORS[name])
        client.send(b"GET /last HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        await client.read_all()
        other = await gateway.ask(GET)
        assert (other.status, other.body) == (200, b"hello")
        targets = [each.target for each in origin.requests]
        assert b"/smuggled" not in targets
        assert all(b"/smuggled" not in each.head for each in origin.requests)


# -- limits -----------------------------------------------------------------------------------------------


async def test_the_configured_limits_hold() -> None:
    limits = {"request_line": 256, "header_block": 256, "header_count": 3, "chunk_extensions": 0}
    async with Recorder() as origin, serving({**upstream(origin), "server": {"limits": limits}}) as gateway:
        for request, slug in [
            (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"request-line-too-long"),
            (head(b"X: " + b"a" * 300), b"headers-too-large"),
            (head(*[b"X: 1"] * 3), b"headers-too-many"),
            (CHUNKED + b"1;\r\nx\r\n", b"chunk-extensions-too-large"),
        ]:
            assert slug in await gateway.exchange(request)
        assert (await gateway.ask(head(*[b"X: 1"] * 2))).status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n" + b"x" * 11,
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nxxxxxx\r\n5\r\nxxxxx\r\n0\r\n\r\n",  # noqa: E501
    ],
)
async def test_a_body_over_its_limit_is_413(request_bytes: bytes) -> None:
    async with (
        Recorder() as origin,
        serving({**upstream(origin), "server": {"limits": {"body": 10}}}) as gateway,
    ):
        received = await gateway.exchange(request_bytes + GET)
        assert received.startswith(b"HTTP/1.1 413 ")
        assert received.count(b"HTTP/1.1 ") == 1
        assert not origin.requests


async def test_a_body_at_its_limit_is_taken() -> None:
    async with (
        Recorder() as origin,
        serving({**upstream(origin), "server": {"limits": {"body": 10}}}) as gateway,
    ):
        answer = await gateway.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n" + b"x" * 10)
        assert answer.status == 200
        chunks = b"5\r\nxxxxx\r\n5\r\nxxxxx\r\n0\r\n\r\n"
        assert (await gateway.ask(CHUNKED + chunks)).status == 200


async def test_paths_that_cannot_be_read_in_one_way_are_refused() -> None:
    paths = [
        b"/%",
        b"/%2",
        b"/%zz",
        b"/a%00",
        b"/%0d%0a",
        b"/%ff",
        b"/a\\b",
        b"/%c0%ae/",
        b"/..%2f",
        b"/%2e%2e%2fx",
    ]
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        for path in paths:
            answer = await gateway.ask(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (path, answer.status) == (path, 400)
        assert not origin.requests


async def test_connections_over_the_limit_are_told_so_and_closed() -> None:
    async with serving({**responding(), "server": {"limits": {"connections": 2}}}) as gateway:
        held = [await gateway.connect() for _ in range(2)]
        for client in held:
            client.send(GET)
            assert (await client.response()).status == 200
        check_refusal(await gateway.exchange(b""), 503, "too-many-connections")
        held[0].close()
        await eventually(lambda: gateway.plane.door.connections == 1)
        assert (await gateway.ask(GET)).status == 200


async def test_connections_from_one_address_are_limited() -> None:
    limits = {"connections_per_address": 1}
    async with serving({**responding(), "server": {"limits": limits}}) as gateway:
        client = await gateway.connect()
        client.send(GET)
        assert (await client.response()).status == 200
        check_refusal(await gateway.exchange(b""), 503, "too-many-connections")
        other = await connect(gateway.port, local_addr=("127.0.0.2", 0))
        other.send(GET)
        assert (await other.response()).status == 200
        other.abort()


async def test_the_limit_of_an_address_can_come_and_go_while_connections_stand() -> None:
    limited = {**responding(), "server": {"limits": {"connections_per_address": 2}}}
    async with serving(responding()) as gateway:
        before = await gateway.connect()
        before.send(GET)
        await before.response()
        await gateway.configure(limited)
        during = await gateway.connect()
        during.send(GET)
        await during.response()
        before.close()
        await gateway.configure(responding())
        during.close()
        await eventually(lambda: gateway.plane.door.connections == 0)
        await gateway.configure(limited)
        await eventually(lambda: gateway.plane.door.connections == 0)
        held = [await gateway.connect() for _ in range(2)]
        for client in held:
            client.send(GET)
            assert (await client.response()).body == HELLO[-5:]
