"""Keep ended exchanges for new requests.

The rule it guards: an exchange that somebody still holds, or a part of which, is never used again. Called by
the doors.
"""

from cpython.object cimport PyObject

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* o)

cdef enum:
    IDLE_EXCHANGES = 256

# Exchanges lie here between uses.
# PERF: an exchange has six objects and two arrays; making them anew costs about 1 us (bench: fixed answer).
cdef list idle_exchanges = []


cdef Exchange new_exchange():
    if idle_exchanges:
        return idle_exchanges.pop()
    return Exchange.__new__(Exchange)


cdef int recycle(Exchange exchange) except -1:
    """Take an ended exchange back, unless somebody still holds a part of it."""
    # NOTE: its parts are held once, by the exchange; the exchange twice, by its timer and the caller's variable.
    if (
        len(idle_exchanges) >= IDLE_EXCHANGES
        or Py_REFCNT(<PyObject*>exchange) > 2
        or Py_REFCNT(<PyObject*>exchange.request) > 1
        or Py_REFCNT(<PyObject*>exchange.request.headers) > 1
        or Py_REFCNT(<PyObject*>exchange._response) > 1
        or Py_REFCNT(<PyObject*>exchange._response.headers) > 1
    ):
        exchange.timer.owner = None
        return 0
    exchange.down = None
    exchange.handler = exchange.errand = None
    exchange.reset()
    idle_exchanges.append(exchange)
    return 0
