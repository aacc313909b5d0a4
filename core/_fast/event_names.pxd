# What a writer knows of names: of streams their id and head, of tags their id and this batch's events.
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    NO_POSTING = 0xffffffff

cdef struct Name:
    Name* next                 # in the same bucket
    uint64_t hash
    uint64_t epoch             # what stands below was looked up in this epoch of the writer, else they are unknown
    uint64_t id                # 0: not stored yet
    uint64_t version           # of a stream: its last event's
    uint64_t position          # of a stream: its last event's
    uint64_t batch             # that wrote to the stream; of a tag: that its two postings belong to
    uint32_t first_posting     # index, or NO_POSTING
    uint32_t last_posting
    uint32_t size
    char* text                 # SAFETY: lies behind the struct, freed with it

cdef struct NameTable:         # zeroed: empty
    Name** buckets
    uint32_t mask              # number of buckets less 1
    uint32_t count
    uint64_t secret_low, secret_high

cdef struct NameList:          # zeroed: empty
    Name** items               # SAFETY: owned
    uint32_t count, room

# Append a name; False: no memory.
cdef bint list_name(NameList* names, Name* name) noexcept nogil

# Find a name, or take it up; NULL: no memory. It stays where it is until the table is cleared.
cdef Name* know_name(NameTable* table, const char* text, uint32_t size) noexcept nogil
cdef void clear_names(NameTable* table) noexcept nogil
