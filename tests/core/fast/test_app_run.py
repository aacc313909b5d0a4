"""Calls of ASGI applications behind the native door: bodies in, answers out, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from core._fast import app_run
from tests.core.fast.stage import Message, Receive, Send, answer, playing, stage, whole_body
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
    assert app_run.__file__.endswith(".so")


# -- the request's body -------------------------------------------------------------------------------


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    body = await whole_body(receive)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ],
)
async def test_gives_the_body_whole_and_byte_by_byte(request_bytes: bytes) -> None:
    assert (await talk(echo, request_bytes)).body == b"hello"
    async with playing(echo) as gateway:
        client = await gateway.connect()
        for byte in request_bytes:
            client.send(bytes([byte]))
            await client.drain()
        assert (await client.response()).body == b"hello"
        client.abort()


async def test_tells_a_waiting_client_to_go_on_when_the_application_asks_for_the_body() -> None:
    async with playing(echo) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"hi")
        assert (await client.response()).body == b"hi"
        client.abort()


async def test_does_not_ask_for_a_body_the_application_never_wanted() -> None:
    async with playing(answer(403, [], b"no")) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        got = await client.response()
        assert (got.status, got.header(b"connection")) == (403, b"close")
        assert await client.closed()
        client.abort()


async def test_a_slow_application_holds_the_sender() -> None:
    total = 32 * 1024 * 1024
    largest = 0

    async def slow(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal largest
        left = total
        while left:
            for _ in range(20):
                await asyncio.sleep(0)  # others run; no time passes
            message = await receive()
            largest = max(largest, len(message["body"]))
            left -= len(message["body"])
        await answer(200, [], b"done")(scope, receive, send)

    async with playing(slow) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % total)
        client.send(bytes(total))
        assert (await client.response()).body == b"done"
        client.abort()
    assert largest <= 65536 + 262144  # what may wait, and one read


async def test_after_the_body_receive_waits_for_the_client_to_go() -> None:
    waiting = asyncio.Event()
    seen: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        waiting.set()
        seen.append(await receive())
        seen.append(await receive())
        with pytest.raises(OSError, match="the client has gone"):
            await answer()(scope, receive, send)

    async with playing(app) as gateway:
        client = await gateway.connect()
        client.send(GET)
        async with asyncio.timeout(PATIENCE):
            await waiting.wait()
        client.abort()
        await stage.over()
    assert seen == [{"type": "http.disconnect"}] * 2


async def test_a_client_that_goes_in_the_middle_of_its_body_is_told_to_the_application() -> None:
    seen: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        while not seen or seen[-1]["type"] != "http.disconnect":
            seen.append(await receive())
            if len(seen) == 1:
                client.abort()

    async with playing(app) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhi")
        await stage.over()
    assert [message["type"] for message in seen] == ["http.request", "http.disconnect"]
    assert seen[0]["more_body"] is True


# -- the answer ---------------------------------------------------------------------------------------


async def test_passes_on_status_headers_and_body() -> None:
    got = await talk(answer(201, [(b"X-A", b"1"), (b"x-a", b"2"), (b"date", b"today")], b"body"))
    assert got.status == 201
    assert [value for name, value in got.fields if name.lower() == b"x-a"] == [b"1", b"2"]
    assert [value for name, value in got.fields if name.lower() == b"date"] == [b"today"]
    assert got.body == b"body"


async def test_a_body_in_one_piece_gets_its_length_and_one_in_several_is_chunked() -> None:
    got = await talk(answer(200, [], b"body"))
    assert (got.header(b"content-length"), got.header(b"transfer-encoding")) == (b"4", None)
    got = await talk(answer(200, [], b"bo", b"dy"))
    assert (got.header(b"content-length"), got.header(b"transfer-encoding")) == (None, b"chunked")
    assert got.body == b"body"


async def test_a_length_the_application_gives_is_kept_and_its_own_framing_is_not() -> None:
    got = await talk(answer(200, [(b"content-length", b"4"), (b"connection", b"close")], b"bo", b"dy"))
    assert (got.header(b"content-length"), got.body) == (b"4", b"body")
    assert got.header(b"connection") is None
    got = await talk(answer(200, [(b"transfer-encoding", b"gzip"), (b"x", b"y")], b"bo", b"dy"))
    assert (got.header(b"transfer-encoding"), got.body) == (b"chunked", b"body")


async def test_head_and_bodiless_statuses_send_no_body() -> None:
    got = await talk(answer(200, [(b"content-length", b"99")], b""), b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (got.header(b"content-length"), got.body) == (b"99", b"")
    got = await talk(answer(200, [], b"body"), b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert got.body == b""
    got = await talk(answer(204, [], b"body"))
    assert (got.status, got.header(b"content-length"), got.body) == (204, None, b"")
    got = await talk(answer(304, [(b"content-length", b"7")], b""))
    assert (got.status, got.header(b"content-length"), got.body) == (304, b"7", b"")


async def test_the_head_waits_for_the_first_piece_of_the_body() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise KeyError("nothing was sent yet")

    got = await talk(app)
    assert (got.status, got.header(b"content-type")) == (500, b"application/problem+json")
    assert json.loads(got.body)["type"] == "urn:agora:problem:app-failed"


async def test_pieces_reach_the_client_one_by_one() -> None:
    heard: asyncio.Queue[None] = asyncio.Queue()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(3):
            await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
            await heard.get()
        await send({"type": "http.response.body"})

    async with playing(app) as gateway:
        client = await gateway.connect()
        client.send(GET)
        await client.read_until(b"\r\n\r\n")
        for number in range(3):
            expected = b"9\r\ndata: %d\n\n\r\n" % number
            assert await client.read_exactly(len(expected)) == expected
            heard.put_nowait(None)
        assert await client.read_exactly(5) == b"0\r\n\r\n"
        client.abort()


async def test_a_slow_reader_holds_the_application() -> None:
    total, piece = 64 * 1024 * 1024, bytes(65536)
    read, ahead = 0, 0

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal ahead
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for sent in range(0, total, len(piece)):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            ahead = max(ahead, sent - read)
        await send({"type": "http.response.body"})

    async with playing(app) as gateway:
        client = await gateway.connect()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        await client.read_until(b"\r\n\r\n")
        while read < total:
            async with asyncio.timeout(PATIENCE):
                read += len(await client.reader.read(65536))
        client.abort()
    assert read == total
    assert ahead < 24 * 1024 * 1024  # what two sockets and the client's reader hold


async def test_passes_on_trailers_and_early_hints() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert {"http.response.trailers", "http.response.early_hint"} <= set(scope["extensions"])
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"body"})
        await send({"type": "http.response.trailers", "headers": [(b"etag", b"1")], "more_trailers": True})
        await send(
            {"type": "http.response.trailers", "headers": [(b"content-length", b"1"), (b"x-sum", b"2")]}
        )

    async with playing(app) as gateway:
        client = await gateway.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\n\r\n")
        hint = await client.response()
        assert (hint.status, hint.fields) == (103, [(b"link", b"</a.css>; rel=preload")])
        got = await client.response()
        assert got.body == b"body"
        assert got.trailers == [b"etag: 1", b"x-sum: 2"]
        client.abort()


async def test_one_connection_serves_request_after_request() -> None:
    async with playing(echo) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1" + GET)
        assert (await client.response()).body == b"1"
        assert (await client.response()).body == b""
        client.abort()


# -- applications that do not answer as they should ---------------------------------------------------


def problem_of(got: Any) -> str:
    return str(json.loads(got.body)["type"]).rpartition(":")[2]


async def test_an_application_that_raises_before_it_answers_becomes_a_500(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise KeyError("secret")

    got = await talk(app)
    assert (got.status, problem_of(got)) == (500, "app-failed")
    assert b"secret" not in got.body
    assert "secret" in caplog.text


async def test_an_application_that_raises_in_the_middle_of_its_answer_is_cut_off() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise KeyError("broken")

    async with playing(app) as gateway:
        received = await gateway.exchange(GET)
    assert b"half" in received
    assert not received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("sent", [[], [{"type": "http.response.start", "status": 200, "headers": []}]])
async def test_an_application_that_returns_without_an_answer_becomes_a_500(sent: list[Message]) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        for message in sent:
            await send(message)

    got = await talk(app)
    assert (got.status, problem_of(got)) == (500, "app-silent")


async def test_an_application_that_returns_in_the_middle_of_its_answer_is_cut_off() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async with playing(app) as gateway:
        assert (await gateway.exchange(GET)).endswith(b"half")


START: Message = {"type": "http.response.start", "status": 200, "headers": []}
BODY: Message = {"type": "http.response.body", "body": b"x"}


@pytest.mark.parametrize(
    "messages",
    [
        [BODY],
        [START, START],
        [{"type": "http.response.trailers", "headers": []}],
        [{"type": "websocket.accept"}],
        [{"type": None}],
        [{"type": "http.response.start", "status": 101, "headers": []}],
        [{"type": "http.response.start", "status": 600, "headers": []}],
        [{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"+1")]}],
        [{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"")]}],
        [{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9" * 19)]}],
        [{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")] * 2}],
        [{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}, BODY],
        [{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}, BODY],
        [{"type": "http.response.start", "status": 200, "headers": [(b"x", b"a\r\nb: c")]}],
        [{"type": "http.response.start", "status": 200, "headers": [(b"x y", b"a")]}],
        [{"type": "http.response.start", "status": 200, "headers": [("x", "a")]}],
    ],
)
async def test_a_message_out_of_order_or_malformed_is_an_error_of_the_application(
    messages: list[Message],
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    got = await talk(app)
    assert (got.status, problem_of(got)) == (500, "app-failed")
    assert isinstance(stage.errors[0], RuntimeError | ValueError | TypeError)


async def test_an_application_may_go_on_after_a_refused_head() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        with pytest.raises(ValueError, match="control byte"):
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"a", b"1"), (b"b", b"\n")]}
            )
        await answer(200, [(b"c", b"2")], b"fine")(scope, receive, send)

    got = await talk(app)
    assert (got.status, got.body, got.header(b"a"), got.header(b"c")) == (200, b"fine", None, b"2")


async def test_a_message_after_the_answer_is_an_error_but_the_answer_stands() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await answer(200, [], b"fine")(scope, receive, send)
        await send(BODY)

    async with playing(app) as gateway:
        client = await gateway.connect()
        client.send(GET)
        assert (await client.response()).body == b"fine"
        await stage.over()
        client.abort()
    assert isinstance(stage.errors[0], RuntimeError)


async def test_work_after_the_answer_goes_on_when_the_client_has_gone() -> None:
    done = asyncio.Event()
    go = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await answer(200, [], b"fine")(scope, receive, send)
        await go.wait()
        assert (await receive())["type"] == "http.disconnect"
        done.set()

    async with playing(app) as gateway:
        client = await gateway.connect()
        client.send(GET)
        await client.response()
        client.abort()
        go.set()
        await stage.over()
    assert done.is_set()


async def test_an_application_that_minds_neither_disconnect_nor_error_is_not_logged_as_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        while True:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await asyncio.sleep(0)

    async with playing(app) as gateway:
        client = await gateway.connect()
        client.send(GET)
        await client.read_until(b"\r\n\r\n")
        client.abort()
        await stage.over()
    assert isinstance(stage.errors[0], ConnectionResetError)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# -- plugins and limits around it ---------------------------------------------------------------------


async def test_a_body_over_the_limit_is_refused_while_the_application_reads() -> None:
    async with playing(echo, server={"limits": {"body": 4}}) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        got = await client.response()
        assert got.status == 413
        client.abort()
        await stage.over()
