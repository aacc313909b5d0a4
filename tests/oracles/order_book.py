"""Keep open orders in a list and sort it for every question: the oracle of core/_fast/order_book."""

from dataclasses import dataclass, field

BID, ASK = 0, 1
LIMIT, IMMEDIATE, WHOLE, RESTING = range(4)


@dataclass
class Open:
    order: int
    owner: int
    side: int
    price: int
    size: int


@dataclass
class SlowOrderBook:
    open: list[Open] = field(default_factory=list)  # oldest first

    def side(self, side: int) -> list[Open]:
        """Return one side in the order it matches; sorting keeps the older first."""
        orders = [it for it in self.open if it.side == side]
        return sorted(orders, key=lambda it: -it.price if side == BID else it.price)

    def find(self, order: int) -> Open | None:
        return next((it for it in self.open if it.order == order), None)

    def match(self, owner: int, side: int, price: int, size: int) -> list[int]:
        fills = []
        for it in self.side(1 - side):
            if size == 0 or (it.price > price if side == BID else it.price < price):
                break
            here = 0 if it.owner == owner else min(size, it.size)
            fills += [it.order, it.price, here]
            size -= here
        return fills

    def place(
        self, order: int, owner: int, side: int, price: int, size: int, kind: int = LIMIT
    ) -> list[int] | None:
        fills = self.match(owner, side, price, size)
        left = size - sum(fills[2::3])
        if (kind == WHOLE and left) or (kind == RESTING and fills):
            return None
        for maker, here in zip(fills[0::3], fills[2::3], strict=True):
            if here:
                self.reduce(maker, here)
            else:
                self.cancel(maker)
        if left and kind in (LIMIT, RESTING):
            self.add(order, owner, side, price, left)
        return fills

    def add(self, order: int, owner: int, side: int, price: int, size: int) -> None:
        self.open.append(Open(order, owner, side, price, size))

    def reduce(self, order: int, size: int) -> int:
        it = self.find(order)
        if it is None:
            raise KeyError(order)
        it.size -= size
        if it.size == 0:
            self.open.remove(it)
        return it.size

    def cancel(self, order: int) -> int:
        it = self.find(order)
        if it is None:
            return 0
        self.open.remove(it)
        return it.size

    def best(self, side: int) -> int:
        orders = self.side(side)
        return orders[0].price if orders else 0

    def depth(self, side: int) -> list[tuple[int, int, int]]:
        told: dict[int, tuple[int, int]] = {}
        for it in self.side(side):
            size, count = told.get(it.price, (0, 0))
            told[it.price] = size + it.size, count + 1
        return [(price, size, count) for price, (size, count) in told.items()]

    def orders(self) -> list[tuple[int, int, int, int, int]]:
        both = self.side(BID) + self.side(ASK)
        return [(it.order, it.owner, it.side, it.price, it.size) for it in both]
