"""Hold the open orders of one book of integer prices and match new ones: price first, then time.

Prices are 1 to 99, sizes and ids are integers. Each price of each side has a queue of slots, linked in both
directions; a bit for each price finds the best one at once; a table finds the slot of an id. Placing, reducing
and cancelling cost the same however many orders there are; matching costs one step for each order it meets.

The rules: the best price is met first, at one price the oldest order; a match is made at the price of the
order that was there; an owner's orders never meet: the one that was there goes out of the book (a fill of size
0). The two sides never cross, but for what `add` is asked to add. Called by engines/market/book.py.

Fills come as one flat list: id, price and size of each order met, in turn.
"""

from cython cimport final

from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free, malloc, realloc

cdef extern from *:
    int __builtin_ctzll(unsigned long long word) noexcept nogil
    int __builtin_clzll(unsigned long long word) noexcept nogil

cdef enum:
    FIRST_CAPACITY = 64
    MOST_ORDERS = 1 << 29

cdef int64_t MOST_SIZE = 1_000_000_000  # NOTE: so that the sum over a whole book fits an int64


cdef inline uint64_t _spread(int64_t order) noexcept nogil:
    """Return a hash of an id: ids that follow each other must not make runs in the table."""
    cdef uint64_t key = <uint64_t>order * <uint64_t>0x9E3779B97F4A7C15
    return key ^ (key >> 32)


cdef inline int _lowest(const Bits* bits) noexcept nogil:
    if bits.low != 0:
        return __builtin_ctzll(bits.low)
    return 64 + __builtin_ctzll(bits.high) if bits.high != 0 else 0


cdef inline int _highest(const Bits* bits) noexcept nogil:
    if bits.high != 0:
        return 127 - __builtin_clzll(bits.high)
    return 63 - __builtin_clzll(bits.low) if bits.low != 0 else 0


cdef inline int _lowest_above(const Bits* bits, int price) noexcept nogil:
    """Return the next price above; 0: none."""
    cdef Bits rest
    rest.low = bits.low & ~(((<uint64_t>2) << price) - 1) if price < 63 else 0
    rest.high = bits.high & ~(((<uint64_t>2) << (price - 64)) - 1) if price >= 64 else bits.high
    return _lowest(&rest)


cdef inline int _highest_below(const Bits* bits, int price) noexcept nogil:
    """Return the next price below; 0: none."""
    cdef Bits rest
    rest.low = bits.low & (((<uint64_t>1) << price) - 1) if price < 64 else bits.low
    rest.high = bits.high & (((<uint64_t>1) << (price - 64)) - 1) if price >= 64 else 0
    return _highest(&rest)


cdef int _check(int side, int price, int64_t size) except -1:
    if side != BID and side != ASK:
        raise ValueError(f"side {side} is neither 0 (bid) nor 1 (ask)")
    if not 1 <= price <= PRICES:
        raise ValueError(f"price {price} is out of range: 1 to {PRICES}")
    if not 1 <= size <= MOST_SIZE:
        raise ValueError(f"size {size} is out of range: 1 to {MOST_SIZE}")
    return 0


