from libc.stdint cimport int64_t

ctypedef int (*Fire)(object owner, int64_t now) except -1

cdef class Timer:
    cdef object owner          # who is told; SAFETY: a cycle with the owner, cut by cancel()
    cdef Fire fire
    cdef Timer previous, next
    cdef int64_t deadline      # monotonic ns; 0: not armed
    cdef int64_t filed         # the deadline under which it lies in the wheel; 0: not in it

cdef class Wheel:
    cdef object loop
    cdef object handle         # of the next tick, None while nothing is armed
    cdef object _tick
    cdef list slots            # of Timer: heads of rings
    cdef int64_t last          # the last tick done, in ticks
    cdef int armed

    cdef int arm(self, Timer timer, int64_t deadline) except -1
    cdef int cancel(self, Timer timer) except -1
    cdef int _unlink(self, Timer timer) except -1
    cdef int _link(self, Timer timer) except -1
    cdef int advance(self, int64_t now) except -1

cdef Timer new_timer(object owner, Fire fire)
