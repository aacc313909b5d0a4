"""The forward-auth plugin: another service says who may come in."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Annotated, Any, Literal

import httpx
from msgspec import Meta

from core.authentication.authenticator import Authenticator, Found
from core.authentication.identity import Identity, header_value
from core.config import HeaderName
from core.errors import Problem
from core.exchange import Exchange, Response
from core.pattern_text import PatternText
from core.plugin import PluginConfig
from core.site import Site
from core.table import Name
from core.units import Duration

AWAY = Problem(503, "authorization-away", "The service that decides does not answer", "upstream", True)
LARGEST = 64 * 1024  # bytes of an answer's body that is passed on
CONNECTIONS = 100  # to the service, of a worker
# What stays with the connection to the service, or is written anew.
OWN = frozenset(b"connection keep-alive transfer-encoding content-length upgrade trailer te".split())


class ServiceAddress(PatternText):
    """Be the URL of a service that decides."""

    __slots__ = ()
    noun = "URL of a service"
    pattern = r"^https?://[^\s/?#]+(/[^\s#]*)?$(?!\n)"
    examples = ("http://127.0.0.1:9000/check",)
    wrong = "is no URL of a service"
    right = "write http://host:port/path"


class ForwardAuth(Authenticator):
    """Ask a service about each request: an answer of 200 to 299 lets it in, any other is the client's answer.

    The service is asked with GET, the headers in `send`, and X-Forwarded-Method, -Proto, -Host, -Uri and
    -For. It is not sent the body. Redirects to a login page pass. A service that answers with 500 or more,
    late or not at all, is away: then `on_failure` holds.
    """

    class Config(PluginConfig, frozen=True):
        """Options of forward-auth."""

        url: Annotated[ServiceAddress, Meta(description="where the service is asked")]
        send: Annotated[
            tuple[HeaderName, ...], Meta(description="headers of the request that the service is sent")
        ] = ("authorization", "cookie")
        copy: Annotated[
            tuple[HeaderName, ...],
            Meta(description="headers of its answer that the target is sent; clients' own are removed"),
        ] = ()
        consumer_header: Annotated[
            HeaderName, Meta(description="header of the service's answer that names the consumer")
        ] = "x-consumer"
        consumer: Annotated[Name, Meta(description="who it is where the answer does not say")] = "authorized"
        timeout: Annotated[Duration, Meta(description="how long the service may take")] = Duration("5s")
        on_failure: Annotated[
            Literal["refuse", "admit"],
            Meta(description="while it is away: refuse with 503, or let in nobody's"),
        ] = "refuse"

    def __init__(self, config: Config, site: Site) -> None:
        super().__init__(config, site, challenge="Bearer", optional=config.on_failure == "admit")
        self._url = str(config.url)
        self._send = tuple((name.lower(), name.lower().encode()) for name in config.send)
        self._copy = tuple((name.lower(), name.lower().encode()) for name in config.copy)
        self._named_by = config.consumer_header
        self._consumer = config.consumer
        self._timeout = float(config.timeout) or None
        self._admits = config.on_failure == "admit"
        self._away = site.metrics.counter(
            "agora_forward_auth_away_total",
            "Requests that the deciding service did not answer for.",
            {"route": site.route or "everywhere"},
        )
        self._log = site.logger
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Make the client; connections are opened when they are needed."""
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        self._client = httpx.AsyncClient(timeout=self._timeout, limits=limits, trust_env=False)

    async def close(self) -> None:
        """Close the connections to the service."""
        if self._client is not None:
            await self._client.aclose()

    def authenticate(self, exchange: Exchange) -> Coroutine[Any, Any, Found]:
        """Ask the service."""
        return self._ask(exchange)

    def forward(self, exchange: Exchange) -> None:
        """Tell the target the consumer, and what the service has said of it."""
        super().forward(exchange)
        headers = exchange.request.headers
        for _, name in self._copy:
            headers.remove(name)
        for name, value in exchange.state.get(self, ()):
            headers.add(name, value)

    async def _ask(self, exchange: Exchange) -> Found:
        assert self._client is not None
        try:
            async with self._client.stream("GET", self._url, headers=self._question(exchange)) as answer:
                if answer.status_code >= 500:
                    return self._away_because(f"it answered {answer.status_code}")
                if answer.is_success:
                    return self._let_in(exchange, answer)
                return await self._passed_on(answer)
        except httpx.HTTPError as error:
            return self._away_because(f"{type(error).__name__}: {error}")

    def _question(self, exchange: Exchange) -> list[tuple[bytes, bytes]]:
        request = exchange.request
        target = request.path + (f"?{request.query}" if request.query else "")
        told = {
            b"x-forwarded-method": request.method,
            b"x-forwarded-proto": exchange.scheme,
            b"x-forwarded-host": request.host,
            b"x-forwarded-uri": target,
            b"x-forwarded-for": exchange.client,
        }
        sent = [(name, value) for _, name in self._send for value in request.headers.get_all(name)]
        return [*((name, text.encode("latin-1", "replace")) for name, text in told.items()), *sent]

    def _let_in(self, exchange: Exchange, answer: httpx.Response) -> Identity:
        exchange.state[self] = [
            (raw, header_value(value)) for name, raw in self._copy for value in answer.headers.get_list(name)
        ]
        return Identity(answer.headers.get(self._named_by) or self._consumer, scheme="forward-auth")

    async def _passed_on(self, answer: httpx.Response) -> Response | None:
        body = b""
        async for piece in answer.aiter_raw():
            body += piece
            if len(body) > LARGEST:
                return self._away_because("its answer is too large")
        raw = [(name.lower(), value) for name, value in answer.headers.raw]
        headers = [(name, value) for name, value in raw if name not in OWN]
        return Response(answer.status_code, headers, body)

    def _away_because(self, why: str) -> Response | None:
        self._away.add()
        self._log.warning("the service at %s does not decide: %s", self._url, why)
        return None if self._admits else Response.problem_of(AWAY)
