"""Decide what a request may be before any plugin of its route sees it: stripped, normalised, routed.

The rule it guards: what no client may say is gone before anybody reads it; the path that is matched is the
path that is forwarded. Called by core/_fast/exchange.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from core._fast.exchange_state cimport ExchangeState
from core._fast.head cimport M_CONNECT, M_OPTIONS, M_TRACE
from core._fast.headers cimport (
    FIELD_FORWARDING, FIELD_IDENTITY, FIELD_UNDERSCORE, H_MAX_FORWARDS, H_VIA, Field, Headers,
)
from core._fast.message cimport Request, Response
from core._fast.path cimport normalise_path
from core._fast.plan cimport Snapshot

from core._fast.head import PROBLEMS
from core.errors import Problem

cdef object LOOP = Problem(508, "loop", "The request has passed this gateway before")
cdef object METHOD_REFUSED = Problem(405, "method-refused", "CONNECT and TRACE are not offered")
cdef dict PATH_PROBLEMS = {
    code: Problem(status, slug, title) for code, (status, slug, title) in PROBLEMS.items()
}

cdef enum:
    PATH_ON_STACK = 4096


cdef object strip(ExchangeState state, Snapshot snapshot):
    """Remove what no client may say; return the problem if the request came from this very gateway."""
    cdef Headers headers = state.request.headers
    cdef int i, flags = 0
    cdef bint via = False
    cdef bytes name
    for i in range(headers.count):
        flags |= headers.fields[i].flags
        via |= headers.fields[i].id == H_VIA
    if via and is_loop(headers, snapshot.name):
        return LOOP
    if flags & (FIELD_FORWARDING | FIELD_IDENTITY | FIELD_UNDERSCORE):
        headers.drop_flagged(FIELD_IDENTITY | FIELD_UNDERSCORE | (0 if state.trusted else FIELD_FORWARDING))
    for name in snapshot.identity_headers:
        headers.remove_raw(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
    return None


cdef bint is_loop(Headers headers, bytes name):
    """Tell whether this gateway's own name is in Via."""
    for value in headers.get_all(b"via"):
        for hop in value.split(b","):
            parts = hop.split()
            if len(parts) > 1 and parts[1] == name:
                return True
    return False


cdef object route(ExchangeState state, Snapshot snapshot):
    """Normalise the path and set the plan; return the answer if there is nothing more to do."""
    cdef Request request = state.request
    cdef int index, method = request.head.method
    cdef Py_ssize_t size
    cdef char on_stack[PATH_ON_STACK]
    cdef char* normal = on_stack
    cdef bytes spare = None
    if method == M_CONNECT or method == M_TRACE:
        return Response.problem_of(METHOD_REFUSED)
    if request.head.path_len >= PATH_ON_STACK:
        spare = PyBytes_FromStringAndSize(NULL, request.head.path_len + 1)
        normal = PyBytes_AS_STRING(spare)
    if method == M_OPTIONS and (request.head.path[0] == c"*" or last_hop(request.headers)):
        return Response(204, [(b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")])
    size = normalise_path(request.head.path, request.head.path_len, normal)
    if size < 0:
        return Response.problem_of(PATH_PROBLEMS[-size])
    if size > 0:
        request.put_path(PyBytes_FromStringAndSize(normal, size))
    state.matched = request.head.path
    state.matched_len = request.head.path_len
    state.routed_path = request._path
    index = snapshot.router.find(
        request.head.host, request.head.host_len, method, request.head.method_name, request.head.method_len,
        request.head.path, request.head.path_len, state.spans,
    )
    if index >= 0:
        state.plan = snapshot.plans[index]
    return None


cdef bint last_hop(Headers headers) noexcept:
    cdef Field* field = headers.find_id(H_MAX_FORWARDS)
    return field is not NULL and field.value_len == 1 and field.value[0] == c"0"
