"""The mirror plugin: a copy of some requests for another server, whose answers nobody waits for."""

from __future__ import annotations

import asyncio
import random
from typing import Annotated

import httpx
from msgspec import Meta

from core._fast.headers import FieldFlag
from core.config import HeaderName, Method
from core.exchange import Exchange
from core.plugin import Plugin, PluginConfig, Side
from core.site import Site
from core.table import END
from core.units import Duration, Size

NEVER = FieldFlag.FIELD_HOP_BY_HOP | FieldFlag.FIELD_FRAMING
# Of the connection, or written anew by the client that sends the copy.
WRITTEN_ANEW = frozenset({b"host", b"expect", b"content-length", b"transfer-encoding", b"te", b"trailer"})
CREDENTIALS = frozenset({b"authorization", b"proxy-authorization", b"cookie", b"x-api-key"})

Url = Annotated[
    str,
    Meta(
        pattern=r"^https?://[A-Za-z0-9._\[\]:-]+(/[^?#\s]*)?" + END,
        title='URL such as "http://shadow.internal:8080", without a query',
    ),
]


class Copy:
    """Hold what there is of a request's copy while its body passes."""

    __slots__ = ("body", "headers", "method", "target")

    def __init__(self, method: str, target: str, headers: list[tuple[bytes, bytes]]) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = bytearray()


class Mirror(Plugin):
    """Send a copy of a share of the requests to another server, and take no notice of what it answers.

    The copy is what the route's target is sent, and leaves when the target has been given the whole body.
    The exchange never waits for it and never fails with it: where there are too many copies, or too large
    ones, they are dropped and counted. Requests that are refused, and copies themselves, are not mirrored.
    """

    class Config(PluginConfig, frozen=True):
        """Options of mirror."""

        url: Annotated[Url, Meta(description="where copies go; the request's path and query are appended")]
        share: Annotated[float, Meta(ge=0, le=1, description="share of requests that are copied")] = 1.0
        methods: Annotated[tuple[Method, ...], Meta(description="methods that are copied; none: all")] = ()
        max_body: Annotated[Size, Meta(description="a request with a larger body is not copied")] = Size(
            "64KiB"
        )
        concurrency: Annotated[
            int, Meta(ge=1, le=1000, description="copies at a time, in each worker; more are dropped")
        ] = 32
        timeout: Annotated[Duration, Meta(description="how long one copy may take")] = Duration("5s")
        credentials: Annotated[
            bool, Meta(description="also copy Authorization, Proxy-Authorization, Cookie and X-Api-Key")
        ] = False
        mark: Annotated[HeaderName, Meta(description="header that tells that a request is a copy")] = (
            "X-Mirrored"
        )

    def __init__(self, config: Config, site: Site) -> None:
        self._url = config.url.rstrip("/")
        self._share = config.share
        self._methods = frozenset(config.methods)
        self._max_body = int(config.max_body)
        self._concurrency = config.concurrency
        self._timeout = float(config.timeout) or None
        self._mark = config.mark.lower().encode()
        self._name = site.name.encode("ascii", "replace")
        self._left_out = WRITTEN_ANEW if config.credentials else WRITTEN_ANEW | CREDENTIALS
        self._client: httpx.AsyncClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = 0  # copies that exist, with their bodies
        self._outcomes = {
            outcome: site.metrics.counter(
                "agora_mirrored_total",
                "Copies of requests, by what became of them.",
                {"route": site.route, "outcome": outcome},
            )
            for outcome in ("sent", "failed", "busy", "too-large")
        }
        if not config.share:
            self.unused = frozenset({"chunk", "log"})

    async def open(self) -> None:
        """Make the client; it connects when there is something to send."""
        self._client = httpx.AsyncClient(
            timeout=self._timeout,
            limits=httpx.Limits(max_connections=self._concurrency),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Drop the copies that are under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def chunk(self, exchange: Exchange, side: Side, piece: bytes, last: bool) -> None:
        """Copy what the target is sent; send the copy when it is whole."""
        if side == "response":
            return
        if self not in exchange.state:
            exchange.state[self] = self._begun(exchange)
        copy: Copy | None = exchange.state[self]
        if copy is None:
            return
        copy.body += piece
        if len(copy.body) > self._max_body:
            self._drop(exchange, "too-large")
        elif last:
            exchange.state[self] = None
            task = asyncio.get_running_loop().create_task(self._send(copy))
            self._tasks.add(task)
            task.add_done_callback(self._sent)

    def log(self, exchange: Exchange) -> None:
        """Let go of the copy of a request that never became whole."""
        if exchange.state.get(self) is not None:
            self._drop(exchange, "failed")

    def _begun(self, exchange: Exchange) -> Copy | None:
        """Return the beginning of a copy; None: there is to be none."""
        request = exchange.request
        if self._share < 1 and random.random() >= self._share:  # noqa: S311
            return None
        if self._methods and request.method not in self._methods:
            return None
        headers = request.headers
        if self._mark in headers or b"upgrade" in headers:
            return None
        if (request.content_length or 0) > self._max_body:
            self._outcomes["too-large"].add()
            return None
        if self._client is None or self._held >= self._concurrency:
            self._outcomes["busy"].add()
            return None
        self._held += 1
        copied = [
            (name, value)
            for name, value in headers
            if name.lower() not in self._left_out and not headers.flags(name) & NEVER
        ]
        target = request.path + (f"?{request.query}" if request.query else "")
        return Copy(request.method, target, [*copied, (self._mark, self._name)])

    def _drop(self, exchange: Exchange, outcome: str) -> None:
        exchange.state[self] = None
        self._held -= 1
        self._outcomes[outcome].add()

    async def _send(self, copy: Copy) -> None:
        """Send a copy and read its answer to the end, so that the connection can be used again."""
        assert self._client is not None
        outcome = "failed"
        try:
            request = copy_request(self._url, copy)
            async with asyncio.timeout(self._timeout):
                response = await self._client.send(request, stream=True, auth=None)
                try:
                    async for _ in response.aiter_raw():
                        pass
                finally:
                    await response.aclose()
            outcome = "sent"
        except Exception:  # noqa: S110
            # NOTE: whatever is wrong with the other server or with the copy is no matter of this gateway's
            # clients; the metric tells of it.
            pass
        finally:
            self._outcomes[outcome].add()

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._held -= 1


def copy_request(url: str, copy: Copy) -> httpx.Request:
    """Return a copy as the client sends it."""
    # NOTE: httpx would encode in its own way what stands in a path or a query; the extension is what is sent.
    target = httpx.URL(url).raw_path.rstrip(b"/") + copy.target.encode("ascii")
    content = bytes(copy.body) or None
    extensions = {"target": target}
    return httpx.Request(copy.method, url, headers=copy.headers, content=content, extensions=extensions)
