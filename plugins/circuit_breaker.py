"""The circuit-breaker plugin: stop asking a target that fails."""

from __future__ import annotations

import math
import time
from typing import Annotated

from msgspec import Meta

from core.breaker import Breaker, BreakerRules, BreakerState
from core.errors import Problem
from core.exchange import Exchange, Response
from core.plugin import Plugin, PluginConfig
from core.site import Site
from core.table import Name
from core.units import Duration

OPEN = Problem(503, "circuit-open", "The target is failing", "upstream", True)
KEY = "circuit-breaker"


class CircuitBreaker(Plugin):
    """Refuse requests with 503 while their target fails, and let a few through to see if it is well again.

    A failure is an answer of 500 or more from the target, no answer, or a broken one; what plugins refuse
    and clients that go away say nothing about it. Each worker judges for itself. A route has a breaker of its
    own; routes with the same ``shared`` name have one together. A reload keeps it, if its options stay.
    """

    class Config(PluginConfig, frozen=True):
        """Options of circuit-breaker."""

        failures: Annotated[float, Meta(gt=0, le=1, description="share of failures that opens it")] = 0.5
        slow: Annotated[Duration, Meta(description="an answer that takes longer is slow; 0: none is")] = (
            Duration(0)
        )
        slow_share: Annotated[float, Meta(gt=0, le=1, description="share of slow answers that opens it")] = (
            1.0
        )
        window: Annotated[Duration, Meta(description="time over which shares are taken")] = Duration("10s")
        min_requests: Annotated[int, Meta(ge=1, description="requests in the window before it may open")] = 20
        open_time: Annotated[
            Duration, Meta(description="how long it refuses before it lets probes through")
        ] = Duration("5s")
        probes: Annotated[
            int, Meta(ge=1, description="requests let through at once then; so many good answers close it")
        ] = 3
        shared: Annotated[Name | None, Meta(description="name of a breaker that several routes share")] = None

    def __init__(self, config: Config, site: Site) -> None:
        rules = BreakerRules(
            window=float(config.window) or 10.0,
            least_calls=config.min_requests,
            failure_rate=config.failures,
            slow_rate=config.slow_share,
            open_time=float(config.open_time),
            probes=config.probes,
        )
        name = config.shared or site.route or "everywhere"
        self._breaker: Breaker = site.shared.setdefault((KEY, name, rules), Breaker(rules))
        self._slow = float(config.slow) or math.inf
        self._refused = site.metrics.counter(
            "agora_circuit_refused_total", "Requests refused by an open circuit.", {"breaker": name}
        )
        self._opened = site.metrics.counter(
            "agora_circuit_opened_total", "Times that a circuit opened.", {"breaker": name}
        )
        self._log = site.logger
        self._name = name

    def request(self, exchange: Exchange) -> Response | None:
        """Refuse while the circuit is open."""
        now = time.monotonic()
        ticket = self._breaker.admit(now)
        if ticket >= 0:
            exchange.state[self] = ticket
            return None
        self._refused.add()
        answer = Response.problem_of(OPEN)
        answer.headers.set(b"retry-after", str(max(1, math.ceil(self._breaker.retry_after(now)))).encode())
        return answer

    def log(self, exchange: Exchange) -> None:
        """Take note of how it went."""
        ticket = exchange.state.get(self)
        if ticket is None:
            return
        before = self._breaker.state
        elapsed = exchange.target_elapsed
        failed = exchange.status >= 500 and (elapsed is not None or exchange.problem in FAILURES)
        self._breaker.ended(
            ticket,
            time.monotonic(),
            failed=failed,
            slow=elapsed is not None and elapsed > self._slow,
            counts=failed or elapsed is not None,
        )
        after = self._breaker.state
        if after is not before:
            if after is BreakerState.OPEN:
                self._opened.add()
            self._log.warning("circuit %s is %s", self._name, after.value)


FAILURES = frozenset(
    {
        "upstream-unreachable",
        "upstream-connect-timeout",
        "upstream-closed",
        "upstream-broken",
        "upstream-malformed",
        "upstream-timeout",
        "upstream-unavailable",
        "exchange-timeout",
    }
)