@final
cdef class OrderBook:
    """Be one book, empty at first."""

    def __cinit__(self):
        cdef int side, price
        self.free = NOTHING
        for side in range(2):
            for price in range(128):
                self.levels[side][price].first = NOTHING
                self.levels[side][price].last = NOTHING
        _grow(self, FIRST_CAPACITY)
        _more_takes(self)

    def __dealloc__(self):
        free(self.slots)
        free(self.table)
        free(self.takes)

    def __len__(self):
        return self.used

    def __contains__(self, int64_t order):
        return _find(self, order) != NOTHING

    def match(self, int64_t owner, int side, int price, int64_t size):
        """Return the fills that an order would get now; nothing is changed."""
        _check(side, price, size)
        return _told(self, self.walk(owner, side, price, size))

    def place(self, int64_t order, int64_t owner, int side, int price, int64_t size, int kind=LIMIT):
        """Match a new order, keep what rests of it, return its fills; None: its Kind refuses, nothing changed.

        Raise ValueError for an id that is in the book, or a side, price or size out of range.
        """
        _check(side, price, size)
        if _find(self, order) != NOTHING:
            raise ValueError(f"order {order} is in the book already")
        cdef int64_t left = size
        cdef int32_t i, steps = self.walk(owner, side, price, size)
        for i in range(steps):
            left -= self.takes[i].size
        if (kind == WHOLE and left > 0) or (kind == RESTING and steps > 0):
            return None
        if kind != LIMIT and kind != RESTING:
            left = 0
        if left > 0 and self.free == NOTHING:
            _grow(self, self.capacity * 2)  # NOTE: before anything is changed, since it may find no memory
        fills = _told(self, steps)
        self.apply(steps)
        if left > 0:
            self.rest(order, owner, side, price, left)
        return fills

    def add(self, int64_t order, int64_t owner, int side, int price, int64_t size):
        """Put an order behind those of its price without matching; raise ValueError as `place` does."""
        _check(side, price, size)
        if _find(self, order) != NOTHING:
            raise ValueError(f"order {order} is in the book already")
        self.rest(order, owner, side, price, size)

    def reduce(self, int64_t order, int64_t size):
        """Take `size` off an order, which keeps its place; return what is left, 0: it is out of the book.

        Raise KeyError for an id that is not there, ValueError for more than there is.
        """
        cdef int32_t slot = _find(self, order)
        if slot == NOTHING:
            raise KeyError(order)
        cdef int64_t left = self.slots[slot].size - size
        if size < 1 or left < 0:
            raise ValueError(f"size {size} is out of range: order {order} has 1 to {self.slots[slot].size}")
        _take_off(self, slot, size)
        return left

    def cancel(self, int64_t order):
        """Take an order out of the book; return what was left of it, 0: it is not there."""
        cdef int32_t slot = _find(self, order)
        if slot == NOTHING:
            return 0
        cdef int64_t left = self.slots[slot].size
        _take_out(self, slot)
        return left

    def best(self, int side):
        """Return the highest bid or the lowest ask; 0: there is none."""
        return _highest(&self.prices[<int>BID]) if side == BID else _lowest(&self.prices[<int>ASK])

    def size_of(self, int64_t order):
        """Return what is left of an order; 0: it is not there."""
        cdef int32_t slot = _find(self, order)
        return self.slots[slot].size if slot != NOTHING else 0

    def depth(self, int side, int count=PRICES):
        """Return price, size and number of orders of the best prices, best first."""
        if side != BID and side != ASK:
            raise ValueError(f"side {side} is neither 0 (bid) nor 1 (ask)")
        cdef Level* level
        cdef int price = _highest(&self.prices[<int>BID]) if side == BID else _lowest(&self.prices[<int>ASK])
        told = []
        while price != 0 and len(told) < count:
            level = &self.levels[side][price]
            told.append((price, level.size, level.count))
            price = _next(self, side, price)
        return told

    def orders(self):
        """Return (id, owner, side, price, size) of every order: bids, then asks, in the order they match.

        Adding them to an empty book in this order makes an equal book.
        """
        cdef int side, price
        cdef int32_t slot
        cdef Slot* it
        told = []
        for side in range(2):
            price = _highest(&self.prices[<int>BID]) if side == BID else _lowest(&self.prices[<int>ASK])
            while price != 0:
                slot = self.levels[side][price].first
                while slot != NOTHING:
                    it = &self.slots[slot]
                    told.append((it.order, it.owner, it.side, it.price, it.size))
                    slot = it.next
                price = _next(self, side, price)
        return told

    cdef int32_t walk(self, int64_t owner, int side, int price, int64_t size) except -1:
        cdef int other = 1 - side
        cdef int at = _lowest(&self.prices[<int>ASK]) if side == BID else _highest(&self.prices[<int>BID])
        cdef int32_t slot, steps = 0
        cdef int64_t here
        while at != 0 and size > 0 and (at <= price if side == BID else at >= price):
            slot = self.levels[other][at].first
            while slot != NOTHING and size > 0:
                if steps == self.room:
                    _more_takes(self)
                here = 0 if self.slots[slot].owner == owner else self.slots[slot].size
                if here > size:
                    here = size
                self.takes[steps].slot = slot
                self.takes[steps].size = here
                steps += 1
                size -= here
                slot = self.slots[slot].next
            at = _next(self, other, at)
        return steps

    cdef int apply(self, int32_t steps) except -1:
        cdef int32_t i
        for i in range(steps):
            if self.takes[i].size == 0:
                _take_out(self, self.takes[i].slot)
            else:
                _take_off(self, self.takes[i].slot, self.takes[i].size)
        return 0

    cdef int rest(self, int64_t order, int64_t owner, int side, int price, int64_t size) except -1:
        if self.free == NOTHING:
            _grow(self, self.capacity * 2)
        cdef int32_t slot = self.free
        cdef Slot* it = &self.slots[slot]
        cdef Level* level = &self.levels[side][price]
        self.free = it.next
        self.used += 1
        it.order, it.owner, it.size, it.price, it.side = order, owner, size, price, side
        it.next, it.before = NOTHING, level.last
        if level.last == NOTHING:
            level.first = slot
            _mark(&self.prices[side], price)
        else:
            self.slots[level.last].next = slot
        level.last = slot
        level.count += 1
        level.size += size
        _enter(self, slot)
        return 0


cdef inline int _next(OrderBook book, int side, int price) noexcept:
    """Return the price that is met after this one; 0: none."""
    if side == BID:
        return _highest_below(&book.prices[<int>BID], price)
    return _lowest_above(&book.prices[<int>ASK], price)


