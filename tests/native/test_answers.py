"""What an upstream may answer, and what becomes of answers that cannot be trusted."""

import asyncio

import pytest

from tests.harness import HELLO, Answer, Client, Gateway, Origin, answering, eventually, serving, upstream

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def with_fields(*fields: bytes, body: bytes = b"hello") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


MALFORMED: dict[str, bytes] = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.0\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 X\r\n\r\n",
    "a status above 599": b"HTTP/1.1 600 X\r\n\r\n",
    "a signed status": b"HTTP/1.1 +20 OK\r\n\r\n",
    "a control byte in the reason": b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
    "an empty line first": b"\r\n" + HELLO,
    "bare LFs": HELLO.replace(b"\r\n", b"\n"),
    "a bare CR in a value": with_fields(b"X: a\rb", b"Content-Length: 5"),
    "a folded line": with_fields(b"X: a", b" b", b"Content-Length: 5"),
    "a space before the colon": with_fields(b"Content-Length : 5"),
    "an empty name": with_fields(b": x", b"Content-Length: 5"),
    "a NUL in a value": with_fields(b"X: \x00", b"Content-Length: 5"),
    "two lengths": with_fields(b"Content-Length: 5", b"Content-Length: 6"),
    "a list of lengths": with_fields(b"Content-Length: 5, 5"),
    "a negative length": with_fields(b"Content-Length: -1"),
    "an empty length": with_fields(b"Content-Length:"),
    "a huge length": with_fields(b"Content-Length: 99999999999999999999"),
    "length and chunks": with_fields(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "another coding": with_fields(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked that is not final": with_fields(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a large header block": with_fields(b"X: " + b"a" * 70000),
    "a long status line": b"HTTP/1.1 200 " + b"a" * 10000 + b"\r\n\r\n",
    "many fields": with_fields(*[b"X: 1"] * 300),
    "an upgrade nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",  # noqa: E501
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_answer_is_a_502_and_its_connection_is_closed(name: str) -> None:
    async with Origin(answering(MALFORMED[name])) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        for count in (1, 2):
            client.send(GET)
            answer = await client.response()
            assert (answer.status, answer.header(b"content-type")) == (502, b"application/problem+json")
            assert b"urn:agora:problem:upstream-malformed" in answer.body
            assert origin.connections == count, "a connection that cannot be trusted was used again"
        await eventually(lambda: gateway.pool().connections == 0)
        assert gateway.count("agora_upstream_failures_total", upstream="u", reason="upstream-malformed") == 2


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_answer_is_the_same_byte_by_byte(name: str) -> None:

    async def drip(client: Client) -> None:
        await client.request()
        for byte in MALFORMED[name]:
            client.send(bytes([byte]))

    async with Origin(drip) as origin, serving(upstream(origin)) as gateway:
        assert (await gateway.ask(GET)).status == 502


BROKEN_CHUNKS: dict[str, bytes] = {
    "a size that is no number": b"5\r\nhello\r\nx\r\n",
    "a bare LF": b"5\r\nhello\r\n0\n\n",
    "data longer than its size": b"5\r\nhelloo\r\n0\r\n\r\n",
    "a huge size": b"5\r\nhello\r\nffffffffffffffff\r\n",
    "a newline in an extension": b"5\r\nhello\r\n1;a\nb\r\nx\r\n0\r\n\r\n",
    "a folded trailer": b"5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN_CHUNKS)
async def test_a_body_that_turns_out_malformed_is_cut_off_visibly(name: str) -> None:
    async with (
        Origin(answering(CHUNKED + BROKEN_CHUNKS[name])) as origin,
        serving(upstream(origin)) as gateway,
    ):
        received = await gateway.exchange(GET)
        assert not received.endswith(b"0\r\n\r\n"), "a broken body looks whole"
        await eventually(lambda: gateway.pool().connections == 0)


async def test_bytes_after_an_answer_end_the_connection_and_reach_nobody() -> None:
    stray = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstrayy"
    async with Origin(answering(HELLO + stray)) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        for count in (1, 2, 3):
            client.send(GET)
            assert (await client.response()).body == b"hello"
            assert origin.connections == count


async def test_bytes_after_an_answer_are_found_behind_a_full_read_too() -> None:
    """The answer ends exactly where the gateway's read does, and somebody waits for the connection."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 65490\r\nX:\r\n\r\n"
    answer = head + b"x" * 65490
    assert len(answer) == 65536
    stray = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"
    async with Origin(answering(answer + stray)) as origin:
        async with serving(upstream(origin, max_connections=1)) as gateway:
            clients = [await gateway.connect() for _ in range(5)]
            for client in clients:
                client.send(GET)
            for client in clients:
                assert (await client.response()).body == b"x" * 65490
            assert origin.connections == 5


async def test_bytes_on_an_idle_connection_end_it_and_reach_nobody() -> None:
    held: list[Client] = []

    async def script(client: Client) -> None:
        held.append(client)
        while True:
            await client.request()
            client.send(HELLO)

    async with Origin(script) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(GET)
        await client.response()
        held[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray")
        await eventually(lambda: origin.open == 0)
        client.send(GET)
        assert (await client.response()).body == b"hello"
        assert origin.connections == 2


@pytest.mark.parametrize("body_status", [204, 304])
async def test_a_body_where_none_may_be_does_not_become_the_next_answer(body_status: int) -> None:
    answer = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (body_status, len(HELLO)) + HELLO
    async with Origin(answering(answer)) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        for count in (1, 2):
            client.send(GET)
            assert (await client.response()).status == body_status
            assert origin.connections == count


async def test_a_body_in_answer_to_head_does_not_become_the_next_answer() -> None:
    async with Origin(answering(HELLO)) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        for count in (1, 2):
            client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.response(to_head=True)).status == 200
            assert origin.connections == count


# -- interim answers --------------------------------------------------------------------------------------


async def test_interim_answers_are_passed_on_at_once() -> None:
    go_on = asyncio.Event()

    async def script(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        client.send(
            b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n"
        )
        await go_on.wait()
        client.send(HELLO)

    async with Origin(script) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(GET)
        assert (await client.response()).status == 102
        early = await client.response()
        assert (early.status, early.fields) == (103, [(b"Link", b"</style.css>")])
        go_on.set()
        assert (await client.response()).body == b"hello"


async def test_an_upstreams_100_is_not_passed_on() -> None:
    async with Origin(answering(b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO)) as origin:
        async with serving(upstream(origin)) as gateway:
            assert (await gateway.ask(GET)).status == 200


# -- early and unusual answers ----------------------------------------------------------------------------


async def test_an_answer_that_comes_before_the_request_ends_is_passed_on() -> None:
    """The rest of a small body is read, so that the client's connection lives on; the upstream's does not."""

    async def early(client: Client) -> None:
        await client.read_until(b"\r\n\r\n")
        client.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await client.read_all()

    async with Origin(early) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n" + b"x" * 100)
        answer = await client.response()
        assert (answer.status, answer.body) == (403, b"no")
        client.send(b"x" * 19900 + GET)
        assert (await client.response()).status == 403
        assert origin.connections == 2


async def test_an_upstream_that_answers_and_reads_no_more_is_let_go() -> None:
    gone = asyncio.Event()

    async def script(client: Client) -> None:
        client.reader._limit = 1024  # type: ignore[attr-defined]  # stop reading from the socket early
        await client.read_until(b"\r\n\r\n")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        while not client.writer.is_closing():
            client.send(b"x")  # fails once the gateway has let go
            await asyncio.sleep(0)
        gone.set()

    async with Origin(script) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 20_000_000)
        assert (await client.response()).status == 413
        async with asyncio.timeout(5):
            await gone.wait()
        await eventually(lambda: gateway.pool().connections == 0)


async def test_an_upstream_that_answers_and_closes_under_an_upload_is_heard() -> None:
    async def script(client: Client) -> None:
        await client.read_until(b"\r\n\r\n")
        client.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await client.drain()

    async with Origin(script) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 20_000_000)
        assert (await client.response()).status == 413


async def test_an_http_1_0_upstream_is_understood() -> None:
    async def script(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil ")
        await client.drain()
        client.send(b"the end")

    async with Origin(script) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        for count in (1, 2):
            client.send(GET)
            answer = await client.response()
            assert (answer.status, answer.body) == (200, b"until the end")
            assert answer.header(b"transfer-encoding") == b"chunked"
            assert origin.connections == count


async def test_an_http_1_0_upstream_may_keep_its_connection() -> None:
    kept = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"
    async with Origin(answering(kept)) as origin, serving(upstream(origin)) as gateway:
        for _ in range(3):
            assert (await gateway.ask(GET)).body == b"hello"
        assert origin.connections == 1


async def test_an_upstream_that_says_close_is_not_used_again() -> None:
    last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
    async with Origin(answering(last)) as origin, serving(upstream(origin)) as gateway:
        for count in (1, 2, 3):
            assert (await gateway.ask(GET)).body == b"hello"
            assert origin.connections == count


async def test_an_answer_to_a_pipelined_requests_predecessor_stays_with_it() -> None:
    async with Origin(answering(HELLO)) as origin, serving(upstream(origin)) as gateway:
        clients = [await gateway.connect() for _ in range(20)]
        for number, client in enumerate(clients):
            client.send(GET * (number % 3 + 1))
        for number, client in enumerate(clients):
            for _ in range(number % 3 + 1):
                assert (await client.response()).body == b"hello"


# -- death at every byte ----------------------------------------------------------------------------------

DYING: dict[str, bytes] = {
    "by length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789",
    "by chunks": CHUNKED + b"5;a=b\r\n01234\r\n5\r\n56789\r\n0\r\nX-T: 1\r\n\r\n",
    "after an interim answer": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HELLO,
    "without a body": b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
}


def is_whole(answer: Answer | None, expected: bytes) -> bool:
    return answer is not None and answer.status in (200, 204) and answer.body == expected


async def last_answer(client: Client) -> Answer | None:
    """Read answers up to a final one; None: it was cut off visibly."""
    try:
        while True:
            answer = await client.response()
            if answer.status >= 200:
                return answer
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


@pytest.mark.parametrize("by_reset", [False, True], ids=["closing", "resetting"])
@pytest.mark.parametrize("name", DYING)
async def test_an_upstream_that_dies_at_any_byte_leaves_no_answer_that_looks_whole(
    name: str, by_reset: bool
) -> None:
    answer = DYING[name]
    whole = await expected_body(answer)
    cut = 0

    async def dies(client: Client) -> None:
        await client.request()
        client.send(answer[:cut])
        await client.drain()
        if by_reset:
            client.reset()

    async with Origin(dies) as origin, serving(upstream(origin)) as gateway:
        for cut in range(len(answer)):
            client = await gateway.connect()
            client.send(GET)
            got = await last_answer(client)
            assert got is None or got.status == 502, f"after {answer[:cut]!r} came {got.start!r} {got.body!r}"
            client.abort()
        cut = len(answer)
        client = await gateway.connect()
        client.send(GET)
        assert by_reset or is_whole(await last_answer(client), whole)
        await eventually(lambda: gateway.pool().connections == 0)


async def expected_body(answer: bytes) -> bytes:
    reader = asyncio.StreamReader()
    reader.feed_data(answer)
    reader.feed_eof()
    client = Client(reader, None)  # type: ignore[arg-type]
    got = await last_answer(client)
    assert got is not None
    return bytes(got.body)


async def test_an_http_1_0_client_sees_a_cut_body_as_an_error_not_as_an_end() -> None:
    """Nothing but the connection's end delimits this body: it must not end like a whole one."""

    async def dies(client: Client) -> None:
        await client.request()
        client.send(CHUNKED + b"5\r\nhello\r\n")
        await client.drain()
        client.close()

    async with Origin(dies) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        received, by_reset = await client.read_to_end()
        assert by_reset, received


async def test_a_reset_at_the_end_of_a_close_delimited_answer_cuts_it_visibly() -> None:
    async def dies(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await client.drain()
        client.reset()

    async with Origin(dies) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(GET)
        got = await last_answer(client)
        assert got is None or got.status == 502


# -- the client dies --------------------------------------------------------------------------------------

UPLOAD = (
    b"POST /up HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n"  # noqa: E501
    b"0\r\nX-T: 1\r\n\r\n"
)


async def check_dead_clients(gateway: Gateway, request: bytes, by_reset: bool) -> None:
    for cut in range(len(request)):
        client = await gateway.connect()
        client.send(request[:cut])
        await client.drain()
        if by_reset:
            client.reset()
        else:
            client.close()
    await eventually(lambda: gateway.plane.door.connections == 0)
    await eventually(lambda: gateway.pool().connections == gateway.pool().idle)


@pytest.mark.parametrize("by_reset", [False, True], ids=["closing", "resetting"])
async def test_a_client_that_dies_at_any_byte_leaves_nothing_behind(by_reset: bool) -> None:
    complete: list[bytes] = []

    async def script(client: Client) -> None:
        while True:
            complete.append((await client.request()).target)
            client.send(HELLO)

    sized = b"POST /up HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\nhello world"
    async with Origin(script) as origin, serving(upstream(origin)) as gateway:
        for request in (UPLOAD, sized):
            await check_dead_clients(gateway, request, by_reset)
        assert not complete, "half a request became a whole one"
        assert gateway.pool().waiting == 0
        assert gateway.plane.snapshot.live == 0
        assert (await gateway.ask(UPLOAD)).body == b"hello"
        assert complete == [b"/up"]


async def test_a_client_that_leaves_before_the_answer_takes_the_upstream_connection_with_it() -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def script(client: Client) -> None:
        await client.request()
        asked.set()
        assert await client.closed()
        left.set()

    async with Origin(script) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(GET)
        await asked.wait()
        client.close()
        async with asyncio.timeout(5):
            await left.wait()
        await eventually(lambda: gateway.pool().connections == 0)
        assert gateway.count("agora_requests_total", status="4xx") == 1  # 499: the client went first
