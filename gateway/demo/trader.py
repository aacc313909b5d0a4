"""A trader: what he believes, and the order that he places next.

Rule: his decisions follow from his seed, from what he sees of the markets and from what he was answered
alone; nothing here waits or asks the time. The simulation asks him, and tells him what became of it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

OrderKind = Literal["limit", "ioc", "fok", "post-only"]
Side = Literal["buy", "sell"]
Share = Literal["yes", "no"]

KINDS: tuple[tuple[OrderKind, int], ...] = (("limit", 62), ("ioc", 20), ("fok", 8), ("post-only", 10))
CANCELS = 0.15  # how often he cancels, when he has orders
SELLS = 0.3  # how often he sells, when he has shares
DOUBT = 12.0  # cents by which his belief is off the truth
MOOD = 3.0  # cents by which he wavers each time
LARGEST = 40  # shares of an order
UNIT = 100  # cents that a YES and a NO share are worth together


@dataclass
class MarketSeen:
    """A market, as all traders see it."""

    market: str
    question: str
    truth: float  # how probable YES is; the traders know it but roughly
    status: str = "open"
    price: int = 0  # of YES, cents; 0: none yet
    bid: int = 0
    ask: int = 0
    volume: int = 0  # shares
    trades: int = 0


@dataclass(frozen=True)
class Order:
    """An order that he wants to place."""

    id: str
    market: str
    user: str
    side: Side
    share: Share
    price: int  # cents of that share
    size: int
    kind: OrderKind


@dataclass(frozen=True)
class Cancel:
    """An order of his that he wants back."""

    id: str
    market: str
    user: str
    order: str


@dataclass
class Trader:
    """Be one trader."""

    user: str
    seed: str
    random: random.Random = field(init=False)
    beliefs: dict[str, float] = field(default_factory=dict)  # cents of YES
    waiting: dict[str, str] = field(default_factory=dict)  # order in the book, as far as he knows -> market
    shares: dict[tuple[str, Share], int] = field(default_factory=dict)
    steps: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - to be repeated, not to be secret

    def next(self, markets: Sequence[MarketSeen]) -> Order | Cancel:
        """Return what he does next in one of the open markets."""
        self.steps += 1
        name = f"{self.user}-{self.steps}"
        if self.waiting and self.random.random() < CANCELS:
            order, market = self.random.choice(list(self.waiting.items()))
            return Cancel(name, market, self.user, order)
        seen = self.random.choice(markets)
        worth = self._worth(seen)
        kind = self.random.choices([kind for kind, _ in KINDS], [weight for _, weight in KINDS])[0]
        size = self.random.randint(1, LARGEST)
        owned: list[Share] = [
            share for share in ("yes", "no") if self.shares.get((seen.market, share), 0) > 0
        ]
        if owned and self.random.random() < SELLS:
            share = self.random.choice(owned)
            price = cents((worth if share == "yes" else UNIT - worth) + self._margin(kind))
            return Order(
                name,
                seen.market,
                self.user,
                "sell",
                share,
                price,
                min(size, self.shares[seen.market, share]),
                kind,
            )
        known = seen.price or worth  # while nothing is traded, either side may be right
        share = "yes" if worth > known + self.random.gauss(0, 1) else "no"
        price = cents((worth if share == "yes" else UNIT - worth) - self._margin(kind))
        return Order(name, seen.market, self.user, "buy", share, price, size, kind)

    def placed(self, order: Order, filled: int, rest: int) -> None:
        """Take note of what became of an order: shares traded at once, and in the book.

        NOTE: shares that wait to be sold count as gone; nobody is told which of his orders others have met.
        """
        if rest:
            self.waiting[order.id] = order.market
        key = order.market, order.share
        self.shares[key] = self.shares.get(key, 0) + (filled if order.side == "buy" else -filled - rest)

    def cancelled(self, order: str) -> None:
        """Take note that an order is gone, or was gone already."""
        self.waiting.pop(order, None)

    def _worth(self, seen: MarketSeen) -> float:
        belief = self.beliefs.get(seen.market)
        if belief is None:
            belief = self.beliefs[seen.market] = UNIT * seen.truth + self.random.gauss(0, DOUBT)
        return belief + self.random.gauss(0, MOOD)

    def _margin(self, kind: OrderKind) -> float:
        """Return how much better than its worth the price has to be: who is in haste asks for nothing."""
        return self.random.uniform(2, 8) if kind == "post-only" else self.random.uniform(0, 3)


def cents(price: float) -> int:
    """Return a price that a share can have."""
    return min(max(round(price), 1), UNIT - 1)
