"""Hold core/_fast/order_book to its rules and to its oracle."""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core._fast.order_book import Kind, OrderBook, Side
from tests.oracles.order_book import SlowOrderBook

BID, ASK = Side.BID, Side.ASK


def a_book(*orders: tuple[int, int, int, int]) -> OrderBook:
    """Return a book of (id, side, price, size); each order has its own owner."""
    book = OrderBook()
    for order, side, price, size in orders:
        book.add(order, order, side, price, size)
    return book


def test_meets_the_best_price_first_and_at_one_price_the_oldest() -> None:
    book = a_book((1, ASK, 60, 5), (2, ASK, 55, 5), (3, ASK, 55, 5))
    assert book.place(9, 9, BID, 60, 12) == [2, 55, 5, 3, 55, 5, 1, 60, 2]
    assert book.orders() == [(1, 1, ASK, 60, 3)]


def test_rests_what_is_left_of_a_limit_order() -> None:
    book = a_book((1, ASK, 40, 5))
    assert book.place(2, 2, BID, 41, 8) == [1, 40, 5]
    assert book.orders() == [(2, 2, BID, 41, 3)]
    assert (book.best(BID), book.best(ASK)) == (41, 0)


def test_drops_what_is_left_of_an_immediate_order() -> None:
    book = a_book((1, BID, 40, 5))
    assert book.place(2, 2, ASK, 40, 8, Kind.IMMEDIATE) == [1, 40, 5]
    assert len(book) == 0


def test_refuses_a_whole_order_that_cannot_be_filled_and_changes_nothing() -> None:
    book = a_book((1, BID, 40, 5))
    before = book.orders()
    assert book.place(2, 2, ASK, 40, 6, Kind.WHOLE) is None
    assert book.orders() == before
    assert book.place(2, 2, ASK, 40, 5, Kind.WHOLE) == [1, 40, 5]


def test_refuses_a_resting_order_that_would_take_and_changes_nothing() -> None:
    book = a_book((1, BID, 40, 5))
    assert book.place(2, 2, ASK, 40, 1, Kind.RESTING) is None
    assert book.place(2, 2, ASK, 41, 1, Kind.RESTING) == []
    assert book.orders() == [(1, 1, BID, 40, 5), (2, 2, ASK, 41, 1)]


def test_takes_an_owner_s_resting_order_out_instead_of_filling_it() -> None:
    book = OrderBook()
    book.add(1, 7, ASK, 40, 5)
    book.add(2, 8, ASK, 40, 5)
    assert book.place(3, 7, BID, 40, 4) == [1, 40, 0, 2, 40, 4]
    assert book.orders() == [(2, 8, ASK, 40, 1)]


def test_counts_no_order_of_the_owner_when_it_asks_for_the_whole() -> None:
    book = OrderBook()
    book.add(1, 7, ASK, 40, 5)
    assert book.place(3, 7, BID, 40, 5, Kind.WHOLE) is None
    assert 1 in book


def test_matching_to_look_changes_nothing() -> None:
    book = a_book((1, BID, 40, 5), (2, BID, 1, 5))
    before = book.orders()
    assert book.match(9, ASK, 1, 7) == [1, 40, 5, 2, 1, 2]
    assert book.orders() == before


def test_keeps_the_place_of_an_order_that_is_reduced() -> None:
    book = a_book((1, BID, 40, 5), (2, BID, 40, 5))
    assert book.reduce(1, 4) == 1
    assert book.place(9, 9, ASK, 40, 2) == [1, 40, 1, 2, 40, 1]
    assert book.reduce(2, 4) == 0
    assert 2 not in book


@pytest.mark.parametrize("price", [1, 2, 62, 63, 64, 65, 98, 99])
def test_finds_the_best_price_on_both_sides_of_a_machine_word(price: int) -> None:
    book = a_book((1, BID, price, 5))
    assert book.best(BID) == price
    book = a_book((1, ASK, price, 5))
    assert book.best(ASK) == price


