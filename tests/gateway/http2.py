"""Be a client that speaks HTTP/2 without TLS, by prior knowledge."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

import h2.config
import h2.connection
import h2.events

from tests.harness import PATIENCE

Pair = tuple[bytes, bytes]


class Http2Client:
    """Be one connection; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self.state = h2.connection.H2Connection(config)
        self.state.initiate_connection()
        self.flush()

    def flush(self) -> None:
        """Write what is to be sent."""
        self.writer.write(self.state.data_to_send())

    def request(self, method: bytes, path: bytes, fields: Iterable[Pair] = (), *, more: bool = False) -> int:
        """Send a request's head; return its stream."""
        stream = int(self.state.get_next_available_stream_id())
        head = [
            (b":method", method),
            (b":path", path),
            (b":scheme", b"http"),
            (b":authority", b"example.test"),
        ]
        self.state.send_headers(stream, [*head, *fields], end_stream=not more)
        self.flush()
        return stream

    def body(self, stream: int, data: bytes, *, more: bool = False) -> None:
        """Send a piece of a request's body."""
        self.state.send_data(stream, data, end_stream=not more)
        self.flush()

    async def response(self) -> tuple[int, list[Pair], bytes, bool]:
        """Return status, fields, body and whether the response is complete."""
        status, fields, body = 0, [], bytearray()
        async with asyncio.timeout(PATIENCE):
            while data := await self.reader.read(65536):
                for event in self.state.receive_data(data):
                    if isinstance(event, h2.events.ResponseReceived):
                        status = int(event.headers[0][1])
                        fields = [(bytes(name), bytes(value)) for name, value in event.headers[1:]]
                    elif isinstance(event, h2.events.DataReceived):
                        body += event.data
                        self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, h2.events.StreamEnded):
                        return status, fields, bytes(body), True
                    elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                        return status, fields, bytes(body), False
                self.flush()
        return status, fields, bytes(body), False


@contextlib.asynccontextmanager
async def http2(port: int) -> AsyncIterator[Http2Client]:
    """Connect to a port of this machine."""
    client = Http2Client(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield client
    finally:
        client.writer.transport.abort()
