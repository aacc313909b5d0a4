"""Rate limits, slow and obvious: a bucket of tokens in exact fractions, and every window on its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

SECOND = 1_000_000_000


@dataclass
class Bucket:
    """Hold the tokens of one key in one window: full at first, one more every ``interval`` ns."""

    limit: int
    interval: Fraction
    tokens: Fraction = field(init=False)
    then: int = 0

    def __post_init__(self) -> None:
        self.tokens = Fraction(self.limit)

    def at(self, now: int) -> Fraction:
        """Return how many tokens there are."""
        return min(Fraction(self.limit), self.tokens + (now - self.then) / self.interval)

    def take(self, now: int) -> None:
        """Remove a token."""
        self.tokens, self.then = self.at(now) - 1, now

    def remaining(self, now: int) -> int:
        """Return how many requests would be admitted now."""
        return math.floor(self.at(now))

    def reset(self, now: int) -> int:
        """Return the seconds until it is full, rounded up."""
        return math.ceil((self.limit - self.at(now)) * self.interval / SECOND)

    def retry_after(self, now: int) -> int:
        """Return the seconds until a token is there, rounded up."""
        return math.ceil(max(Fraction(0), 1 - self.at(now)) * self.interval / SECOND)


class Limits:
    """Hold the buckets of all keys for some windows, each (limit, seconds)."""

    def __init__(self, windows: list[tuple[int, int]], *, rounded: bool) -> None:
        """Take intervals between requests exactly, or rounded up to whole nanoseconds."""
        self.windows = windows
        self.rounded = rounded
        self.buckets: dict[bytes, list[Bucket]] = {}

    def of(self, key: bytes) -> list[Bucket]:
        """Return the key's buckets, one for each window."""
        if key not in self.buckets:
            exact = [(limit, Fraction(seconds * SECOND, limit)) for limit, seconds in self.windows]
            self.buckets[key] = [
                Bucket(limit, Fraction(math.ceil(interval)) if self.rounded else interval)
                for limit, interval in exact
            ]
        return self.buckets[key]

    def check(self, key: bytes, now: int) -> bool:
        """Admit a request if all windows do; then take a token of each."""
        buckets = self.of(key)
        admitted = all(bucket.at(now) >= 1 for bucket in buckets)
        if admitted:
            for bucket in buckets:
                bucket.take(now)
        return admitted
