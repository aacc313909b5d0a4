"""Give exchanges a connection to an upstream server, and let them wait for one.

The rule it guards: an exchange waits no longer than it may, whatever the server does; a connection that
becomes free goes to who has waited longest. The policy of reuse is core/_fast/pool's.
"""

import asyncio
import logging

from core._fast.clock cimport monotonic_ns
from core._fast.exchange cimport FORWARDED
from core._fast.head cimport M_DELETE, M_GET, M_HEAD, M_OPTIONS, M_PUT
from core._fast.head_writer cimport Wording
from core._fast.pool cimport Pool
from core._fast.reactor cimport Reactor
from core._fast.wheel cimport Wheel, new_timer

from core.errors import Problem

log = logging.getLogger("agora.upstream")

cdef object BUSY = Problem(503, "upstream-busy", "All connections to the upstream are in use", "upstream", True)
cdef object UNREACHABLE = Problem(502, "upstream-unreachable", "The upstream cannot be reached", "upstream", True)
cdef object CONNECT_LATE = Problem(504, "upstream-connect-timeout", "Connecting to the upstream took too long",
                                   "upstream", True)

cdef int64_t NEVER = 1 << 60   # ns; about 36 years

cdef enum:
    KEPT = 65536          # bytes of a request body that are kept for sending again


cdef class Server(Origin):
    """Hold the connections to one server of an upstream."""

    def __init__(self, Reactor reactor, Wheel wheel, Wording wording, addresses, *,
                 str text, bytes host, bytes default_host,
                 tls=None, server_name=None, count, int max_connections, int max_idle, int max_waiting,
                 double keep_alive, double connect_timeout, double first_byte_timeout, double idle_timeout,
                 double queue_timeout, int status_line=8192, int header_block=65536, int header_count=256):
        self.reactor = reactor
        self.wheel = wheel
        self.wording = wording
        self.addresses = addresses
        self.text = text
        self.host = host
        self.default_host = default_host
        self.tls = tls
        self.server_name = server_name
        self.count = count
        self.pool = Pool(max_connections, max_idle, max_waiting, <int64_t>(keep_alive * 1e9) or NEVER)
        self.connect_timeout = connect_timeout
        self.first_byte_timeout = <int64_t>(first_byte_timeout * 1e9)
        self.idle_timeout = <int64_t>(idle_timeout * 1e9)
        self.queue_timeout = queue_timeout
        self.limits.request_line = status_line
        self.limits.header_block = header_block
        self.limits.header_count = header_count
        self.sweep = new_timer(self, swept)
        self.tasks = set()

    cdef int start(self, Exchange exchange) except -1:
        """Give the exchange an idle connection, or let it wait for one."""
        cdef int method = exchange.request.head.method
        cdef int64_t now = monotonic_ns()
        cdef Slot slot
        cdef UpstreamConnection connection
        exchange.replayable = (
            (method == M_GET or method == M_HEAD or method == M_PUT or method == M_DELETE or method == M_OPTIONS)
            and exchange.request_ended and exchange.held_size <= KEPT and not exchange.plan.chunk
        )
        while True:
            slot = self.pool.take(now)
            if slot is None:
                if self.pool.idle:
                    swept(self, now)  # all of them are too old: make room for new ones
                return self._wait(exchange)
            connection = slot.connection
            # NOTE: what cannot be sent again gets a connection that was looked at just before.
            if not connection.link.closing and (exchange.replayable and not exchange.replayed or connection.alive()):
                return connection.begin(exchange)
            self.pool.drop(slot)
            connection.link.abort()

    def _wait(self, Exchange exchange):
        cdef Errand errand = Errand.__new__(Errand)
        cdef double timeout
        errand.server = self
        errand.exchange = exchange
        errand.connects = self.pool.connections < self.pool.max_connections
        if errand.connects:
            self.connect()
        errand.waiter = self.pool.enqueue(errand)
        if errand.waiter is None:
            self.count(BUSY.slug)
            exchange.refuse(BUSY)
            return 0
        timeout = self.queue_timeout
        if errand.connects:
            timeout = exchange.connect_timeout or self.connect_timeout
        errand.timer = new_timer(errand, gave_up)
        if timeout > 0:
            self.wheel.arm(errand.timer, monotonic_ns() + <int64_t>(timeout * 1e9))
        exchange.errand = errand
        return 0

    # -- connections ---------------------------------------------------------------------------

    cdef int connect(self) except -1:
        cdef Slot slot = self.pool.reserve()
        if slot is None:
            return 0
        task = asyncio.get_running_loop().create_task(self._connect(slot))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return 0

    async def _connect(self, Slot slot):
        cdef UpstreamConnection connection
        try:
            async with asyncio.timeout(self.connect_timeout or None):
                address = await self.addresses.pick()
                if self.tls is None:
                    connection = await self.reactor.connect(UpstreamConnection, address)
                else:
                    _, connection = await asyncio.get_running_loop().create_connection(
                        UpstreamConnection, *address, ssl=self.tls, server_hostname=self.server_name
                    )
        except (OSError, TimeoutError, UnicodeError) as error:  # ssl.SSLError is an OSError
            self.pool.drop(slot)
            self._connect_failed(error)
            return
        except asyncio.CancelledError:
            self.pool.drop(slot)
            raise
        connection.origin = self
        connection.slot = slot
        connection.address = address
        slot.connection = connection
        self.pool.opened(slot)
        if connection.link.transport is None or connection.link.closing:
            self.pool.drop(slot)
            self._connect_failed(ConnectionResetError("closed at once"))
            return
        self.hand_out(connection)

    def _connect_failed(self, error):
        """Tell the exchange that has waited longest; it stands for the attempt that failed."""
        cdef Waiter waiter = self.pool.next_waiter()
        cdef Errand errand
        problem = CONNECT_LATE if isinstance(error, TimeoutError) else UNREACHABLE
        self.addresses.failed()
        self.count(problem.slug)
        log.warning("cannot connect to %s: %s", self.text, error or type(error).__name__)
        if waiter is not None:
            errand = waiter.owner
            errand.fail(problem)
        if self.pool.waiting > self.pool.connecting:
            self.connect()

    cdef int hand_out(self, UpstreamConnection connection) except -1:
        """Give a free connection to who waits first, or to the pool."""
        cdef Waiter waiter = self.pool.next_waiter()
        cdef Errand errand
        cdef Exchange exchange
        if waiter is not None:
            errand = waiter.owner
            exchange = errand.exchange
            errand.settle()
            connection.begin(exchange)
            return 0
        if self.closed or not self.pool.give(connection.slot, monotonic_ns()):
            self.pool.drop(connection.slot)
            return connection.link.close()
        return self._watch_idle()

    cdef int release(self, UpstreamConnection connection, bint reusable) except -1:
        """Take a connection back after an exchange."""
        if connection.slot.state == 3:
            return 0
        if not reusable or (connection.address is not None and not self.addresses.current(connection.address)):
            connection.link.close()
            return self.lost(connection)
        if connection.link.paused:
            connection.link.resume()
        if self.pool.waiting:
            connection.slot.uses += 1
            return self.hand_out(connection)
        if self.closed or not self.pool.give(connection.slot, monotonic_ns()):
            self.pool.drop(connection.slot)
            return connection.link.close()
        return self._watch_idle()

    cdef int lost(self, UpstreamConnection connection) except -1:
        """Forget a connection that is closed; open another one if somebody waits for it."""
        if connection.slot is None:
            return 0
        self.pool.drop(connection.slot)
        if self.pool.waiting > self.pool.connecting:
            self.connect()
        return 0

    cdef int _watch_idle(self) except -1:
        if self.sweep.deadline == 0:
            self.wheel.arm(self.sweep, monotonic_ns() + self.pool.keep_alive)
        return 0

    def close(self):
        """Close idle connections now, busy ones after their exchange."""
        cdef Slot slot
        self.closed = True
        self.wheel.cancel(self.sweep)
        while True:
            slot = self.pool.expired(2**62)
            if slot is None:
                break
            connection = slot.connection
            self.pool.drop(slot)
            (<UpstreamConnection>connection).link.close()
        if self.pool.waiting == 0:
            for task in self.tasks:
                task.cancel()
        self.addresses.close()


