"""The retry plugin: another try where a server of the upstream failed."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from core._fast.retry import RetryPolicy
from core.exchange import Exchange
from core.plugin import Plugin, PluginConfig
from core.site import Site
from core.units import Duration

SLUGS = {
    "connect": ("upstream-unreachable", "upstream-connect-timeout"),
    "closed": ("upstream-closed", "upstream-broken"),
    "timeout": ("upstream-timeout",),
    "malformed": ("upstream-malformed",),
}
Status = Annotated[int, Meta(ge=400, le=599)]


class Retry(Plugin):
    """Let a failed request go to another server, where that is safe.

    Safe is what no byte was sent of, and GET, HEAD, OPTIONS, PUT and DELETE whose body is small (64 KiB).
    Nothing is tried again once the client was sent a part of an answer. A budget for each upstream keeps
    further tries from making an overload worse.
    """

    class Config(PluginConfig, frozen=True):
        """Options of retry."""

        attempts: Annotated[int, Meta(ge=2, le=10, description="tries in all")] = 3
        on: Annotated[
            tuple[Literal["connect", "closed", "timeout", "malformed"], ...],
            Meta(description="failures after which there is another try"),
        ] = ("connect", "closed", "timeout")
        statuses: Annotated[
            tuple[Status, ...], Meta(description="answers after which there is; the last one is passed on")
        ] = (502, 503, 504)
        try_timeout: Annotated[
            Duration, Meta(description="longest wait for the answer to one try; 0: the upstream's")
        ] = Duration(0)
        backoff: Annotated[
            Duration, Meta(description="bound of the first pause, which is random; it doubles with each try")
        ] = Duration("25ms")
        max_backoff: Annotated[Duration, Meta(description="bound of the longest pause")] = Duration("1s")
        max_retry_after: Annotated[
            Duration,
            Meta(description="honour a Retry-After up to this; with a longer one there is no other try"),
        ] = Duration("1s")
        budget: Annotated[
            float,
            Meta(ge=0, le=1, description="further tries at once, as a share of the upstream's exchanges"),
        ] = 0.2
        min_budget: Annotated[
            int, Meta(ge=0, description="so many further tries at once are always allowed")
        ] = 3

    def __init__(self, config: Config, site: Site) -> None:
        self.policy = RetryPolicy(
            config.attempts,
            [slug for failure in config.on for slug in SLUGS[failure]],
            config.statuses,
            backoff=int(config.backoff * 1e9),
            most_backoff=int(config.max_backoff * 1e9),
            most_wait=int(config.max_retry_after * 1e9),
            budget=config.budget,
            least_budget=config.min_budget,
        )
        self.try_timeout = float(config.try_timeout)
        self.retried = site.metrics.counter(
            "agora_retries_total", "Further tries of requests.", {"route": site.route or "everywhere"}
        )

    def request(self, exchange: Exchange) -> None:
        """Allow further tries."""
        exchange.retry = self.policy
        if self.try_timeout:
            exchange.first_byte_timeout = self.try_timeout

    def log(self, exchange: Exchange) -> None:
        """Count them."""
        if exchange.retries:
            self.retried.add(exchange.retries)
