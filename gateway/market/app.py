"""The market's API as an ASGI application: users, markets, orders, trades, portfolios, payments.

A route of the gateway leads to it, `app = "gateway.market.app:app"` at a path `/market/{rest:path}`; what it
answers is in docs/market.md. The rule it guards: whatever is refused is told as problem details, and nothing
of a refused command is in the log.
"""

from __future__ import annotations

import logging

from core.errors import AgoraError, Problem
from engines.event_sourcing import EventSourcingEngine, event_sourcing_engine
from engines.event_sourcing.errors import EngineStopped, NameUnknown
from gateway.market import commands, queries
from gateway.market.commands import Endpoint
from gateway.market.exchange import Answer, Message, Receive, Request, Send, send_answer, told

log = logging.getLogger("agora.market")
MOUNT = "market"
NOT_FOUND = Problem(404, "not-found", "The market has no such page")
FAILED = Problem(500, "internal", "Internal error", source="internal")


class MarketMissing(AgoraError):
    """Refuse to answer for a market that the gateway does not run."""

    status = 503
    slug = "market-missing"
    title = "Market not installed"


class Routes:
    """Find the endpoint of a method and a path, by the path's literal segments."""

    def __init__(self, endpoints: dict[str, Endpoint]) -> None:
        self._exact: dict[tuple[str, ...], dict[str, tuple[Endpoint, tuple[tuple[int, str], ...]]]] = {}
        for pattern, endpoint in endpoints.items():
            method, _, path = pattern.partition(" ")
            segments = path.split("/")
            names = tuple((at, name[1:-1]) for at, name in enumerate(segments) if name.startswith("{"))
            shape = tuple("" if name.startswith("{") else name for name in segments)
            self._exact.setdefault(shape, {})[method] = (endpoint, names)

    def find(self, segments: list[str]) -> dict[str, tuple[Endpoint, tuple[tuple[int, str], ...]]] | None:
        """Return what a path's methods lead to, and which segments are names; None: there is no such page."""
        if not all(segments):
            return None
        # The second segment is a name wherever there is one; in paths of orders the third is too.
        first, *rest = segments
        for shape in ((first, *rest), (first, *[""] * len(rest[:1]), *rest[1:]), (first, *[""] * len(rest))):
            found = self._exact.get(shape)
            if found is not None:
                return found
        return None


class MarketApp:
    """Answer for the market of an engine, under a mount point."""

    def __init__(self, engine: EventSourcingEngine, mount: str = MOUNT) -> None:
        self._engine = engine
        self._mount = mount.strip("/").split("/")
        self._routes = Routes({**commands.ENDPOINTS, **queries.ENDPOINTS})

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            return await live(receive, send)
        if scope["type"] != "http":
            raise RuntimeError(f"the market speaks http, not {scope['type']}")
        await send_answer(send, await self._answer(scope, receive))
        return None

    async def _answer(self, scope: Message, receive: Receive) -> Answer:
        segments = scope["path"].split("/")[1:]
        depth = len(self._mount)
        found = self._routes.find(segments[depth:]) if segments[:depth] == self._mount else None
        if found is None:
            return refused(NOT_FOUND, "docs/market.md lists what there is")
        method = scope["method"]
        endpoint, names = found.get("GET" if method == "HEAD" else method, (None, ()))
        if endpoint is None:
            allowed = ", ".join(sorted(found))
            problem = Problem(405, "method-not-allowed", "Method not allowed")
            return refused(problem, f"{allowed} is allowed here", ((b"allow", allowed.encode()),))
        request = Request(scope, receive, {name: segments[depth + at] for at, name in names})
        try:
            return await endpoint(self._engine, request)
        except EngineStopped as error:
            return told(missing(error))
        except NameUnknown as error:
            return told(missing(error))
        except AgoraError as error:
            return told(error)
        except Exception:
            log.exception("a request to the market failed: %s %s", method, scope["path"])
            return refused(FAILED)


def missing(error: AgoraError) -> MarketMissing:
    """Return what to do so that the market is there."""
    return MarketMissing(
        f"{error}; the gateway's configuration needs the table [event_log], and in [event_sourcing] "
        'install = ["gateway.market.installation:install"]'
    )


def refused(problem: Problem, detail: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    """Return a problem as an answer."""
    return Answer(problem.status, problem.body(detail), 0, b"application/problem+json", headers)


async def live(receive: Receive, send: Send) -> None:
    """Speak the lifespan protocol; there is nothing to start."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


app = MarketApp(event_sourcing_engine)