cdef int swept(object owner, int64_t now) except -1:
    """Close the connections that have been idle too long."""
    cdef Server server = owner
    cdef Slot slot
    cdef UpstreamConnection connection
    while True:
        slot = server.pool.expired(now)
        if slot is None:
            break
        connection = slot.connection
        server.pool.drop(slot)
        connection.link.close()
    if server.pool.idle:
        server.wheel.arm(server.sweep, now + max(server.pool.keep_alive // 4, 1_000_000))
    return 0


cdef class Errand(Handler):
    """Stand in for the handler while an exchange waits for a connection."""

    def settle(self):
        """End the waiting, and let go of everybody."""
        self.server.wheel.cancel(self.timer)
        self.timer.owner = None
        self.waiter.owner = None
        self.exchange.errand = None
        self.exchange = None

    def fail(self, problem):
        """End the waiting with a refusal."""
        cdef Exchange exchange = self.exchange
        self.settle()
        if exchange.stage == FORWARDED:
            exchange.target_failed(problem)
            exchange.down.flush()

    cdef int cancel(self, Exchange exchange) except -1:
        self.server.pool.leave(self.waiter)
        self.settle()
        return 0


cdef int gave_up(object owner, int64_t now) except -1:
    cdef Errand errand = owner
    errand.server.pool.leave(errand.waiter)
    problem = CONNECT_LATE if errand.connects else BUSY
    errand.server.count(problem.slug)
    errand.fail(problem)
    return 0
