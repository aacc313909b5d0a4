"""The C face of the router."""

from core._fast.route_table cimport RouteTable, Tables
from core._fast.route_value cimport Span

cdef enum:
    MAX_PARAMS = 16  # core.route_pattern: parameters of one route
    NO_ROUTE = -1  # nothing takes this host and path: 404
    NO_METHOD = -2  # routes take this host and path, but not with this method: 405


cdef class Router:
    cdef readonly tuple routes
    cdef tuple names  # of the parameters, by route
    cdef readonly RouteTable table
    cdef const Tables* tables  # SAFETY: inside `table`

    # Return the index of the route, NO_ROUTE or NO_METHOD. `method` is a number of head.Method; its name
    # is read for M_OTHER alone. `spans`, with room for MAX_PARAMS, gets the parameters in their order.
    cdef int find(self, const char* host, Py_ssize_t host_len, int method, const char* method_name,
                  Py_ssize_t method_len, const char* path, Py_ssize_t path_len, Span* spans) noexcept nogil
    # Return the parameters of a route that find() returned: name -> percent-decoded value.
    cdef dict parameters(self, int route, const char* path, const Span* spans)
