"""What a client may send, and how often: the forms of requests, bodies and connections."""

import asyncio

import pytest

from tests.harness import HELLO, Client, Origin, Received, Recorder, answering, responding, serving, upstream

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
CHUNKED = b"POST /up HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n"


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n".encode()


async def echo(client: Client) -> None:
    """Answer each request with its own body, its trailers as trailers."""
    while True:
        received = await client.request()
        client.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Target: " + received.target + b"\r\n\r\n"
        )
        if received.body:
            client.send(b"%x\r\n%s\r\n" % (len(received.body), received.body))
        client.send(b"0\r\n" + b"".join(line + b"\r\n" for line in received.trailers) + b"\r\n")


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        for _ in range(5):
            client.send(GET)
            answer = await client.response()
            assert (answer.status, answer.body) == (200, b"hello")
            assert answer.header(b"connection") is None
        assert origin.connections == 1


async def test_a_client_that_asks_to_close_is_closed_after_its_answer() -> None:
    async with serving(responding()) as gateway:
        received = await gateway.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET)
        assert received.count(b"HTTP/1.1 200") == 1
        assert b"Connection: close\r\n" in received


async def test_http_1_0_closes_unless_keep_alive_was_asked_for() -> None:
    async with serving(responding()) as gateway:
        received = await gateway.exchange(b"GET / HTTP/1.0\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 200 OK\r\n")
        assert received.endswith(b"\r\n\r\nhello")
        client = await gateway.connect()
        for _ in range(2):
            client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = await client.response()
            assert answer.header(b"connection") == b"keep-alive"
            assert answer.body == b"hello"


async def test_http_1_0_gets_no_chunks_and_no_interim_answers() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with Origin(answering(early + chunks)) as origin, serving(upstream(origin)) as gateway:
        received = await gateway.exchange(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"chunked" not in head
        assert b"Connection: close" in head
        assert body == b"abcde"


async def test_http_1_0_without_host_reaches_the_upstream_with_one() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        await gateway.exchange(b"GET / HTTP/1.0\r\n\r\n")
        assert origin.requests[0].all(b"host") == [f"127.0.0.1:{origin.port}".encode()]
        assert origin.requests[0].version == b"HTTP/1.1"


async def test_pipelined_requests_are_answered_in_order_however_slow_each_is() -> None:
    slow = asyncio.Event()

    async def script(client: Client) -> None:
        while True:
            received = await client.request()
            if received.target == b"/slow/1":
                await slow.wait()
            client.send(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(received.target) + received.target
            )

    async with Origin(script) as origin:
        config = upstream(origin)
        config["route"].insert(0, {"name": "fast", "path": "/fast/{n}", "respond": {"body": "fast"}})
        async with serving(config) as gateway:
            client = await gateway.connect()
            client.send(b"".join(map(get, ["/fast/0", "/slow/1", "/fast/2", "/slow/3", "/fast/4"])))
            assert (await client.response()).body == b"fast"
            slow.set()
            bodies = [bytes((await client.response()).body) for _ in range(4)]
            assert bodies == [b"/slow/1", b"fast", b"/slow/3", b"fast"]


async def test_pipelined_requests_with_bodies_are_told_apart() -> None:
    async with Origin(echo) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        sized = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst"
        chunked = CHUNKED + b"6\r\nsecond\r\n0\r\n\r\n"
        client.send(sized + chunked + GET + sized)
        bodies = [bytes((await client.response()).body) for _ in range(4)]
        assert bodies == [b"first", b"second", b"", b"first"]


async def test_many_pipelined_requests_are_all_answered() -> None:
    """More than one read's worth, so that reading pauses and goes on many times."""
    count = 6000
    async with Origin(answering(HELLO)) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(GET * count)
        for _ in range(count):
            assert (await client.response()).body == b"hello"
        assert gateway.count("agora_requests_total", route="r", status="2xx") == count


async def test_a_request_with_a_large_body_can_follow_another_without_waiting() -> None:
    body = bytes(range(256)) * 4096
    async with Origin(echo) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        for _ in range(3):
            client.send(b"PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        for _ in range(3):
            assert (await client.response()).body == body


@pytest.mark.parametrize("asking", [b"Connection: close\r\n", b""], ids=["asking to close", "HTTP/1.0"])
@pytest.mark.parametrize("fixed", [True, False], ids=["fixed answer", "proxied"])
async def test_a_client_that_sends_too_much_gets_its_whole_answer_all_the_same(
    asking: bytes, fixed: bool
) -> None:
    """Closing a socket that holds unread bytes would make the kernel throw the answer away."""
    size = 3_000_000
    version = b"HTTP/1.1" if asking else b"HTTP/1.0"
    request = b"GET / " + version + b"\r\nHost: a\r\n" + asking + b"\r\n" + b"x" * 300_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"y" * size
    async with (
        Recorder(answer) as origin,
        serving(responding("y" * size) if fixed else upstream(origin)) as gateway,
    ):
        client = await gateway.connect(limit=4096)
        client.send(request)
        assert (await client.response()).body == b"y" * size
        assert await client.closed()


# -- Expect: 100-continue ------------------------------------------------------------------------------------

EXPECT = b"POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"


async def test_an_expectation_is_met_before_the_body_is_sent() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(EXPECT)
        assert (await client.response()).status == 100
        client.send(b"body")
        assert (await client.response()).status == 200
        assert origin.requests[0].body == b"body"
        assert origin.requests[0].header(b"expect") is None


async def test_a_client_that_expects_but_does_not_wait_gets_one_answer() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(EXPECT + b"body" + GET)
        assert [(await client.response()).status for _ in range(2)] == [200, 200]
        assert origin.requests[0].body == b"body"


async def test_an_expectation_that_is_refused_gets_the_refusal_and_no_100() -> None:
    config = responding(status=403)
    async with serving(config) as gateway:
        client = await gateway.connect()
        client.send(EXPECT)
        answer = await client.response()
        assert answer.status == 403
        # NOTE: whether the body still comes cannot be known: nothing on this connection can be trusted.
        assert answer.header(b"connection") == b"close"
        client.send(b"GET ")
        assert await client.closed()


async def test_an_expectation_without_a_body_gets_no_100() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.response()).status == 200


async def test_a_body_over_the_limit_is_refused_before_it_is_asked_for() -> None:
    config = {**responding(), "server": {"limits": {"body": 3}}}
    async with serving(config) as gateway:
        client = await gateway.connect()
        client.send(EXPECT)
        assert (await client.response()).status == 413
        assert await client.closed()


# -- bodies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "POST", "PURGE"])
async def test_a_body_is_forwarded_whatever_the_method(method: str) -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            client.send(f"{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".encode())
            assert (await client.response()).status == 200
        assert [(each.method, bytes(each.body)) for each in origin.requests] == [
            (method.encode(), b"abc")
        ] * 2


async def test_an_unwanted_body_is_read_and_thrown_away() -> None:
    async with serving(responding()) as gateway:
        client = await gateway.connect()
        body = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n" * 1000
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body + GET)
        assert (await client.response()).status == 200
        assert (await client.response()).status == 200
        assert gateway.count("agora_requests_total") == 2


