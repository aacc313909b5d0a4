"""Keep deadlines: thousands of timers at a constant cost each, one loop timer for all.

A hashed wheel. Moving a deadline later costs one store: the timer stays where it lies and is filed anew
when its old place comes up. Deadlines fire up to one tick late, never early.
"""

import logging

from core._fast.clock cimport monotonic_ns

cdef int64_t TICK = 20_000_000
cdef int SLOTS = 4096

TICK_NS = TICK
TURN_NS = TICK * SLOTS

log = logging.getLogger("agora.wheel")


cdef class Timer:
    """Stand for one deadline, and who is told when it has come."""


cdef Timer new_timer(object owner, Fire fire):
    cdef Timer timer = Timer.__new__(Timer)
    timer.owner = owner
    timer.fire = fire
    return timer


cdef class Wheel:
    """Hold the armed timers of one event loop.

    Without a loop nothing fires of its own accord: ``advance_to`` is the clock, which begins at ``now``
    (CLOCK_MONOTONIC in ns).
    """

    def __init__(self, loop, int64_t now=0):
        self.loop = loop
        self.slots = [None] * SLOTS
        self.last = (now or monotonic_ns()) // TICK
        self._tick = self.tick

    # -- for Python ----------------------------------------------------------------------------

    def call_at(self, int64_t deadline, callback not None):
        """Call ``callback(now)`` once ``deadline`` has come; times are CLOCK_MONOTONIC in ns, above 0.

        Return the timer, for ``move`` and ``cancel_call``.
        """
        cdef Timer timer = new_timer(callback, called)
        self.move(timer, deadline)
        return timer

    def move(self, Timer timer not None, int64_t deadline):
        """Give a timer of ``call_at`` another deadline, also after it has fired or was cancelled."""
        if deadline <= 0:
            raise ValueError(f"a deadline is a time above 0, not {deadline}")
        self.arm(timer, deadline)

    def cancel_call(self, Timer timer not None):
        """Never call; harmless for a timer that has fired or was cancelled."""
        self.cancel(timer)

    def advance_to(self, int64_t now):
        """Fire what is due at ``now``: what the loop does every tick."""
        self.advance(now)

    # -- for compiled code ---------------------------------------------------------------------

    cdef int arm(self, Timer timer, int64_t deadline) except -1:
        cdef int64_t now
        timer.deadline = deadline
        if timer.filed:
            if deadline >= timer.filed:
                return 0
            self._unlink(timer)
        if self.armed == 0:
            # NOTE: what ticks by hand keeps its own time, unless that has run ahead of the world's.
            now = monotonic_ns() // TICK
            if self.loop is not None or now < self.last:
                self.last = now
        self._link(timer)
        if self.handle is None and self.loop is not None:
            self.handle = self.loop.call_later(TICK / 1e9, self._tick)
        return 0

    cdef int cancel(self, Timer timer) except -1:
        timer.deadline = 0
        if timer.filed:
            self._unlink(timer)
        return 0

    cdef int _link(self, Timer timer) except -1:
        cdef Timer head
        cdef int64_t place
        # NOTE: a deadline already past lies in the next slot that comes up.
        timer.filed = max(timer.deadline, self.last * TICK)
        place = (timer.filed // TICK + 1) % SLOTS
        head = self.slots[place]
        timer.previous = None
        timer.next = head
        if head is not None:
            head.previous = timer
        self.slots[place] = timer
        self.armed += 1
        return 0

    cdef int _unlink(self, Timer timer) except -1:
        if timer.previous is not None:
            timer.previous.next = timer.next
        else:
            self.slots[(timer.filed // TICK + 1) % SLOTS] = timer.next
        if timer.next is not None:
            timer.next.previous = timer.previous
        timer.previous = timer.next = None
        timer.filed = 0
        self.armed -= 1
        return 0

    cdef int advance(self, int64_t now) except -1:
        """Fire what is due at ``now``."""
        cdef int64_t tick = now // TICK
        cdef int64_t current = self.last + 1
        cdef list due = None
        cdef Timer timer, after
        if tick - self.last > SLOTS:
            current = tick - SLOTS + 1
        while current <= tick:
            self.last = current
            timer = self.slots[current % SLOTS]
            while timer is not None:
                after = timer.next
                if timer.filed // TICK < current:
                    self._unlink(timer)
                    if timer.deadline > now:
                        self._link(timer)
                    elif due is None:
                        due = [timer]
                    else:
                        due.append(timer)
                timer = after
            current += 1
        if due is not None:
            for timer in due:
                # NOTE: an earlier one of these may have cancelled or moved it.
                if timer.deadline and not timer.filed:
                    timer.deadline = 0
                    try:
                        timer.fire(timer.owner, now)
                    except Exception:
                        # NOTE: the others due here are in no slot any more; they must have their turn.
                        log.exception("a timer's owner failed: %r", timer.owner)
        return 0

    def tick(self):
        """Run one tick of the loop's clock."""
        self.handle = None
        self.advance(monotonic_ns())
        if self.armed and self.handle is None:
            self.handle = self.loop.call_later(TICK / 1e9, self._tick)

    def close(self):
        """Stop ticking."""
        if self.handle is not None:
            self.handle.cancel()
            self.handle = None
        self.loop = None


cdef int called(object owner, int64_t now) except -1:
    owner(now)
    return 0
