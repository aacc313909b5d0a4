# Codes of what goes wrong in an event log, beside those of LMDB (negative) and of the system (small).

cdef enum Trouble:
    LOG_CLOSED = 100000        # closed, or of the process that this one was forked from
    LOG_POISONED               # a commit failed in a way that forbids another
    LOG_READ_ONLY
    LOG_DAMAGED                # what is stored contradicts itself
    CATALOGUE_STALE            # a segment was begun or dropped since the catalogue was read
    SEGMENT_OVER               # the commit belongs to a segment that is not begun yet
    ENOUGH                     # a limit is reached

cdef inline bint is_full(int code) noexcept nogil:
    """Tell whether a write found no room; what was synced before is as it was."""
    return code == 28 or code == 122 or code == 27     # ENOSPC, EDQUOT, EFBIG

# Raise the error that a code stands for, when the log was opened, written or read. `poison`: the code that
# LOG_POISONED goes back to.
cdef int raise_opening(str path, int code) except -1
cdef int raise_writing(str path, int code, int poison) except -1
cdef int raise_reading(str path, int code) except -1
