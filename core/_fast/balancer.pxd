from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef struct Member:
    int weight, priority
    int active                 # exchanges under way
    int failures               # in a row
    int ejections              # without a success between them
    int64_t ejected_until      # monotonic ns; 0: it is not
    int64_t since              # monotonic ns at which it came back; 0: it was always there
    int64_t measured           # monotonic ns of the last latency
    double latency             # ns, weighted towards the newest
    double turn                # when its next turn is, in the order of weighted
    bint healthy, draining

cdef class Balancer:
    cdef readonly int size
    cdef Member* members
    cdef int* open             # those that may be chosen
    cdef readonly int open_count
    cdef readonly bint panicking
    cdef int policy
    cdef int at                # round-robin: the last one taken
    cdef double now_turn       # weighted: the turn that it is
    cdef uint64_t random_state
    cdef double panic          # share of servers
    cdef int64_t slow_start    # ns
    cdef int64_t look_again    # monotonic ns at which `open` may be another; 0: only when something happens
    cdef int eject_after
    cdef int64_t eject_time    # ns
    cdef uint32_t* table       # Maglev's: hash -> member; NULL: the policy is another

    cdef int pick(self, int64_t now, uint64_t key, uint64_t avoid) noexcept nogil
    cdef void begun(self, int index) noexcept nogil
    cdef void ended(self, int index, int64_t now, bint failed, int64_t latency) noexcept nogil
    cdef void _refresh(self, int64_t now) noexcept nogil
    cdef int _choose(self, int64_t now, uint64_t key) noexcept nogil
    cdef double _weight(self, int index, int64_t now) noexcept nogil
    cdef int _of_two(self, int64_t now) noexcept nogil
    cdef double _cost(self, int index, int64_t now) noexcept nogil
    cdef int _least(self, int64_t now) noexcept nogil
    cdef int _weighted(self, int64_t now) noexcept nogil
    cdef int _hashed(self, uint64_t key) noexcept nogil
    cdef uint64_t _random(self) noexcept nogil
    cdef int _fill_table(self, list names) except -1
    cdef bint _is_open(self, int index) noexcept nogil

cdef uint64_t hash_of(const char* data, Py_ssize_t size) noexcept nogil
