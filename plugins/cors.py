"""The cors plugin: which pages of other origins may read answers."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from core.config import HeaderName, Method
from core.errors import PluginInvalid
from core.exchange import Exchange, Response
from core.pattern_text import PatternText
from core.plugin import Plugin, PluginConfig
from core.site import Site
from core.units import Duration

PREFLIGHT_VARY = b"origin, access-control-request-method, access-control-request-headers"


class OriginPattern(PatternText):
    """Be an origin, `https://*.example.test` for every name below, or `*` for all."""

    __slots__ = ()
    noun = "origin"
    pattern = r"^(\*|null|[a-z][a-z0-9+.-]*://(\*\.)?([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?)$(?!\n)"
    examples = ("https://example.test", "https://*.example.test", "*")
    wrong = "is no origin"
    right = 'write "https://example.test", in small letters and without a path; "https://*.name" or "*"'


class Cors(Plugin):
    """Tell browsers which origins may read answers, and answer their preflight requests.

    The rules are those of the Fetch standard. Requests of other origins are served all the same: it is the
    browser that keeps the answer from the page. A route that lists ``methods`` sees preflight requests only
    if OPTIONS is among them; on all routes the plugin answers for every path.
    """

    class Config(PluginConfig, frozen=True):
        """Options of cors."""

        origins: Annotated[tuple[OriginPattern, ...], Meta(min_length=1, description="who may read answers")]
        methods: Annotated[
            tuple[Method, ...], Meta(description="methods that they may use, besides GET, HEAD and POST")
        ] = ("PUT", "PATCH", "DELETE")
        headers: Annotated[
            tuple[HeaderName, ...],
            Meta(description="request headers that they may set; left out: those that they ask for"),
        ] = ()
        expose: Annotated[
            tuple[HeaderName, ...], Meta(description="answers' headers that they may read, besides the usual")
        ] = ()
        credentials: Annotated[bool, Meta(description="let them send cookies and credentials")] = False
        max_age: Annotated[Duration, Meta(description="how long a browser may keep a preflight's answer")] = (
            Duration("10m")
        )
        private_network: Annotated[bool, Meta(description="let public pages reach this private network")] = (
            False
        )

    def __init__(self, config: Config, site: Site) -> None:
        self._everyone = "*" in config.origins
        if self._everyone and config.credentials:
            raise PluginInvalid(
                'origins has "*" with credentials: any page could act as its reader; name the origins'
            )
        self._exact = frozenset(origin.encode() for origin in config.origins if "*" not in origin)
        self._below = tuple(
            tuple(origin.encode().split(b"*", 1))
            for origin in config.origins
            if "*" in origin and origin != "*"
        )
        self._methods = ", ".join(dict.fromkeys(["GET", "HEAD", "POST", *config.methods])).encode()
        self._headers = ", ".join(config.headers).lower().encode()
        self._expose = ", ".join(config.expose).lower().encode()
        self._credentials = config.credentials
        self._max_age = str(int(config.max_age)).encode()
        self._private_network = config.private_network

    def request(self, exchange: Exchange) -> Response | None:
        """Answer a preflight request."""
        request = exchange.request
        if request.method != "OPTIONS":
            return None
        asked = request.headers
        if b"origin" not in asked or b"access-control-request-method" not in asked:
            return None
        answer = Response(204)
        answer.headers.set(b"vary", PREFLIGHT_VARY)
        if self._allowed(asked.get(b"origin", b"")):
            self._permit(answer, asked.get(b"access-control-request-headers", b""))
            if self._private_network and asked.get(b"access-control-request-private-network") == b"true":
                answer.headers.set(b"access-control-allow-private-network", b"true")
        return answer

    def response(self, exchange: Exchange) -> None:
        """Say who may read the answer; what the target said of it is left out."""
        origin = exchange.request.headers.get(b"origin")
        headers = exchange.response.headers
        for name in (b"access-control-allow-origin", b"access-control-allow-credentials"):
            headers.remove(name)
        if not self._everyone:
            add_vary(exchange.response, b"origin")
        if origin is None or not self._allowed(origin):
            return
        headers.set(b"access-control-allow-origin", b"*" if self._everyone else origin)
        if self._credentials:
            headers.set(b"access-control-allow-credentials", b"true")
        if self._expose:
            headers.set(b"access-control-expose-headers", self._expose)

    def _permit(self, answer: Response, wanted: bytes) -> None:
        headers = answer.headers
        headers.set(b"access-control-allow-methods", self._methods)
        if self._headers or wanted:
            headers.set(b"access-control-allow-headers", self._headers or wanted)
        headers.set(b"access-control-max-age", self._max_age)

    def _allowed(self, origin: bytes) -> bool:
        if self._everyone or origin in self._exact:
            return True
        return any(
            origin.startswith(scheme) and origin.endswith(end) and is_name(origin[len(scheme) : -len(end)])
            for scheme, end in self._below
        )


def is_name(text: bytes) -> bool:
    """Tell whether a text is a part of a host's name: labels with dots between them."""
    return bool(text) and all(label.replace(b"-", b"a").isalnum() for label in text.split(b"."))


def add_vary(response: Any, name: bytes) -> None:
    """Note that the answer depends on a request header."""
    said = b", ".join(response.headers.get_all(b"vary"))
    names = {part.strip().lower() for part in said.split(b",")}
    if b"*" not in names and name not in names:
        response.headers.set(b"vary", said + b", " + name if said.strip() else name)