async def test_an_unwanted_body_that_is_too_large_ends_the_connection() -> None:
    async with serving(responding()) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        answer = await client.response()
        assert (answer.status, answer.header(b"connection")) == (200, b"close")
        assert await client.closed()


async def test_chunks_and_trailers_pass_both_ways() -> None:
    async with Origin(echo) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(CHUNKED + b"3;ext=1\r\nabc\r\n004\r\ndefg\r\n0\r\nX-Sum: 7\r\nX-More: b\r\n\r\n")
        answer = await client.response()
        assert answer.body == b"abcdefg"
        assert answer.trailers == [b"X-Sum: 7", b"X-More: b"]


async def test_trailers_go_only_to_a_client_that_takes_them() -> None:
    async with Origin(echo) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(CHUNKED.replace(b"TE: trailers\r\n", b"") + b"3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n")
        answer = await client.response()
        assert answer.body == b"abc"
        assert answer.trailers == []


async def test_trailers_never_carry_what_a_head_decides() -> None:
    dangerous = b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\nHost: b\r\nAuthorization: x\r\nX-Forwarded-For: 1.1.1.1\r\n"  # noqa: E501
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(CHUNKED + b"3\r\nabc\r\n0\r\n" + dangerous + b"X-Fine: 1\r\n\r\n")
        assert (await client.response()).status == 200
        assert origin.requests[0].trailers == [b"X-Fine: 1"]


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_end_with_their_head(status: int) -> None:
    head = b"HTTP/1.1 %d X\r\nETag: x\r\nContent-Length: 7\r\n\r\n" % status
    async with Origin(answering(head)) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        client.send(GET + GET)
        first, second = await client.response(), await client.response()
        assert (first.status, second.status) == (status, status)
        # RFC 9110, 8.6: a 204 has no Content-Length; a 304's is that of the answer it stands for.
        assert first.header(b"content-length") == (b"7" if status == 304 else None)
        assert first.header(b"transfer-encoding") is None


async def test_head_keeps_the_length_and_has_no_body() -> None:
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"
    async with Origin(answering(long)) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = await client.response(to_head=True)
            assert (answer.status, answer.header(b"content-length")) == (200, b"12345")
        assert origin.connections == 1


