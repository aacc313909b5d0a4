# An event log's synchronous store: what stands on its environment, for Python.
from libc.stdint cimport int64_t

from core._fast.event_append cimport AppendPart
from core._fast.event_env cimport EventEnv
from core._fast.event_reader cimport Found
from core._fast.event_writer cimport EventWriter

cdef class EventStore:
    cdef EventEnv env
    cdef EventWriter writer
    cdef readonly int segment_days
    cdef object committing         # a lock

    cdef int keep_entries(self) except -1      # bring the log's place in its directory to the disk
    cdef int run(self, AppendPart** parts, Py_ssize_t count, int64_t now_ns) except -1
    cdef list events(self, Found* found, int code)
