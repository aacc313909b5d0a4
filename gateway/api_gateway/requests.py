"""The log of requests over HTTP: filters, pages, and new ones as they come."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncGenerator, Iterator
from ipaddress import ip_address

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from core.decode import Decoder
from core.request_log import RequestLog, RequestLogReader, RequestQuery
from core.request_log.query import ANY_STATUS, EXACT, parse_duration, parse_status, parse_time
from core.request_log.reader import Page
from core.request_log.record import json_line
from engines.api_gateway import APIRequest
from gateway.api_exchange import LARGEST, BodyInvalid, Query, read_object, shown
from gateway.api_gateway.control import Control
from gateway.api_gateway.resources import MOST
from gateway.api_stream import Streams, last_seen
from gateway.explanation import explain_request
from gateway.trial import TrialInvalid, try_request

DIRECTORY = "requests"  # in the data directory
FILTERS = (*EXACT, "path", "status", "slower", "since", "until")
LOOK_SECONDS = 0.1  # between two looks whether there are new ones


async def list_requests(control: Control, request: Request) -> Response:
    """List logged requests, the newest first; for older ones ask before `next`."""
    query = Query(request, *FILTERS, "before", "limit")
    wanted, before = _wanted(query), query.number("before", 0, 0)
    limit = query.number("limit", 100, 1, MOST)

    def read() -> Page:
        with _reader(control) as reader:
            return reader.read(wanted, after=before, limit=limit, reverse=True)

    page = await asyncio.to_thread(read)
    return shown(
        {
            "requests": [msgspec.Raw(json_line(record)) for record in page.records],
            "next": page.after if page.more else None,
            "damaged": page.damaged,
        }
    )


async def send_request(control: Control, request: Request) -> Response:
    """Send a described request through the gateway, and answer with its answer and its trace."""
    Query(request)
    wish = Decoder().decode(await read_object(request), APIRequest)
    headers = list(wish.headers.items()) if isinstance(wish.headers, dict) else wish.headers
    if wish.body and wish.body_base64:
        raise BodyInvalid("body and body_base64 are two ways to say one thing: give one")
    try:
        body = base64.b64decode(wish.body_base64, validate=True) if wish.body_base64 else wish.body.encode()
        ip_address(wish.client)
        explained = explain_request(
            control.plane.config, wish.method, wish.url, [f"{name}: {value}" for name, value in headers]
        )
    except ValueError as error:
        raise TrialInvalid(str(error)) from None
    trial = await try_request(
        control.plane,
        wish.method,
        wish.url,
        headers=headers,
        body=body,
        client=wish.client,
        dry_run=wish.dry_run,
    )
    return shown({"dry_run": wish.dry_run, **msgspec.to_builtins(trial), "search": explained.steps})


class RequestStreams:
    """Be the endpoint that streams requests as they are logged."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def open(self, control: Control, request: Request) -> Response:
        """Begin a stream, with what is logged from now on, or after a sequence number."""
        query = Query(request, *FILTERS, "after")
        wanted, after = _wanted(query), last_seen(request, query, LARGEST)
        if after == LARGEST:
            after = await asyncio.to_thread(_end, control)
        return self._streams.open(request, _pages(control, wanted, after), b"requests follow")


async def _pages(control: Control, wanted: RequestQuery, after: int) -> AsyncGenerator[bytes]:
    def read() -> Page:
        with _reader(control) as reader:
            return reader.read(wanted, after=after, limit=MOST)

    while True:
        page = await asyncio.to_thread(read)
        after = page.after
        if page.records:
            yield b"".join(
                b"id: %d\nevent: request\ndata: %b\n\n" % (record.sequence, json_line(record))
                for record in page.records
            )
        elif not page.more:
            await asyncio.sleep(LOOK_SECONDS)


def _end(control: Control) -> int:
    with _reader(control) as reader:
        return reader.range()[1]


@contextlib.contextmanager
def _reader(control: Control) -> Iterator[RequestLogReader]:
    """Lend a reader: that of this worker's log, where it writes one. Raises RequestLogMissing."""
    directory = control.plane.config.server.data_dir / DIRECTORY
    written = RequestLog.opened(directory)
    if written is not None:
        yield written.reader
        return
    with RequestLogReader.open(directory) as reader:
        yield reader


def _wanted(query: Query) -> RequestQuery:
    """Return which requests are wanted; raise QueryInvalid."""
    now_ns = time.time_ns()
    texts = {name: query.text(name) for name in EXACT}
    status, slower = query.text("status"), query.text("slower")
    since, until = query.text("since"), query.text("until")
    return RequestQuery(
        **texts | {"method": texts["method"].upper()},
        path_prefix=query.text("path"),
        status=parse_status(status) if status else ANY_STATUS,
        min_duration_ns=parse_duration(slower) if slower else 0,
        since_ns=parse_time(since, now_ns) if since else 0,
        until_ns=parse_time(until, now_ns) if until else 0,
    )
