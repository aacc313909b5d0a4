"""Turn codes into the errors of core/event_log/errors.py.

Rule: compiled parts of the event log pass codes to each other; what a caller of them sees is raised here alone.
core/_fast/event_env and event_store call.
"""

from libc.errno cimport ENOMEM

from core._fast.mdb cimport MDB_NOTFOUND, MDB_READERS_FULL, mdb

from core.event_log.errors import LogClosed, LogFull, LogInUse, LogMissing, LogUnreadable, LogUnwritable


cdef int raise_opening(str path, int code) except -1:
    if code == MDB_NOTFOUND:
        raise LogMissing(f"there is no event log in {path}")
    return raise_reading(path, code)


cdef int raise_reading(str path, int code) except -1:
    raise_common(path, code)
    raise LogUnreadable(f"the event log in {path} cannot be read: {mdb.strerror(code).decode()}")


cdef int raise_writing(str path, int code, int poison) except -1:
    if poison and code == poison:  # also for lack of room, where nobody knows what became of the commit
        raise LogUnwritable(path if code > 0 else f"{path}: {mdb.strerror(code).decode()}", max(code, 0))
    raise_common(path, code)
    if code == LOG_POISONED:
        raise LogUnwritable("a commit failed before, the log must be opened anew", poison if poison > 0 else 0)
    if code == LOG_READ_ONLY:
        raise LogUnwritable("it was opened for reading alone")
    raise LogUnwritable(path if code > 0 else f"{path}: {mdb.strerror(code).decode()}", max(code, 0))


cdef int raise_common(str path, int code) except -1:
    if code == LOG_CLOSED:
        raise LogClosed(f"the event log in {path} is closed in this process")
    if code == LOG_DAMAGED or code == MDB_NOTFOUND:
        raise LogUnreadable(f"the event log in {path} is damaged: what it holds contradicts itself")
    if code == MDB_READERS_FULL:
        raise LogInUse(f"the event log in {path} has no place for another reader")
    if code == ENOMEM:
        raise MemoryError(f"no memory for the event log in {path}")
    if is_full(code):
        raise LogFull(f"the event log in {path} has no room on its disk: {mdb.strerror(code).decode()}")
    return 0
