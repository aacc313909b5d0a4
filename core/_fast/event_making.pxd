# Making an event log's file.
from libc.stdint cimport int64_t

# Make the log in a directory, and the directory; harmless if another process makes it too.
cdef int make_log(str path, size_t map_size, int64_t now_ns, int64_t end_ns) except -1
