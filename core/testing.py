"""Try plugins on real exchanges, without sockets.

    exchange = exchange_for("GET", "/markets/7", client="192.0.2.1")   a request, to call a phase with by hand
    sent = PluginChain(plugin).send("GET", "/markets/7")               a whole exchange, through the loop

The exchange is the one that serves: parsed from bytes, routed, driven by the same loop. Only the client's and
the target's side are stand-ins. For the tests of plugins, built-in and others'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack
from urllib.parse import urlsplit

from core._fast import testing
from core._fast.exchange import Exchange, Target
from core._fast.headers import Headers
from core._fast.message import Response
from core._fast.meter import Meter
from core._fast.plan import Plan, Snapshot
from core._fast.router import Pattern, Router
from core._fast.targets import Respond, Unmatched
from core._fast.testing import Forwarded, StandIn
from core.plugin import bind_phase, plan_arguments
from core.private_site import private_site
from core.site import Site

HeaderPairs = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
EVERYTHING = "/{path:path}"
RUNS, EXCHANGES = 60, 500  # timed: so many runs of so many exchanges


@dataclass(frozen=True, kw_only=True)
class Sent:
    """Hold what became of one exchange."""

    status: int  # 0: no answer was sent
    headers: Headers  # of the response
    body: bytes
    complete: bool  # the answer was sent to its end
    interim: list[tuple[int, list[tuple[bytes, bytes]]]]  # status and headers of the 1xx answers
    trailers: list[tuple[bytes, bytes]] | None
    forwarded: Forwarded | None  # what the target was sent; None: the request did not get so far
    exchange: Exchange


class RequestParts(TypedDict, total=False):
    """Name what a request may have besides method and URL."""

    headers: HeaderPairs
    body: bytes
    client: str  # the client's address; by default 192.0.2.1
    peer: str  # address of the proxy before the gateway; by default the client's
    trusted: bool  # the peer is a trusted proxy


def exchange_for(
    method: str = "GET",
    url: str = "/",
    *,
    route: str = "test",
    path: str = EVERYTHING,
    **parts: Unpack[RequestParts],
) -> Exchange:
    """Return an exchange that has met no phase yet, on a route of that name and path pattern.

    url: a path, or a whole URL; https:// makes the exchange secure
    Raises ValueError if the gateway would refuse such a request. A body is announced; its bytes do not come.
    """
    return _make(_snapshot([], route, path, StandIn(Response())), method, url, parts)


def give_response(
    exchange: Exchange, status: int = 200, headers: HeaderPairs = (), body: bytes = b""
) -> Response:
    """Let a target have answered, for calling ``response`` by hand; return ``exchange.response``."""
    testing.give_response(exchange, Response(status, _pairs(headers), body))
    assert exchange.response is not None
    return exchange.response


def site_for(
    data_dir: Path = Path(), *, route: str = "", parameters: tuple[str, ...] | None = None, rates: int = 4096
) -> Site:
    """Return a site with a table of rates of its own, and metrics that all sites of this process share."""
    return replace(private_site(data_dir, rates), route=route, parameters=parameters)


class PluginChain:
    """Run exchanges through plugins, in the order given, to a target that answers as told.

    plugins: all on one route, called ``route``, whose path is ``path``
    answer:  of the target; by default 200 with a short body
    pieces:  of the answer's body, in place of the answer's own
    """

    def __init__(
        self,
        *plugins: object,
        route: str = "test",
        path: str = EVERYTHING,
        answer: Response | None = None,
        pieces: Sequence[bytes] | None = None,
    ) -> None:
        self.target = StandIn(answer or Response(200, [(b"content-type", b"text/plain")], b"answer"), pieces)
        self.snapshot = _snapshot(plugins, route, path, self.target)

    def send(
        self,
        method: str = "GET",
        url: str = "/",
        *,
        pieces: Sequence[bytes] | None = None,
        **parts: Unpack[RequestParts],
    ) -> Sent:
        """Run one exchange; ``pieces`` are the request's body as it arrives, in place of ``body``.

        Raises RuntimeError if a plugin's phase waits: use ``send_waiting`` then.
        """
        if _waits(self.snapshot):
            raise RuntimeError("a phase of this chain waits; use `await chain.send_waiting(...)`")
        exchange = self._begin(method, url, pieces, parts, None)
        return self._sent(exchange)

    async def send_waiting(
        self,
        method: str = "GET",
        url: str = "/",
        *,
        pieces: Sequence[bytes] | None = None,
        **parts: Unpack[RequestParts],
    ) -> Sent:
        """Run one exchange whose plugins may wait; as ``send`` else."""
        ended = asyncio.Event()
        exchange = self._begin(method, url, pieces, parts, ended.set)
        await ended.wait()
        return self._sent(exchange)

    def _begin(
        self,
        method: str,
        url: str,
        pieces: Sequence[bytes] | None,
        parts: RequestParts,
        on_end: Callable[[], None] | None,
    ) -> Exchange:
        if pieces is None:
            pieces = [parts.get("body", b"")]
        else:
            parts = {**parts, "body": b"".join(pieces)}
        exchange = _make(self.snapshot, method, url, parts)
        testing.recorder_of(exchange).on_end = on_end
        testing.begin(exchange, self.snapshot, pieces)
        return exchange

    def _sent(self, exchange: Exchange) -> Sent:
        recorder = testing.recorder_of(exchange)
        received = self.target.received
        return Sent(
            status=recorder.status,
            headers=Headers(recorder.headers),
            body=recorder.body,
            complete=recorder.complete,
            interim=recorder.interim,
            trailers=recorder.trailers,
            forwarded=received.pop() if received else None,
            exchange=exchange,
        )


def cost_of(
    *plugins: object,
    method: str = "GET",
    url: str = "/",
    path: str = EVERYTHING,
    **parts: Unpack[RequestParts],
) -> float:
    """Return the nanoseconds that plugins add to an exchange without a body, on one core and without sockets.

    Exchanges run with and without them in turn; the least of many short runs counts on each side. A fixed
    answer stands for the target. Raises RuntimeError if a phase waits: that has no cost of its own.
    """
    target = Respond("test", Response(200, [(b"content-type", b"application/json")], b"{}"))
    chosen, bare = (_snapshot(some, "test", path, target) for some in (plugins, ()))
    if _waits(chosen):
        raise RuntimeError("a phase of these plugins waits; only phases that do not can be timed")
    head = _head(method, url, parts)
    with_them = without = float("inf")
    for _ in range(RUNS):
        with_them = min(with_them, testing.run_repeatedly(chosen, head, EXCHANGES))
        without = min(without, testing.run_repeatedly(bare, head, EXCHANGES))
    return with_them - without


def _snapshot(plugins: Sequence[object], route: str, path: str, target: Target) -> Snapshot:
    arguments = plan_arguments(plugins)
    accept = bind_phase(plugins, "accept")
    plan = Plan(route, 0, target, Meter(), **arguments)
    unmatched = Plan("", -1, Unmatched(), Meter(), **arguments)
    return Snapshot(Router([Pattern(path, frozenset(), ())]), [plan], unmatched, accept=accept, name=b"test")


def _waits(snapshot: Snapshot) -> bool:
    plan = snapshot.plans[0]
    return any((*plan.request_waits, *plan.forward_waits, *plan.response_waits))


def _make(snapshot: Snapshot, method: str, url: str, parts: RequestParts) -> Exchange:
    client = parts.get("client", "192.0.2.1")
    return testing.make_exchange(
        _head(method, url, parts),
        snapshot,
        client=client.encode("ascii"),
        peer=parts.get("peer", client).encode("ascii"),
        secure=urlsplit(url).scheme == "https",
        trusted=parts.get("trusted", False),
    )


def _head(method: str, url: str, parts: RequestParts) -> bytes:
    split = urlsplit(url)
    target = (split.path or "/") + (f"?{split.query}" if split.query else "")
    fields = list(_pairs(parts.get("headers", ())))
    known = {name.lower() for name, _ in fields}
    body = parts.get("body", b"")
    if b"host" not in known:
        fields.insert(0, (b"host", (split.netloc or "test").encode("ascii")))
    if body and not known & {b"content-length", b"transfer-encoding"}:
        fields.append((b"content-length", b"%d" % len(body)))
    lines = [f"{method} {target} HTTP/1.1".encode("latin-1"), *(b"%b: %b" % field for field in fields)]
    return b"\r\n".join([*lines, b"", b""])


def _pairs(headers: HeaderPairs) -> Iterable[tuple[bytes, bytes]]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [
        (
            name.encode("latin-1") if isinstance(name, str) else name,
            value.encode("latin-1") if isinstance(value, str) else value,
        )
        for name, value in pairs
    ]
