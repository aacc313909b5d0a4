"""Hold what a store of a cache knows of each thing in it.

The rule it guards: noting that something was asked for costs an addition, no lock and no list. The base of what
core/cache/store keeps; core/_fast/cache_gate adds answers that are ready to be sent.
"""


cdef class Slot:
    """Be a place in a store."""

    def __init__(self, key, Py_ssize_t size, tuple names=()):
        self.key = key
        self.size = size
        self.names = names