async def test_head_of_a_fixed_answer_has_its_length_and_no_body() -> None:
    async with serving(responding("hello")) as gateway:
        client = await gateway.connect()
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        assert (await client.response(to_head=True)).header(b"content-length") == b"5"
        assert (await client.response()).body == b"hello"
        assert gateway.count("agora_response_bytes_total", route="r") == 5


# -- targets -------------------------------------------------------------------------------------------------


async def test_an_absolute_target_wins_the_route_and_goes_on_in_origin_form() -> None:
    async with Recorder() as origin:
        config = upstream(origin)
        config["route"][0]["hosts"] = ["b.test"]
        async with serving(config) as gateway:
            answer = await gateway.ask(b"GET http://b.test:81/x?y=1 HTTP/1.1\r\nHost: b.test:81\r\n\r\n")
            assert answer.status == 200
            assert origin.requests[0].target == b"/x?y=1"
            assert origin.requests[0].all(b"host") == [b"b.test:81"]


async def test_an_absolute_target_of_another_host_than_host_is_refused() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        received = await gateway.exchange(b"GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 400 ")
        assert not origin.requests


async def test_the_asterisk_is_answered_by_the_gateway() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        answer = await gateway.ask(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.status == 204
        assert b"GET" in (answer.header(b"allow") or b"")
        assert not origin.requests


async def test_options_counts_its_hops_down_and_is_answered_at_the_last() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        for hops in (b"2", b"1", b"0"):
            answer = await gateway.ask(
                b"OPTIONS /x HTTP/1.1\r\nHost: a\r\nMax-Forwards: " + hops + b"\r\n\r\n"
            )
            assert answer.status == (204 if hops == b"0" else 200)
        assert [each.header(b"max-forwards") for each in origin.requests] == [b"1", b"0"]


@pytest.mark.parametrize("request_line", [b"CONNECT a.test:443", b"TRACE /"])
async def test_connect_and_trace_are_not_offered(request_line: bytes) -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        answer = await gateway.ask(request_line + b" HTTP/1.1\r\nHost: a.test:443\r\n\r\n")
        assert answer.status == 405
        assert not origin.requests


# -- bytes in any portions -----------------------------------------------------------------------------------

CONVERSATION = (
    b"\r\nPOST /a?b=c HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\nX-A: 1\r\n\r\nbody"
    + CHUNKED
    + b"5;x=y\r\nchunk\r\n1\r\n!\r\n0\r\nX-T: 1\r\n\r\n"
    + b"GET /end HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
)
ANSWERS = [(b"/a?b=c", b"body", []), (b"/up", b"chunk!", [b"X-T: 1"]), (b"/end", b"", [])]


async def check_conversation(client: Client) -> None:
    for target, body, trailers in ANSWERS:
        answer = await client.response()
        assert (answer.header(b"x-target"), bytes(answer.body), answer.trailers) == (target, body, trailers)
    assert await client.closed()


async def test_a_conversation_may_come_byte_by_byte() -> None:
    async with Origin(echo) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()

        async def feed() -> None:
            for byte in CONVERSATION:
                client.send(bytes([byte]))
                await asyncio.sleep(0)  # another turn of the loop: the gateway gets each byte alone

        await asyncio.gather(feed(), check_conversation(client))


async def test_a_conversation_may_be_cut_anywhere() -> None:
    async with Origin(echo) as origin, serving(upstream(origin)) as gateway:
        for cut in range(1, len(CONVERSATION)):
            client = await gateway.connect()
            client.send(CONVERSATION[:cut])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            client.send(CONVERSATION[cut:])
            await check_conversation(client)


async def test_an_answer_may_come_byte_by_byte() -> None:
    async def drip(client: Client) -> None:
        while True:
            await client.request()
            for byte in (
                b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"
            ):
                client.send(bytes([byte]))
                await asyncio.sleep(0)

    async with Origin(drip) as origin, serving(upstream(origin)) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\n\r\n")
            assert (await client.response()).status == 103
            answer = await client.response()
            assert (answer.body, answer.trailers) == (b"abc", [b"X-T: 1"])
        assert origin.connections == 1


async def test_an_empty_line_before_a_request_is_forgiven() -> None:
    async with serving(responding()) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n" + GET)
        assert [(await client.response()).status for _ in range(2)] == [200, 200]


def test_the_harness_reads_what_it_wrote() -> None:
    received = Received(b"GET /x HTTP/1.1\r\nHost: a\r\nX-Empty: \r\n\r\n")
    assert (received.method, received.target) == (b"GET", b"/x")
    assert received.header(b"x-empty") == b""
