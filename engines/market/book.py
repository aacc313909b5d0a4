"""The open orders of one market, all in one book of YES prices.

Buying NO at p is selling YES at 100 - p: so a buy of YES or a sell of NO is a bid, a sell of YES or a buy
of NO an ask. The compiled book (core/_fast/order_book) keeps prices and queues; here are the orders
themselves. An order that is being matched is known here but stands in no queue yet. Called by the market's
`evolve` and by matching.
"""

from collections.abc import Iterable, Iterator

import msgspec

from core._fast.order_book import OrderBook
from engines.market.money import INDEX, UNIT, Share, Side

BID, ASK = 0, 1
SIDES: dict[tuple[str, str], int] = {
    ("buy", "yes"): BID,
    ("sell", "no"): BID,
    ("sell", "yes"): ASK,
    ("buy", "no"): ASK,
}


class Order(msgspec.Struct, gc=False):
    """An open order."""

    id: str
    number: int
    user: str
    owner: int  # the number of the user's holding
    side: Side
    share: Share
    price: int  # of its share
    left: int  # shares not yet traded
    rest: int  # shares that are to stay in the book; until then it stands in no queue
    held: int = 0  # cents behind a buy

    @property
    def book_side(self) -> int:
        """Return BID or ASK."""
        return SIDES[self.side, self.share]

    @property
    def kind(self) -> int:
        """Return YES or NO as the index of its share."""
        return INDEX[self.share]


def yes_price(share: str, price: int) -> int:
    """Return the price of YES that a price of a share stands for (and the other way round)."""
    return price if share == "yes" else UNIT - price


class Book:
    """Be the book of one market."""

    __slots__ = ("_by_id", "_by_number", "_queues")

    def __init__(self, orders: Iterable[Order] = ()) -> None:
        self._by_id: dict[str, Order] = {}
        self._by_number: dict[int, Order] = {}
        self._queues = OrderBook()
        for order in orders:
            self.enter(order)
            if order.left <= order.rest:  # else it is being matched
                self.rest(order)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Order]:
        """Yield the open orders, oldest first."""
        return iter(self._by_id.values())

    def get(self, order: str) -> Order | None:
        """Return an open order by its id."""
        return self._by_id.get(order)

    def match(self, owner: int, side: int, price: int, size: int) -> list[tuple[Order, int, int]]:
        """Return the orders that one of that owner at that YES price would meet: order, YES price, size.

        Size 0: an own order, which would go. Nothing is changed.
        """
        fills = self._queues.match(owner, side, price, size)
        by_number = self._by_number
        return [(by_number[fills[i]], fills[i + 1], fills[i + 2]) for i in range(0, len(fills), 3)]

    def enter(self, order: Order) -> None:
        """Make an order known; it stands in no queue yet."""
        self._by_id[order.id] = order
        self._by_number[order.number] = order

    def rest(self, order: Order) -> None:
        """Put an order behind those of its price."""
        price = yes_price(order.share, order.price)
        self._queues.add(order.number, order.owner, order.book_side, price, order.left)

    def reduce(self, order: Order, size: int) -> None:
        """Take what was traded off an order in a queue."""
        order.left -= size
        if self._queues.reduce(order.number, size) == 0:
            self.forget(order)

    def remove(self, order: Order) -> None:
        """Take an order out, in a queue or not."""
        self._queues.cancel(order.number)
        self.forget(order)

    def forget(self, order: Order) -> None:
        """Let go of an order that is in no queue."""
        del self._by_id[order.id]
        del self._by_number[order.number]

    def best(self, side: int) -> int:
        """Return the best YES price of a side; 0: there is none."""
        return self._queues.best(side)

    def depth(self, side: int, count: int = 99) -> list[tuple[int, int, int]]:
        """Return YES price, shares and number of orders of the best prices, best first."""
        return self._queues.depth(side, count)

    def image(self) -> list[Order]:
        """Return the orders by age, which is their order within a price: a Book made of them is equal."""
        return sorted(self._by_id.values(), key=lambda order: order.number)
