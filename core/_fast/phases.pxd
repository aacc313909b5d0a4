from core._fast.exchange_state cimport ENDED, ExchangeState
from core._fast.message cimport Response

cdef enum Phase:
    REQUEST
    FORWARD
    RESPONSE

cdef class PhaseRunner(ExchangeState):
    cdef object begun                  # a coroutine that a method returned and that its task has not come to

    cdef int run(self, Phase phase, Py_ssize_t start) except -1
    cdef int run_accept(self, tuple methods) except -1
    cdef bytes chunk(self, str side, bytes piece, bint last)
    cdef int stop_waiting(self) except -1
    cdef int _take(self, object method, object result) except -1
    cdef int _wait(self, Phase phase, Py_ssize_t start, object begun) except -1
    cdef bint _resumed(self)

    # What the exchange does about it.
    cdef int after(self, Phase phase) except -1                     # the phase is over
    cdef int answer(self, Response response) except -1              # a method answered
    cdef int phase_failed(self, object method, object error) except -1
    cdef int flush_answer(self) except -1                           # the loop's turn is over

cdef tuple methods_of(ExchangeState state, Phase phase)
cdef tuple waits_of(ExchangeState state, Phase phase)
cdef str method_name(object method)
