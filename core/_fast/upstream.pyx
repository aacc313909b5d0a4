"""Be a route's target: a named group of servers, one of which answers.

The rules it guards: a server that was chosen is done with exactly once, however the exchange ends; a request goes to
another server only if no byte of it was sent, or if it may be sent twice. Which server is next is
core/_fast/balancer's, when to try again core/_fast/retry's.
"""

import asyncio

from libc.stdint cimport int64_t, uint64_t

from core._fast.balancer cimport hash_of
from core._fast.clock cimport monotonic_ns
from core._fast.exchange cimport FORWARDED
from core._fast.retry cimport RetryPolicy
from core._fast.upstream_server cimport Server

from core.errors import Problem

cdef object NO_SERVER = Problem(503, "upstream-unavailable", "No server of the upstream takes requests",
                                "upstream", True)
cdef frozenset FAILURES = frozenset({
    "upstream-unreachable", "upstream-connect-timeout", "upstream-closed", "upstream-broken", "upstream-malformed",
    "upstream-timeout",
})
cdef dict HASH_KINDS = {"ip": BY_IP, "path": BY_PATH, "consumer": BY_CONSUMER, "header": BY_HEADER, "cookie": BY_COOKIE}


cdef class Upstream(Target):
    """Choose a server for each exchange, and another one where that fails and a plugin has allowed it.

    hash_by:      what a consistent hash goes by: ip, path, consumer, header:NAME or cookie:NAME
    answers_fail: whether an answer of 500 and more counts as the server's failure
    """

    def __init__(self, str name, servers, Balancer balancer not None, *, str hash_by="ip", bint answers_fail=False):
        self.name = name
        self.servers = tuple(servers)
        self.balancer = balancer
        if balancer.size != len(self.servers):
            raise ValueError(f"a balancer of {balancer.size} for {len(self.servers)} servers")
        self.answers_fail = answers_fail
        self.hashes = balancer.table != NULL
        kind, _, named = hash_by.partition(":")
        self.hash_kind = HASH_KINDS[kind]
        self.hash_name = named.lower().encode() if kind == "header" else named.encode()

    cdef int choose(self, Exchange exchange) except -1:
        cdef Server server
        cdef uint64_t key = self._key(exchange) if self.hashes else 0
        cdef int index = self.balancer.pick(exchange.started, key, exchange.tried)
        if index < 0:
            return exchange.refuse(NO_SERVER)
        server = self.servers[index]
        exchange.chosen = server
        exchange.server = server.text
        exchange.server_index = index
        self.active += 1
        self.balancer.begun(index)
        return 0

    cdef int begin(self, Exchange exchange) except -1:
        return (<Server>exchange.chosen).start(exchange)

    cdef int left(self, Exchange exchange) except -1:
        cdef bint failed = False
        if exchange.problem is not None:
            failed = exchange.problem in FAILURES
        elif self.answers_fail and exchange.status >= 500 and not exchange.answered_here:
            failed = True
        if exchange.retries:
            self.retrying -= 1
        return self._note(exchange, failed)

    cdef int _note(self, Exchange exchange, bint failed) except -1:
        """Be done with the server that was chosen."""
        cdef int64_t latency = 0
        cdef int64_t now = exchange.ended
        cdef int index = exchange.server_index
        if index < 0:
            return 0
        exchange.server_index = -1
        if exchange.first_byte:
            latency = exchange.first_byte - exchange.began_target
        self.active -= 1
        self.balancer.ended(index, now or monotonic_ns(), failed, latency)
        return 0

    cdef bint again(self, Exchange exchange, object problem, int status, int64_t wait) except -1:
        """Make another try, if the policy wants one, it is safe, and the budget has room; tell if so."""
        cdef RetryPolicy policy = exchange.retry
        cdef Pause pause
        cdef int64_t time
        if exchange.retries + 1 >= policy.attempts or not policy.wants(problem, status):
            return False
        if exchange.forwarded and not exchange.replayable:
            return False
        if not exchange.retries and self.retrying >= max(<double>policy.least_budget, policy.budget * self.active):
            return False
        time = policy.pause(exchange.retries, wait, <double>self.balancer._random() / 18446744073709551616.0)
        if time < 0:
            return False
        exchange.tried |= <uint64_t>1 << (exchange.server_index & 63)
        self._note(exchange, problem is not None or self.answers_fail and status >= 500)
        self.retrying += exchange.retries == 0
        exchange.retries += 1
        if exchange.forwarded:
            exchange.held = exchange.kept
            exchange.kept = None
        pause = Pause.__new__(Pause)
        pause.exchange = exchange
        pause.handle = asyncio.get_running_loop().call_later(time / 1e9, pause.over)
        exchange.errand = pause
        return True

    cdef uint64_t _key(self, Exchange exchange) except? 0:
        cdef bytes text = None
        if self.hash_kind == BY_HEADER:
            text = exchange.request.headers.get(self.hash_name)
        elif self.hash_kind == BY_COOKIE:
            text = cookie(exchange.request.headers.get(b"cookie"), self.hash_name)
        elif self.hash_kind == BY_PATH:
            text = (<str>exchange.request.path).encode()
        elif exchange.consumer is not None and self.hash_kind == BY_CONSUMER:
            text = (exchange.consumer if type(exchange.consumer) is str else exchange.consumer.name).encode()
        if text is None:
            text = exchange._client or b""      # who lacks the header, cookie or consumer is told apart by address
        return hash_of(text, len(text))

    # -- for the gateway -----------------------------------------------------------------------

    def set_healthy(self, int index, bint healthy):
        """Take a server in or out, as its health was found to be."""
        self.balancer.set_healthy(index, healthy, monotonic_ns())

    def set_draining(self, int index, bint draining):
        """Let a server finish what it has and give it nothing new, or give it its share again."""
        self.balancer.set_draining(index, draining, monotonic_ns())

    def states(self):
        """Return what is known of each server, as dicts with its `url`."""
        cdef Server server
        now = monotonic_ns()
        return [
            {"url": server.text, **self.balancer.state(index, now), "connections": server.pool.connections}
            for index, server in enumerate(self.servers)
        ]

    def close(self):
        """Let go of all connections."""
        cdef Server server
        if self.checks is not None:
            self.checks.close()
        for server in self.servers:
            server.close()


cdef class Pause(Handler):
    def over(self):
        """Choose a server again, and begin."""
        cdef Exchange exchange = self.exchange
        if exchange is None:
            return
        self.exchange = None
        exchange.errand = None
        if exchange.stage != FORWARDED:
            return
        (<Upstream>exchange.plan.target).choose(exchange)
        if not exchange.has_response:
            (<Upstream>exchange.plan.target).begin(exchange)
        exchange.down.flush()

    cdef int cancel(self, Exchange exchange) except -1:
        self.exchange = None
        self.handle.cancel()
        return 0


cdef bytes cookie(bytes header, bytes name):
    """Return a cookie's value; None: there is none of that name."""
    if header is None:
        return None
    for pair in header.split(b";"):
        key, _, value = pair.strip().partition(b"=")
        if key == name:
            return value
    return None
