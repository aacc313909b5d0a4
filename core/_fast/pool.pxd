from libc.stdint cimport int64_t

cdef class Slot:
    cdef public object connection    # what the slot stands for; None while connecting
    cdef readonly int state          # SlotState
    cdef int64_t idle_since          # monotonic ns
    cdef readonly int uses           # exchanges begun on it
    cdef Slot previous, next         # neighbours among the idle, newer and older

cdef class Waiter:
    cdef public object owner
    cdef Waiter previous, next
    cdef readonly bint waiting

cdef class Pool:
    cdef readonly int max_connections, max_idle, max_waiting
    cdef readonly int64_t keep_alive     # ns a connection may lie idle
    cdef readonly int connections        # connecting, busy and idle
    cdef readonly int connecting
    cdef readonly int idle
    cdef readonly int waiting
    cdef Slot _newest, _oldest
    cdef Waiter _first, _last

    cpdef Slot take(self, int64_t now)
    cpdef Slot reserve(self)
    cpdef opened(self, Slot slot)
    cpdef bint give(self, Slot slot, int64_t now)
    cpdef drop(self, Slot slot)
    cpdef Slot expired(self, int64_t now)
    cpdef Waiter enqueue(self, object owner)
    cpdef Waiter next_waiter(self)
    cpdef leave(self, Waiter waiter)
    cdef _unlink(self, Slot slot)
