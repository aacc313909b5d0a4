"""Count one route's exchanges in shared memory: by class of status, how long they took, bytes both ways.

The rule it guards: plain adds to this worker's own cells; a route that gets no traffic takes no cells.
"""

from core._fast.cells cimport Counter, Histogram, observe

CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
ROUTES = 1000          # routes that have figures of their own; those beyond are counted as "other"


cdef class Meter:
    """Count the exchanges of one route; ``metrics`` is a core.metrics.Metrics, None counts nothing."""

    def __init__(self, metrics=None, str route=""):
        self.metrics = metrics
        self.route = route
        self.keeps = []

    cdef int count(self, int status, int64_t duration, int64_t received, int64_t sent) except -1:
        cdef int kind = status // 100
        if self.metrics is None:
            return 0
        if kind > 5:
            kind = 0
        if self.durations is NULL:
            self._open()
        if self.requests[kind] is NULL:
            self._open_class(kind)
        self.requests[kind][0] += 1
        observe(self.durations, duration)
        self.received[0] += received
        self.sent[0] += sent
        return 0

    cdef int _open(self) except -1:
        cdef Counter counter
        cdef Histogram histogram
        labels = {"route": self.route}
        histogram = self.metrics.histogram(
            "agora_request_duration_seconds", "Time from a request's head to the end of its answer.", labels,
            bound=ROUTES,
        )
        self.durations = histogram.cells
        counter = self.metrics.counter(
            "agora_request_bytes_total", "Bytes of request bodies received.", labels, bound=ROUTES
        )
        self.received = counter.cell
        self.keeps += (histogram, counter)
        counter = self.metrics.counter(
            "agora_response_bytes_total", "Bytes of answers' bodies sent.", labels, bound=ROUTES
        )
        self.sent = counter.cell
        self.keeps.append(counter)
        return 0

    cdef int _open_class(self, int kind) except -1:
        cdef Counter counter = self.metrics.counter(
            "agora_requests_total", "Exchanges by route and class of status; none: the client went first.",
            {"route": self.route, "status": CLASSES[kind]}, bound=ROUTES,
        )
        self.requests[kind] = counter.cell
        self.keeps.append(counter)
        return 0
