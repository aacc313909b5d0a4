"""A circuit breaker: stops asking who fails, and finds out carefully when that is over.

The rule it guards: it opens by rates over a sliding window with enough calls in it, never by one bad call; it
is never stuck: after its time it lets a few probes through, and a probe counts however it ends. Pure: times
are arguments, in seconds of one clock. Used by plugins/circuit_breaker.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

BUCKETS = 10  # parts of the window


class BreakerState(Enum):
    """Name what a breaker does."""

    CLOSED = "closed"  # lets everything through
    OPEN = "open"  # refuses everything
    HALF_OPEN = "half-open"  # lets probes through


@dataclass(frozen=True, kw_only=True)
class BreakerRules:
    """Say when a breaker opens and closes."""

    window: float  # seconds
    least_calls: int  # in the window; with fewer it stays closed
    failure_rate: float  # share of calls that opens it
    slow_rate: float  # share of slow calls that opens it
    open_time: float  # seconds that it stays open
    probes: int  # calls let through at once while half-open; so many good ones in a row close it


@dataclass
class _Bucket:
    number: int = -1
    calls: int = 0
    failures: int = 0
    slow: int = 0


@dataclass
class Breaker:
    """Count calls, and decide about the next."""

    rules: BreakerRules
    state: BreakerState = BreakerState.CLOSED
    opened_at: float = 0
    probing: int = 0  # probes under way
    good_probes: int = 0
    generation: int = 0  # goes up with each change of state: calls of an older one count no more
    _buckets: list[_Bucket] = field(default_factory=lambda: [_Bucket() for _ in range(BUCKETS)])

    def admit(self, now: float) -> int:
        """Return the ticket of a call that may be made, for `ended`; -1: it may not."""
        if self.state is BreakerState.OPEN and now - self.opened_at >= self.rules.open_time:
            self._change(BreakerState.HALF_OPEN)
        if self.state is BreakerState.CLOSED:
            return self.generation
        if self.state is BreakerState.HALF_OPEN and self.probing < self.rules.probes:
            self.probing += 1
            return self.generation
        return -1

    def ended(self, ticket: int, now: float, *, failed: bool, slow: bool, counts: bool = True) -> None:
        """Note how a call ended; counts: whether it says anything about who was called."""
        if ticket != self.generation:
            return
        if self.state is BreakerState.HALF_OPEN:
            self.probing -= 1
            if not counts:
                return
            if failed or slow:
                self._open(now)
                return
            self.good_probes += 1
            if self.good_probes >= self.rules.probes:
                self._change(BreakerState.CLOSED)
            return
        if counts:
            self._count(now, failed, slow)

    def retry_after(self, now: float) -> float:
        """Return the seconds until a call may be let through."""
        if self.state is not BreakerState.OPEN:
            return 0
        return max(0.0, self.rules.open_time - (now - self.opened_at))

    def _count(self, now: float, failed: bool, slow: bool) -> None:
        number = int(now * BUCKETS / self.rules.window)
        bucket = self._buckets[number % BUCKETS]
        if bucket.number != number:
            bucket.number, bucket.calls, bucket.failures, bucket.slow = number, 0, 0, 0
        bucket.calls += 1
        bucket.failures += failed
        bucket.slow += slow
        if not (failed or slow):
            return
        recent = [found for found in self._buckets if number - BUCKETS < found.number <= number]
        calls = sum(found.calls for found in recent)
        if calls < self.rules.least_calls:
            return
        failures, slows = sum(found.failures for found in recent), sum(found.slow for found in recent)
        if failures >= self.rules.failure_rate * calls or slows >= self.rules.slow_rate * calls:
            self._open(now)

    def _open(self, now: float) -> None:
        self.opened_at = now
        self._change(BreakerState.OPEN)

    def _change(self, state: BreakerState) -> None:
        self.state = state
        self.generation += 1
        self.probing = self.good_probes = 0
        self._buckets = [_Bucket() for _ in range(BUCKETS)]
