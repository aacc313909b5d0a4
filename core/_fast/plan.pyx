"""Hold what is prepared at start-up: the plan of each route, and the snapshot of everything configurable.

The rule it guards: a plan is immutable, and an exchange keeps the plan it began with, whatever is
swapped meanwhile. Built by gateway/snapshot.py, run by core/_fast/exchange.
"""

import inspect


cdef tuple waits_of(tuple methods):
    return tuple([inspect.iscoroutinefunction(method) for method in methods])


cdef class Plan:
    """Bind the phases of one route's plugins, in calling order, to its target."""

    def __init__(self, str route, int index, target, Meter meter, *, request=(), forward=(), response=(),
                 chunk=(), log=(), bint rewrites_bodies=False, int64_t hold_request=0, int64_t hold_response=0):
        self.route = route
        self.index = index
        self.target = target
        self.meter = meter
        self.request = tuple(request)
        self.forward = tuple(forward)
        self.response = tuple(response)
        self.chunk = tuple(chunk)
        self.chunk_back = self.chunk[::-1]
        self.log = tuple(log)
        self.request_waits = waits_of(self.request)
        self.forward_waits = waits_of(self.forward)
        self.response_waits = waits_of(self.response)
        self.rewrites_bodies = rewrites_bodies
        self.hold_request = hold_request
        self.hold_response = hold_response

    def at(self, int index):
        """Return the same plan for another snapshot, at another place in it."""
        cdef Plan other = Plan.__new__(Plan)
        other.route, other.index, other.target, other.meter = self.route, index, self.target, self.meter
        other.request, other.forward, other.response = self.request, self.forward, self.response
        other.chunk, other.chunk_back, other.log = self.chunk, self.chunk_back, self.log
        other.request_waits, other.forward_waits = self.request_waits, self.forward_waits
        other.response_waits = self.response_waits
        other.rewrites_bodies = self.rewrites_bodies
        other.hold_request, other.hold_response = self.hold_request, self.hold_response
        return other


cdef class Snapshot:
    """Hold one immutable version of everything configurable; swapped by one assignment."""

    def __init__(self, Router router, plans, Plan unmatched, *, accept=(), bytes name=b"agora",
                 identity_headers=(), int64_t max_request_body=0, double total_timeout=0):
        cdef Plan plan
        self.router = router
        self.plans = tuple(plans)
        self.unmatched = unmatched
        self.accept = tuple(accept)
        self.name = name
        self.identity_headers = tuple(identity_headers)
        self.max_request_body = max_request_body
        self.total_timeout = total_timeout
        for plan in (*self.plans, unmatched):
            plan.snapshot = self

    cdef int end(self) except -1:
        self.live -= 1
        if self.live == 0 and self.retired is not None:
            retired, self.retired = self.retired, None
            let_go(self)
            retired()
        return 0

    def retire(self, then):
        """Call ``then`` once no exchange is under way on this snapshot; it has been replaced already."""
        if self.live == 0:
            let_go(self)
            then()
        else:
            self.retired = then


cdef int let_go(Snapshot snapshot) except -1:
    """Free a snapshot that nothing begins on any more.

    NOTE: plans and snapshot hold each other; left to the collector, dozens of old snapshots would pile up.
    """
    snapshot.plans = ()
    snapshot.unmatched = None
    return 0
