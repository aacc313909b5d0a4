"""Hold what is known of one exchange, and show plugins their part of it.

The rule it guards: what plugins read here is what the exchange goes by, not a copy. The base of
core/_fast/exchange, which changes it; reset() makes it as new.
"""

from core._fast.clock cimport monotonic_ns


cdef class ExchangeState:
    """Hold the request, the response, the plan, what has happened so far, and the limits in force."""

    def __cinit__(self):
        self.request = Request.__new__(Request)
        self._response = Response.__new__(Response)

    cdef int reset(self) except -1:
        """Forget everything; the parts are kept for the next exchange."""
        self.request.clear()
        self._response.clear()
        self.stage = FRESH
        self.replayable = self.replayed = False
        self.held_size = self.held_response_size = 0
        self.request_ended = self.response_ended = self.forwarded = self.body_forwarded = False
        self.answered_here = self.failed = self.has_response = self.close = self.upgraded = False
        self.matched = NULL
        self.matched_len = 0
        self.watched_total = 0
        self.began_target = self.first_byte = self.ended = 0
        self.bytes_in = self.bytes_out = 0
        self.status = 0
        self.server_index = -1
        self.retries = 0
        self.tried = 0
        self.max_response_body = 0
        self.connect_timeout = self.first_byte_timeout = self.idle_timeout = 0
        # PERF: None is counted as well, and each count waits for the one before; most of these are None
        # already (bench: fixed answer)
        if self.plan is not None:
            self.plan = None
        if self.held is not None:
            self.held = None
        if self.kept is not None:
            self.kept = None
        if self.held_response is not None:
            self.held_response = None
        if self.chosen is not None:
            self.chosen = None
        if self.trailers is not None:
            self.trailers = None
        if self.response_trailers is not None:
            self.response_trailers = None
        if self.routed_path is not None:
            self.routed_path = None
        if self.consumer is not None:
            self.consumer = None
        if self.request_id is not None:
            self.request_id = None
        if self.trace_id is not None:
            self.trace_id = None
        if self.server is not None:
            self.server = None
        if self.retry is not None:
            self.retry = None
        if self.problem is not None:
            self.problem = None
        if self._state is not None:
            self._state = None
        if self.certificate is not None:
            self.certificate = None
        return 0

    # -- what plugins see ------------------------------------------------------------------------

    @property
    def response(self):
        """Give the response, once there is one; else None."""
        return self._response if self.has_response else None

    @property
    def route(self):
        """Name the route; empty before routing and where none was found."""
        return self.plan.route if self.plan is not None else ""

    @property
    def parameters(self):
        """Give the path's parameters, percent-decoded."""
        if self.plan.index < 0:
            return {}
        return self.plan.snapshot.router.parameters(self.plan.index, self.matched, self.spans)

    @property
    def state(self):
        """Give a dict that plugins may keep their own values of this exchange in."""
        if self._state is None:
            self._state = {}
        return self._state

    @property
    def peer(self):
        """Give the address of the peer as text: who the connection is with."""
        return self._peer.decode("ascii")

    @property
    def client(self):
        """Give the address of the client as text: the peer's, or what a trusted proxy told."""
        return self._client.decode("ascii")

    @property
    def client_bytes(self):
        """Give the client's address as bytes."""
        return self._client

    @property
    def scheme(self):
        """Name the scheme by which the client came: ``http`` or ``https``."""
        return "https" if self.secure else "http"

    @property
    def elapsed(self):
        """Give the seconds since the request's head was complete."""
        return ((self.ended or monotonic_ns()) - self.started) / 1e9

    @property
    def target_elapsed(self):
        """Give the seconds from the target's getting the request to its response's head; None: it had no part."""
        if not self.began_target or not self.first_byte:
            return None
        return (self.first_byte - self.began_target) / 1e9

    def __repr__(self):
        return f"<Exchange {self.request.method} {self.request.path} {self.status or '-'}>"
