"""Decide which upstream connection an exchange gets: the pool's policy, without a socket.

The rules it guards: never more connections than allowed, newest idle connection first, waiters in order,
and a constant cost for each call however many connections there are. Called by core/_fast/upstream.
"""

cdef enum:
    CONNECTING
    BUSY
    IDLE
    GONE


cdef class Slot:
    """Stand for one connection of the pool."""


cdef class Waiter:
    """Stand for one exchange that waits for a connection."""


cdef class Pool:
    """Hold the connections to one server.

    ``max_connections`` connections in all, ``max_idle`` of them idle for up to ``keep_alive`` ns each, and
    ``max_waiting`` exchanges in the queue.
    """

    def __init__(self, int max_connections, int max_idle, int max_waiting, int64_t keep_alive):
        self.max_connections = max_connections
        self.max_idle = max_idle
        self.max_waiting = max_waiting
        self.keep_alive = keep_alive

    cpdef Slot take(self, int64_t now):
        """Return the newest idle slot as busy, or None if there is none young enough."""
        cdef Slot slot = self._newest
        if slot is None or now - slot.idle_since >= self.keep_alive:
            return None
        self._unlink(slot)
        slot.state = BUSY
        slot.uses += 1
        return slot

    cpdef Slot reserve(self):
        """Return a slot for a connection to be opened, or None if all are open."""
        cdef Slot slot
        if self.connections >= self.max_connections:
            return None
        slot = Slot.__new__(Slot)
        slot.state = CONNECTING
        self.connections += 1
        self.connecting += 1
        return slot

    cpdef opened(self, Slot slot):
        """Note that a reserved slot's connection stands; it is busy."""
        if slot.state == CONNECTING:
            slot.state = BUSY
            slot.uses = 1
            self.connecting -= 1

    cpdef bint give(self, Slot slot, int64_t now):
        """Take back a slot after an exchange; False: it is dropped, and the caller closes it."""
        if slot.state == GONE:
            return False
        if self.idle >= self.max_idle:
            self.drop(slot)
            return False
        slot.state = IDLE
        slot.idle_since = now
        slot.previous = None
        slot.next = self._newest
        if self._newest is not None:
            self._newest.previous = slot
        else:
            self._oldest = slot
        self._newest = slot
        self.idle += 1
        return True

    cpdef drop(self, Slot slot):
        """Forget a slot whose connection is closed, whatever it was doing."""
        if slot.state == GONE:
            return
        if slot.state == IDLE:
            self._unlink(slot)
        elif slot.state == CONNECTING:
            self.connecting -= 1
        slot.state = GONE
        slot.connection = None
        self.connections -= 1

    cpdef Slot expired(self, int64_t now):
        """Return the oldest idle slot if it has been idle too long, else None; the caller drops it."""
        cdef Slot slot = self._oldest
        if slot is not None and now - slot.idle_since >= self.keep_alive:
            return slot
        return None

    cpdef Waiter enqueue(self, object owner):
        """Queue an exchange; None: the queue is full. Who waits for a connection being opened does not count."""
        cdef Waiter waiter
        if self.waiting - self.connecting >= self.max_waiting:
            return None
        waiter = Waiter.__new__(Waiter)
        waiter.owner = owner
        waiter.waiting = True
        waiter.previous = self._last
        if self._last is not None:
            self._last.next = waiter
        else:
            self._first = waiter
        self._last = waiter
        self.waiting += 1
        return waiter

    cpdef Waiter next_waiter(self):
        """Take the first waiter out of the queue, or None."""
        cdef Waiter waiter = self._first
        if waiter is not None:
            self.leave(waiter)
        return waiter

    cpdef leave(self, Waiter waiter):
        """Take a waiter out of the queue; harmless if it has left already."""
        if not waiter.waiting:
            return
        waiter.waiting = False
        if waiter.previous is not None:
            waiter.previous.next = waiter.next
        else:
            self._first = waiter.next
        if waiter.next is not None:
            waiter.next.previous = waiter.previous
        else:
            self._last = waiter.previous
        waiter.previous = waiter.next = None
        self.waiting -= 1

    cdef _unlink(self, Slot slot):
        if slot.previous is not None:
            slot.previous.next = slot.next
        else:
            self._newest = slot.next
        if slot.next is not None:
            slot.next.previous = slot.previous
        else:
            self._oldest = slot.previous
        slot.previous = slot.next = None
        self.idle -= 1
