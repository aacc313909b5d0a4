# The record of one event: how it is finished, checked and read. Its layout (event_layout.pxd) is passed on.
from libc.stdint cimport int64_t, uint64_t

from core._fast.sha256 cimport HASH_SIZE
from core._fast.event_layout cimport *

# Write a draft's stored record to `to` (stored_size bytes, any alignment: MDB_RESERVE's memory will do) and its
# hash (HASH_SIZE bytes) to `hash_out`. `content`: the hash of the draft's content.
# `previous_hash` NULL: zeros, for position 1; it may be `hash_out` itself.
# `time_ns` is the commit's time; a draft with a time of its own keeps that. `previous_position` is that of the
# stream's event before it, 0: there is none. Returns the bytes written.
# SAFETY: the stream's name is valid UTF-8 of 1 to MOST_NAME bytes (check_stream).
cdef Py_ssize_t finish_record(char* to, const char* draft, Py_ssize_t draft_size, const char* content,
                              const char* stream, Py_ssize_t stream_size,
                              uint64_t position, uint64_t version, int64_t time_ns,
                              uint64_t previous_position, const char* previous_hash, char* hash_out) noexcept nogil

# The hash of a stored record, HASH_SIZE bytes: of its place (position, version, time, previous hash and position),
# the hash of its content, and its stream's name. The content is the draft: the head without its place, CRC and
# stream, then type, actor, tags and data.
# PERF: bench/event_store.py. So most of the hashing is done where drafts are made, not where they are committed.
cdef void hash_record(const char* record, Py_ssize_t size, char* out) noexcept nogil

# Look at a stored record as a reader would, and return a Damage. `position` 0: whichever it says.
# Without `verify` the CRC is taken on trust; what is then read stays within the record all the same.
cdef int check_record(const char* record, Py_ssize_t size, uint64_t position, bint verify) noexcept nogil

# Return a stream's name as it is stored; the bytes belong to `stream`. Raises TypeError or EventInvalid.
cdef Span check_stream(object stream) except *

# Raise EventDamaged for what check_record found.
cdef int raise_damage(int damage, const char* record, Py_ssize_t size, uint64_t position) except -1

# Copy a stored record out and return its Event; raises EventDamaged as check_record finds.
cdef Event make_event(const char* record, Py_ssize_t size, uint64_t position, bint verify)


cdef class Envelope:
    cdef bytes held            # the record; of a draft: with an empty stream, and places left
    cdef bytes clear           # the data decrypted; None: as in the record

    cdef const char* start(self) noexcept
    cdef str text(self, Span span, str what)
    cdef object uuid_at(self, int at)


cdef class Event(Envelope):
    pass


cdef class Draft(Envelope):    # immutable: both stay where they are while the draft lives
    cdef char[HASH_SIZE] content   # hash
