"""What has happened so far: orders, trades, refusals, how long answers took. The simulation counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec


class Progress(msgspec.Struct, frozen=True):
    """How far the demonstration is; times of answers are in milliseconds."""

    stage: str
    seconds: float
    orders: int
    wanted: int
    rate: float  # orders a second, since the last look
    p50: float
    p99: float
    trades: int
    cancelled: int
    refused: dict[str, int]
    repeated: int
    markets: list[dict[str, Any]]


class Tally:
    """Count."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.begun = clock()
        self.stage = ""
        self.orders = 0
        self.wanted = 0
        self.trades = 0
        self.cancelled = 0
        self.repeated = 0
        self.refused: Counter[str] = Counter()
        self.latencies: list[float] = []  # seconds, of all orders and cancellations
        self._looked = (self.begun, 0, 0)  # when, orders, latencies
        self._span = (self.begun, self.begun)  # from the first order to the last

    def answered(self, seconds: float) -> None:
        """Count an order or a cancellation that was answered."""
        now = self._clock()
        self._span = (self._span[0] if self.orders else now - seconds, now)
        self.orders += 1
        self.latencies.append(seconds)

    def look(self, markets: list[dict[str, Any]], *, whole: bool = False) -> Progress:
        """Return how far it is: rate and times since the last look, or of the whole."""
        now = self._clock()
        since, orders, seen = self._looked
        until = now
        if whole:
            (since, until), orders, seen = self._span, 0, 0
        self._looked = (now, self.orders, len(self.latencies))
        times = sorted(self.latencies[seen:])
        return Progress(
            stage=self.stage,
            seconds=round(now - self.begun, 3),
            orders=self.orders,
            wanted=self.wanted,
            rate=round((self.orders - orders) / max(until - since, 1e-9), 1),
            p50=quantile(times, 0.5),
            p99=quantile(times, 0.99),
            trades=self.trades,
            cancelled=self.cancelled,
            refused=dict(self.refused.most_common()),
            repeated=self.repeated,
            markets=markets,
        )


def quantile(ordered: list[float], share: float) -> float:
    """Return a quantile of ordered seconds, in milliseconds; 0 of none."""
    return round(1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)], 2) if ordered else 0.0
