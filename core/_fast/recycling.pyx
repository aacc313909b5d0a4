"""Keep ended exchanges for new requests.

The rule it guards: an exchange that somebody still holds, or a part of which, is never used again. Called by
the doors.
"""

from cpython.object cimport PyObject

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* o)

cdef enum:
    IDLE_EXCHANGES = 256

# Exchanges lie here between uses, each holding the next.
# PERF: an exchange has six objects and two arrays; making them anew costs about 1 us (bench: fixed answer).
cdef Exchange idle = None
cdef int idle_count = 0


cdef Exchange new_exchange():
    global idle, idle_count
    cdef Exchange exchange = idle
    if exchange is None:
        return Exchange.__new__(Exchange)
    idle = <Exchange>exchange.following
    idle_count -= 1
    exchange.following = None
    return exchange


cdef int recycle(Exchange exchange) except -1:
    """Take an ended exchange back, unless somebody still holds a part of it."""
    global idle, idle_count
    # NOTE: its parts are held once, by the exchange; the exchange twice, by its timer and the caller's variable.
    if (
        idle_count >= IDLE_EXCHANGES
        or Py_REFCNT(<PyObject*>exchange) > 2
        or Py_REFCNT(<PyObject*>exchange.request) > 1
        or Py_REFCNT(<PyObject*>exchange.request.headers) > 1
        or Py_REFCNT(<PyObject*>exchange._response) > 1
        or Py_REFCNT(<PyObject*>exchange._response.headers) > 1
    ):
        exchange.timer.owner = None
        return 0
    exchange.down = None
    if exchange.handler is not None or exchange.errand is not None:
        exchange.handler = exchange.errand = None
    exchange.reset()
    exchange.following = idle
    idle = exchange
    idle_count += 1
    return 0
