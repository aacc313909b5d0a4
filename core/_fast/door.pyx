"""Hold what all client connections of one worker share: settings, limits, and the snapshot in force.

The rule it guards: a change of any of it takes effect for what begins from now on. Called by gateway/data_plane
and by each connection (core/_fast/client).
"""

cdef int64_t NEVER = 1 << 60   # ns; about 36 years


cdef int64_t nanoseconds(double seconds):
    return <int64_t>(seconds * 1e9) if seconds > 0 else NEVER


cdef class Door:
    """Hold what all connections of one worker share: settings, limits, and the snapshot in force."""

    def __init__(self, Wheel wheel, factory, *, refused, gauge):
        self.wheel = wheel
        self.factory = factory
        self.refused = refused
        self.gauge = gauge
        self.addresses = {}
        self.open = set()

    def configure(self, Snapshot snapshot, Wording wording, *, trusts, client_of,
                  int request_line, int header_block, int header_count, int max_extensions,
                  double head_timeout, double body_timeout, double keep_alive_timeout,
                  double write_timeout, int max_connections, int max_per_address,
                  double linger_timeout=2, int64_t body_rate=240):
        """Put a new version of everything in force, for requests that begin from now on.

        Timeouts in seconds, 0: none; sizes in bytes; ``body_rate`` in bytes a second.
        """
        self.snapshot = snapshot
        self.wording = wording
        self.trusts = trusts
        self.client_of = client_of
        self.limits.request_line = request_line
        self.limits.header_block = header_block
        self.limits.header_count = header_count
        self.max_extensions = max_extensions
        self.head_timeout = nanoseconds(head_timeout)
        self.body_timeout = nanoseconds(body_timeout)
        self.keep_alive_timeout = nanoseconds(keep_alive_timeout)
        self.write_timeout = nanoseconds(write_timeout)
        self.linger_timeout = nanoseconds(linger_timeout)
        self.body_rate = body_rate
        self.max_connections = max_connections
        self.max_per_address = max_per_address

    def protocol(self):
        """Make the protocol for one accepted connection: the factory for loop.create_server."""
        return self.factory(self)

    def drain(self, then):
        """Close idle connections now and the others after their current exchange; then call ``then``."""
        self.draining = True
        self.drained = then
        if self.connections == 0:
            then()
        for connection in list(self.open):
            connection.drain()

    def abort(self):
        """Close every connection at once."""
        for connection in list(self.open):
            connection.abort()
