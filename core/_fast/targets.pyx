"""Answer without leaving the gateway: fixed answers, and what is said where no route matches."""

from core.errors import Problem

cdef object NOT_FOUND = Problem(404, "no-route", "No route matches")
cdef object NOT_ALLOWED = Problem(405, "method-not-allowed", "The method is not allowed here")


cdef class Respond(Target):
    """Give the same answer to every request."""

    def __init__(self, str name, Response response):
        self.name = name
        self.response = Response(response.status, list(response.headers), response.body)
        self.response.fixed = True

    cdef int begin(self, Exchange exchange) except -1:
        return exchange.answer(self.response)


cdef class Unmatched(Target):
    """Say that nothing matches, or which methods would."""

    def __init__(self):
        self.name = ""

    cdef int begin(self, Exchange exchange) except -1:
        request = exchange.request
        allowed = exchange.plan.snapshot.router.allowed(request.host.encode("ascii"), request.path.encode("ascii"))
        if not allowed:
            return exchange.refuse(NOT_FOUND)
        response = Response.problem_of(NOT_ALLOWED)
        response.headers.add(b"allow", ", ".join(sorted(allowed)).encode("ascii"))
        return exchange.answer(response)
