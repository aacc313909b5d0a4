# Hold the open orders of one book of integer prices. See order_book.pyx.
from libc.stdint cimport int32_t, int64_t, uint64_t

cdef enum:
    PRICES = 99    # prices are 1 to PRICES
    NOTHING = -1   # no slot

cpdef enum Side:
    BID = 0
    ASK = 1

cpdef enum Kind:
    LIMIT = 0       # what is not filled rests
    IMMEDIATE = 1   # what is not filled is dropped
    WHOLE = 2       # filled whole at once, or refused
    RESTING = 3     # rests whole, or is refused: it never takes

cdef struct Slot:        # one open order; in a free slot only `next` counts
    int64_t order        # its id
    int64_t owner
    int64_t size         # what is left of it, at least 1
    int32_t next         # the order behind it in the queue of its price, or the next free slot
    int32_t before
    int32_t price
    int32_t side

cdef struct Level:       # the queue of one price on one side
    int64_t size         # sum over its orders
    int32_t first
    int32_t last
    int32_t count

cdef struct Take:        # one step of a match: so much of that slot; 0: out of the book, it is the taker's own
    int64_t size
    int32_t slot

cdef struct Bits:        # bit p is set: price p has orders
    uint64_t low
    uint64_t high

cdef class OrderBook:
    cdef Slot* slots         # SAFETY: these three are owned here and live as long as this object
    cdef int32_t* table      # open addressing: the slot of an order's id, or NOTHING
    cdef Take* takes         # room for the steps of one match
    cdef int32_t capacity    # of slots; the table has twice as many cells
    cdef int32_t free        # first free slot
    cdef int32_t used
    cdef int32_t room        # of takes
    cdef Level[2][128] levels
    cdef Bits[2] prices

    # Steps written to `takes` for an order of that size; nothing is changed. At most what fills `size`.
    cdef int32_t walk(self, int64_t owner, int side, int price, int64_t size) except -1
    cdef int apply(self, int32_t steps) except -1
    cdef int rest(self, int64_t order, int64_t owner, int side, int price, int64_t size) except -1
