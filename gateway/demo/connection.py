"""A client's connection to the gateway: one request after the other, HTTP/1.1 with keep-alive.

Rules: a request that got no answer is sent again, on a new connection, up to ATTEMPTS times; so what is
sent must be harmless to repeat (every command has an id, and is done once). Bodies are JSON. The simulation
has one for each of its callers.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gateway.demo.errors import AddressInvalid, AnswerUnexpected, GatewayUnreachable

ATTEMPTS = 5
PATIENCE = 30.0  # seconds for one answer
WAIT = 0.1  # seconds before the second attempt; each further one waits twice as long
BROKEN = (OSError, EOFError, TimeoutError)


@dataclass(frozen=True)
class Address:
    """Where the market is: `http://HOST[:PORT][/PATH]`."""

    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address in a text; raise AddressInvalid."""
        try:
            parts = urlsplit(text)
            port = parts.port or 80
        except ValueError as error:
            raise AddressInvalid(f"{text!r} is no address: {error}") from None
        if parts.scheme != "http" or not parts.hostname or parts.query or parts.fragment:
            raise AddressInvalid(f"{text!r} is no address: write http://HOST:PORT/market")
        return cls(parts.hostname, port, parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """Return host and port as a URL has them."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def __str__(self) -> str:
        return f"http://{self.authority}{self.path}"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body's document; raise AnswerUnexpected if it is none."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            shown = self.body[:200].decode(errors="replace")
            raise AnswerUnexpected(f"status {self.status} with a body that is no JSON: {shown!r}") from None


class Connection:
    """Be one connection; it is opened by the first request."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.repeated = 0  # requests that were sent again
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Send a request below the address's path and return its answer; raise GatewayUnreachable."""
        data = b"" if body is None else msgspec.json.encode(body)
        wait = WAIT
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with asyncio.timeout(PATIENCE):
                    return await self._exchange(method, path, data)
            except BROKEN as error:
                self.close()
                if attempt == ATTEMPTS or isinstance(error, ConnectionRefusedError):
                    raise self._unreachable(error) from None
            self.repeated += 1
            await asyncio.sleep(wait)
            wait *= 2
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close at once; more often is harmless."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def _exchange(self, method: str, path: str, data: bytes) -> Answer:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self.address.host, self.address.port)
        head = (
            f"{method} {self.address.path}{path} HTTP/1.1\r\n"
            f"Host: {self.address.authority}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        self._writer.write(head.encode() + data)
        return await self._answer(self._reader)

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        start, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        status = int(start.split(b" ", 2)[1])
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        if fields.get(b"transfer-encoding") == b"chunked":
            body = b""
            while size := int((await reader.readuntil(b"\r\n"))[:-2], 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readuntil(b"\r\n")
        else:
            body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
        if fields.get(b"connection", b"").lower() == b"close":
            self.close()
        return Answer(status, body)

    def _unreachable(self, error: BaseException) -> GatewayUnreachable:
        reason = str(error) or type(error).__name__
        return GatewayUnreachable(
            f"no gateway answers at http://{self.address.authority}: {reason}; "
            "start one with `agora serve examples/market.toml`"
        )