cdef inline void _mark(Bits* bits, int price) noexcept nogil:
    if price < 64:
        bits.low |= <uint64_t>1 << price
    else:
        bits.high |= <uint64_t>1 << (price - 64)


cdef inline void _unmark(Bits* bits, int price) noexcept nogil:
    if price < 64:
        bits.low &= ~(<uint64_t>1 << price)
    else:
        bits.high &= ~(<uint64_t>1 << (price - 64))


cdef inline void _take_off(OrderBook book, int32_t slot, int64_t size) noexcept:
    """Make an order smaller; out with it when nothing is left."""
    cdef Slot* it = &book.slots[slot]
    if size >= it.size:
        _take_out(book, slot)
        return
    it.size -= size
    book.levels[it.side][it.price].size -= size


cdef void _take_out(OrderBook book, int32_t slot) noexcept:
    cdef Slot* it = &book.slots[slot]
    cdef Level* level = &book.levels[it.side][it.price]
    _leave(book, slot)
    if it.before == NOTHING:
        level.first = it.next
    else:
        book.slots[it.before].next = it.next
    if it.next == NOTHING:
        level.last = it.before
    else:
        book.slots[it.next].before = it.before
    level.count -= 1
    level.size -= it.size
    if level.first == NOTHING:
        _unmark(&book.prices[it.side], it.price)
    it.next = book.free
    book.free = slot
    book.used -= 1


cdef list _told(OrderBook book, int32_t steps):
    """Return the steps of a match as the flat list of fills."""
    cdef int32_t i
    cdef Slot* it
    fills = []
    for i in range(steps):
        it = &book.slots[book.takes[i].slot]
        fills.append(it.order)
        fills.append(it.price)
        fills.append(book.takes[i].size)
    return fills


# The table of ids: cells after the hashed one, in turn; at most half of them are used.

cdef inline int32_t _find(OrderBook book, int64_t order) noexcept:
    cdef uint64_t mask = <uint64_t>book.capacity * 2 - 1
    cdef uint64_t cell = _spread(order) & mask
    cdef int32_t slot = book.table[cell]
    while slot != NOTHING and book.slots[slot].order != order:
        cell = (cell + 1) & mask
        slot = book.table[cell]
    return slot


cdef inline void _enter(OrderBook book, int32_t slot) noexcept:
    cdef uint64_t mask = <uint64_t>book.capacity * 2 - 1
    cdef uint64_t cell = _spread(book.slots[slot].order) & mask
    while book.table[cell] != NOTHING:
        cell = (cell + 1) & mask
    book.table[cell] = slot


cdef void _leave(OrderBook book, int32_t slot) noexcept:
    """Empty an id's cell and move up those behind it that would no longer be found."""
    cdef uint64_t mask = <uint64_t>book.capacity * 2 - 1
    cdef uint64_t hole = _spread(book.slots[slot].order) & mask
    cdef uint64_t cell, home
    while book.table[hole] != slot:
        hole = (hole + 1) & mask
    cell = hole
    while True:
        cell = (cell + 1) & mask
        if book.table[cell] == NOTHING:
            break
        home = _spread(book.slots[book.table[cell]].order) & mask
        if ((cell - home) & mask) >= ((cell - hole) & mask):
            book.table[hole] = book.table[cell]
            hole = cell
    book.table[hole] = NOTHING


cdef int _grow(OrderBook book, int32_t capacity) except -1:
    """Make room for so many orders, a power of two; those that are open keep their slots."""
    if capacity > MOST_ORDERS:
        raise MemoryError(f"a book holds at most {MOST_ORDERS} orders")
    cdef int32_t slot, before = book.capacity
    cdef int32_t* table = <int32_t*>malloc(<size_t>capacity * 2 * sizeof(int32_t))
    if table == NULL:
        raise MemoryError()
    cdef Slot* slots = <Slot*>realloc(book.slots, <size_t>capacity * sizeof(Slot))
    if slots == NULL:
        free(table)
        raise MemoryError()
    free(book.table)
    book.slots, book.table, book.capacity = slots, table, capacity
    for slot in range(capacity * 2):
        table[slot] = NOTHING
    # NOTE: it grows only when no slot is free, so that every slot before is an open order's.
    for slot in range(before):
        _enter(book, slot)
    for slot in range(capacity - 1, before - 1, -1):
        slots[slot].next = book.free
        book.free = slot
    return 0


cdef int _more_takes(OrderBook book) except -1:
    cdef int32_t room = book.room * 2 if book.room else FIRST_CAPACITY
    cdef Take* takes = <Take*>realloc(book.takes, <size_t>room * sizeof(Take))
    if takes == NULL:
        raise MemoryError()
    book.takes, book.room = takes, room
    return 0
