"""The rate-limit plugin: so many requests a period from each client."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from msgspec import Meta

from core._fast.limiter import compile_windows
from core._fast.rate_gate import RateGate
from core.client_key import ClientKey
from core.decode import Decoder, FieldInvalid
from core.describe import describe_value
from core.plugin import Plugin, PluginConfig
from core.site import Site
from core.table import Name
from core.windows import WindowInvalid


class Limits(tuple[str, ...]):
    """Be one or several windows, each so many requests a period."""

    __slots__ = ()
    noun: ClassVar[str] = "rate, or list of them"
    json_schema: ClassVar[dict[str, Any]] = {
        "anyOf": [
            {"type": "string", "examples": ["100/minute", "20/10s"]},
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 8, "uniqueItems": True},
        ]
    }
    right: ClassVar[str] = 'write "100/minute" or "20/10s", or a list of them'

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode a text or a list of them; raise FieldInvalid."""
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            raise FieldInvalid(f"must be a rate, not {describe_value(value)}", cls.right)
        try:
            return cls(compile_windows(value).texts)
        except WindowInvalid as error:
            wrong, _, right = str(error).partition("; ")
            raise FieldInvalid(wrong, right or cls.right) from None

    def __str__(self) -> str:
        return ", ".join(self)


class RateLimit(RateGate, Plugin):
    """Admit so many requests a period from each client, exactly, over all workers together.

    A client over its rate gets 429 with Retry-After; a window of N admits N at once and refills evenly.
    Several windows are all taken or none. Counts belong to the route, or to all routes where the plugin
    stands on all of them, or to all rules of one ``shared`` name. An IPv6 client is its network, 64 bits
    unless set.
    """

    class Config(PluginConfig, frozen=True):
        """Options of rate-limit."""

        limit: Annotated[Limits, Meta(description='requests a period, such as "100/minute"; or several')]
        by: Annotated[
            ClientKey, Meta(description="what tells clients apart; header:NAME only behind authentication")
        ] = ClientKey("ip")
        missing: Annotated[
            Literal["ip", "together", "unlimited"],
            Meta(description="how requests without the consumer or header are counted"),
        ] = "ip"
        shared: Annotated[
            Name | None, Meta(description="name of counts that several routes' rules share")
        ] = None
        on_full: Annotated[
            Literal["refuse", "admit"],
            Meta(description="when the table of rates has no room: refuse with 503, or admit and count"),
        ] = "refuse"
        headers: Annotated[
            Literal["ratelimit", "x-ratelimit", "both", "none"],
            Meta(description="response headers that tell clients their figures"),
        ] = "ratelimit"
        ipv6_prefix: Annotated[
            int, Meta(ge=16, le=128, description="bits of an IPv6 address that are one client")
        ] = 64

    def __init__(self, config: Config, site: Site) -> None:
        rule = config.shared or site.route or "everywhere"
        scope = f"shared {config.shared}" if config.shared else f"route {site.route} {config.by.lower()}"
        super().__init__(
            site.limiter,
            config.limit,
            by=str(config.by),
            scope=scope.encode(),
            lacking=config.missing,
            admit_when_full=config.on_full == "admit",
            headers=config.headers,
            prefix=config.ipv6_prefix,
            refused=site.metrics.counter(
                "agora_rate_limit_refused_total", "Requests refused for their rate.", {"rule": rule}
            ),
            full=site.metrics.counter(
                "agora_rate_limit_full_total",
                "Requests that met a full table of rates.",
                {"rule": rule, "then": config.on_full},
            ),
        )
        if config.headers == "none":
            self.unused = frozenset({"response"})