def test_walks_every_price() -> None:
    book = a_book(*((price, ASK, price, 1) for price in range(1, 100)))
    assert [price for price, _, _ in book.depth(ASK)] == list(range(1, 100))
    assert book.place(1000, 1000, BID, 99, 99) == [x for price in range(1, 100) for x in (price, price, 1)]
    book = a_book(*((price, BID, price, 1) for price in range(1, 100)))
    assert [price for price, _, _ in book.depth(BID, 3)] == [99, 98, 97]
    assert [price for price, _, _ in book.depth(BID)] == list(range(99, 0, -1))


def test_grows_and_finds_every_order_whatever_its_id_is() -> None:
    book, rng = OrderBook(), random.Random(5)
    ids = [rng.randrange(-(2**63), 2**63) for _ in range(5000)] + list(range(5000))
    for order in ids:
        book.add(order, 1, BID, 1 + order % 99, 1 + order % 7)
    rng.shuffle(ids)
    for order in ids[:7000]:
        assert book.cancel(order) == 1 + order % 7
        assert book.cancel(order) == 0
    assert len(book) == 3000
    assert all(book.size_of(order) == 1 + order % 7 for order in ids[7000:])


@pytest.mark.parametrize(
    ("side", "price", "size", "told"),
    [
        (2, 50, 1, "side 2 is neither 0"),
        (BID, 0, 1, "price 0 is out of range: 1 to 99"),
        (BID, 100, 1, "price 100 is out of range: 1 to 99"),
        (ASK, 50, 0, "size 0 is out of range: 1 to 1000000000"),
        (ASK, 50, 10**9 + 1, "size 1000000001 is out of range"),
    ],
)
def test_refuses_numbers_out_of_range(side: int, price: int, size: int, told: str) -> None:
    book = OrderBook()
    for call in (book.place, book.add):
        with pytest.raises(ValueError, match=told):
            call(1, 1, side, price, size)
    with pytest.raises(ValueError, match=told):
        book.match(1, side, price, size)
    assert len(book) == 0


def test_refuses_an_id_twice_and_to_reduce_what_is_not_there() -> None:
    book = a_book((1, BID, 40, 5))
    with pytest.raises(ValueError, match="order 1 is in the book already"):
        book.place(1, 2, BID, 41, 5)
    with pytest.raises(KeyError):
        book.reduce(2, 1)
    with pytest.raises(ValueError, match="order 1 has 1 to 5"):
        book.reduce(1, 6)


sides = st.sampled_from([BID, ASK])
prices = st.one_of(st.integers(48, 52), st.integers(1, 99))
sizes = st.integers(1, 12)
owners = st.integers(1, 3)


class BothBooks(RuleBasedStateMachine):
    """Do the same to the compiled book and to the oracle."""

    def __init__(self) -> None:
        super().__init__()
        self.book, self.slow, self.next = OrderBook(), SlowOrderBook(), 0

    @rule(owner=owners, side=sides, price=prices, size=sizes, kind=st.sampled_from(Kind))
    def place(self, owner: int, side: int, price: int, size: int, kind: int) -> None:
        self.next += 1
        looked = self.book.match(owner, side, price, size)
        fills = self.book.place(self.next, owner, side, price, size, kind)
        assert fills == self.slow.place(self.next, owner, side, price, size, kind)
        assert fills is None or fills == looked

    @rule(back=st.integers(0, 20))
    def cancel(self, back: int) -> None:
        assert self.book.cancel(self.next - back) == self.slow.cancel(self.next - back)

    @rule(back=st.integers(0, 20), size=sizes)
    def reduce(self, back: int, size: int) -> None:
        order = self.next - back
        if size <= self.book.size_of(order):
            assert self.book.reduce(order, size) == self.slow.reduce(order, size)

    @rule()
    def copy(self) -> None:
        again = OrderBook()
        for order in self.book.orders():
            again.add(*order)
        assert again.orders() == self.book.orders()
        self.book = again

    @invariant()
    def both_say_the_same(self) -> None:
        assert self.book.orders() == self.slow.orders()
        assert len(self.book) == len(self.slow.open)
        for side in (BID, ASK):
            assert self.book.depth(side) == self.slow.depth(side)
            assert self.book.best(side) == self.slow.best(side)

    @invariant()
    def never_crosses(self) -> None:
        bid, ask = self.book.best(BID), self.book.best(ASK)
        assert not (bid and ask) or bid < ask


BothBooks.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestBothBooks = BothBooks.TestCase
