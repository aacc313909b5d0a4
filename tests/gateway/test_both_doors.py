"""One suite for both doors: the native one, and the gateway under ASGI servers, give the same answers."""

from __future__ import annotations

import pytest

from tests.gateway.both_doors import CHUNKED, DOORS, LENGTH, SERVERS, Backend, Door, Request, agree, request
from tests.harness import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")


ALIKE: dict[str, bytes] = {
    "a fixed answer": request("GET /fixed"),
    "only its head": request("HEAD /fixed"),
    "with a query": request("GET /fixed?a=1&b=%20"),
    "with a body that nobody reads": request("POST /fixed", LENGTH(5), body=b"hello"),
    "of HTTP/1.0": request("GET /fixed HTTP/1.0"),
    "a redirect": request("GET /moved"),
    "no route": request("GET /nowhere"),
    "no route for a POST": request("POST /nowhere", LENGTH(5), body=b"hello"),
    "a method that is not allowed": request("DELETE /fixed"),
    "TRACE": request("TRACE /fixed"),
    "OPTIONS of all": request("OPTIONS *"),
    "health": request("GET /healthz"),
    "the control API without its token": request("GET /api/v1/api-gateway/status"),
    "an upstream": request("GET /up/a/b?q=1"),
    "only an upstream's head": request("HEAD /up/a"),
    "a body by length": request("POST /up/a", LENGTH(5), body=b"hello"),
    "an empty body": request("POST /up/a", LENGTH(0)),
    "a body in chunks": request("PUT /up/a", CHUNKED, body=b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
    "a large body": request("POST /up/a", LENGTH(1_000_000), body=b"x" * 1_000_000),
    "PATCH": request("PATCH /up/a", LENGTH(1), body=b"x"),
    "DELETE": request("DELETE /up/a"),
    "a method of their own": request("PURGE /up/a"),
    "a path that is not normal": request("GET /up/./a//b/../%7ec/%2F"),
    "a path in UTF-8": request("GET /up/%c5%bc"),
    "a path that climbs": request("GET /up/../../fixed"),
    "a path with an escaped control byte": request("GET /up/%00"),
    "a path with a broken escape": request("GET /up/%zz"),
    "a target in absolute form": request("GET http://example.test/up/a?b"),
    "hop-by-hop fields": request(
        "GET /up/a", "Connection: x-hop, close", "X-Hop: 1", "Keep-Alive: 5", "X-Kept: 1"
    ),
    "forged forwarding": request("GET /up/a", "X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9"),
    "forged identity": request(
        "GET /up/a", "X-Consumer-Name: root", "X_Consumer_Name: root", "X-Real-IP: ::1"
    ),
    "a loop": request("GET /up/a", "Via: 1.1 agora-test"),
    "another gateway's Via": request("GET /up/a", "Via: 1.1 other"),
    "repeated fields": request("GET /up/a", "X-A: 1", "X-A: 2", "Cookie: a=1", "Cookie: b=2"),
    "bytes beyond ASCII in a value": request("GET /up/a", "X-A: ż").replace("ż".encode(), b"\xbf"),
    "the end of Max-Forwards": request("OPTIONS /up/a", "Max-Forwards: 0"),
    "Max-Forwards": request("OPTIONS /up/a", "Max-Forwards: 3"),
    "plugins that edit headers": request("GET /edited/a", "X-Gone: 1", "X-Added: forged"),
    "a plugin's refusal": request("GET /denied"),
    "a body over a plugin's limit": request("POST /small/a", LENGTH(11), body=b"hello world"),
    "a chunked body over a plugin's limit": request(
        "POST /small/a", CHUNKED, body=b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"
    ),
    "a body over the limit": request("POST /up/a", LENGTH(9 * 1024 * 1024)),
    "a request line over the limit": request("GET /up/" + "a" * 9000),
    "headers over the limit": request("GET /up/a", *[f"X-{i}: {'a' * 4000}" for i in range(10)]),
    "too many headers": request("GET /up/a", *[f"X-{i}: a" for i in range(130)]),
    "an application's view": request("GET /app/%20/scope?q=%20", "X-A: 1", "Cookie: a=1"),
    "an application's view of a body": request("POST /app/scope", LENGTH(5), body=b"hello"),
    "an application's echo": request("POST /app/echo", LENGTH(5), body=b"hello"),
    "an application's echo of chunks": request("POST /app/echo", CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"),
    "an application's empty answer": request("GET /app/empty"),
    "an application's redirect with cookies": request("GET /app/cookies"),
    "an application's large answer": request("GET /app/large"),
    "only the head of an application's answer": request("HEAD /app/scope"),
    "an application that fails": request("GET /app/fails"),
}


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("case", ALIKE)
async def test_gives_the_same_answer(doors: dict[str, Door], name: str, case: str) -> None:
    ours, theirs = await doors["native"].ask(ALIKE[case]), await doors[name].ask(ALIKE[case])
    if (name, case) == ("granian", "too many headers"):  # its own limit is lower
        assert theirs.status == ours.status
    else:
        # NOTE: whether the request had reached the upstream when it was refused is a matter of timing.
        agree(ours, theirs, *([b"via"] if ours.status == 413 else []))


ANSWERS: dict[str, bytes] = {
    "no content": b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
    "not modified": b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n',
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: http://example.test/b\r\nContent-Length: 0\r\n\r\n",
    "not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
    "a failure": b"HTTP/1.1 503 Busy\r\nRetry-After: 5\r\nContent-Length: 4\r\n\r\nbusy",
    "an unknown status": b"HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3;x=y\r\ndef\r\n0\r\n\r\n",
    "cookies": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 1\r\n\r\nx",
    "hop-by-hop fields": b"HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nContent-Length: 1\r\n\r\nx",
    "an interim answer before": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
    "three megabytes": b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"abc" * 1_000_000,
    "bytes beyond ASCII": b"HTTP/1.1 200 OK\r\nX-A: \xe9\r\nContent-Length: 1\r\n\r\nx",
    "nonsense": b"HTTP/1.1 20 OK\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "broken chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxx",
}


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("case", ANSWERS)
async def test_passes_on_the_same_answer_of_an_upstream(
    doors: dict[str, Door], backend: Backend, name: str, case: str
) -> None:
    async def script(client: Client, _: Request) -> None:
        client.send(ANSWERS[case])

    backend.scripts["/up/script"] = script
    for line in ("GET /up/script", "POST /up/script"):
        asked = request(line, LENGTH(0)) if line.startswith("POST") else request(line)
        agree(await doors["native"].ask(asked), await doors[name].ask(asked))


@pytest.mark.parametrize("name", SERVERS)
async def test_an_answer_until_the_connection_closes_is_the_same(
    doors: dict[str, Door], backend: Backend, name: str
) -> None:
    async def script(client: Client, _: Request) -> None:
        client.send(b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nuntil the end")
        raise ConnectionError

    backend.scripts["/up/close"] = script
    asked = request("GET /up/close")
    answer = await doors[name].ask(asked)
    agree(await doors["native"].ask(asked), answer)
    assert answer.body == b"until the end"


@pytest.mark.parametrize("name", SERVERS)
async def test_an_upstream_that_closes_without_an_answer_is_the_same(
    doors: dict[str, Door], backend: Backend, name: str
) -> None:
    async def script(client: Client, _: Request) -> None:
        raise ConnectionError

    backend.scripts["/up/close"] = script
    asked = request("POST /up/close", LENGTH(1), body=b"x")
    answer = await doors[name].ask(asked)
    agree(await doors["native"].ask(asked), answer)
    assert answer.status == 502


@pytest.mark.parametrize("name", SERVERS)
async def test_rates_are_counted_alike(doors: dict[str, Door], name: str) -> None:
    first, second = [await doors[name].ask(request("GET /rated")) for _ in range(2)]
    assert (first.status, second.status) == (200, 429)
    assert first.header(b"ratelimit-policy") == second.header(b"ratelimit-policy") == b'"1/day";q=1;w=86400'
    assert second.header(b"retry-after") is not None


@pytest.mark.parametrize(
    "bad",
    [
        request("GET /fixed", host=""),
        request("GET /fixed", "Host: other"),
        request("GET /fixed", "X-A : 1"),
        request("GET /fixed", "Bad Name: 1"),
        request("POST /fixed", "Content-Length: +5", body=b"hello"),
        request("POST /fixed", "Content-Length: 5", "Content-Length: 6", body=b"hello!"),
        request("GET /fixed", "X-A: 1\x002"),
    ],
)
@pytest.mark.parametrize("name", DOORS)
async def test_a_malformed_request_is_a_400_behind_every_door(
    doors: dict[str, Door], name: str, bad: bytes
) -> None:
    assert (await doors[name].ask(bad)).status == 400
