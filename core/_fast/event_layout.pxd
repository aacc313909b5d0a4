# The layout of an event's record: numbers, then stream, type, actor, tags and data, one after another.
# Part of core/_fast/envelope's face, which passes it on.
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t
from libc.string cimport memcpy

cdef extern from "<endian.h>" nogil:
    uint16_t le16toh(uint16_t word)
    uint32_t le32toh(uint32_t word)
    uint64_t le64toh(uint64_t word)

cdef enum:
    RECORD_FORMAT = 1
    MOST_NAME = 400            # bytes of a stream's name, a type, a tag or an actor
    MOST_TAGS = 255            # tags of one event
    MOST_DATA = 16 << 20       # bytes of an event's data
    TAG_END = 0x1f             # stands between two tags
    ID_SIZE = 16

cdef enum:                     # offsets in a record; all numbers are little-endian
    AT_CRC = 0                 # u32, CRC-32C of everything after it
    AT_FORMAT = 4              # u8
    AT_CODEC = 5               # u8, Codec
    AT_SCHEMA_VERSION = 6      # u16
    AT_POSITION = 8            # u64, from 1
    AT_VERSION = 16            # u64, from 1
    AT_TIME = 24               # i64, ns since 1970
    AT_ID = 32                 # 16 bytes
    AT_CORRELATION = 48        # 16 bytes, zeros: none
    AT_CAUSATION = 64          # 16 bytes, zeros: none
    AT_PREVIOUS_HASH = 80      # 32 bytes, zeros for position 1
    AT_PREVIOUS_POSITION = 112     # u64, of its stream's event before it; 0: it is the first
    AT_STREAM_SIZE = 120       # u16
    AT_TYPE_SIZE = 122         # u16
    AT_ACTOR_SIZE = 124        # u16
    AT_TAGS_SIZE = 126         # u16
    AT_DATA_SIZE = 128         # u32
    HEAD_SIZE = 132            # then: stream, type, actor, tags, data

cdef enum Codec:
    CODEC_BYTES = 0
    CODEC_MSGPACK = 1
    CODEC_JSON = 2
    CODEC_ENCRYPTED = 128      # added to one of the others

cdef enum Damage:              # what check_record finds
    SOUND = 0
    TOO_SHORT                  # not even a head
    FORMAT_UNKNOWN             # sound, as far as it can be told
    SIZE_WRONG                 # the parts do not fill the record exactly: it was cut, or something follows
    CRC_WRONG
    PLACE_WRONG                # the record of another position

cdef extern from "<stdint.h>" nogil:
    const int64_t TIME_OF_COMMIT "INT64_MIN"   # in a draft: it has no time of its own


cdef inline uint16_t load16(const char* at) noexcept nogil:
    cdef uint16_t word
    memcpy(&word, at, 2)
    return le16toh(word)


cdef inline uint32_t load32(const char* at) noexcept nogil:
    cdef uint32_t word
    memcpy(&word, at, 4)
    return le32toh(word)


cdef inline uint64_t load64(const char* at) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, at, 8)
    return le64toh(word)


cdef struct Span:
    const char* data
    Py_ssize_t size

# Where a part stands, in a stored record or in a draft's (whose stream is empty). Only of sound ones.


cdef inline Span stream_of(const char* record) noexcept nogil:
    return Span(record + HEAD_SIZE, load16(record + AT_STREAM_SIZE))


cdef inline Span type_of(const char* record) noexcept nogil:
    return Span(record + HEAD_SIZE + load16(record + AT_STREAM_SIZE), load16(record + AT_TYPE_SIZE))


cdef inline Span actor_of(const char* record) noexcept nogil:
    cdef Span before = type_of(record)
    return Span(before.data + before.size, load16(record + AT_ACTOR_SIZE))


cdef inline Span tags_of(const char* record) noexcept nogil:
    """All tags, with TAG_END between two; no tag is empty, none stands there twice."""
    cdef Span before = actor_of(record)
    return Span(before.data + before.size, load16(record + AT_TAGS_SIZE))


cdef inline Span data_of(const char* record) noexcept nogil:
    cdef Span before = tags_of(record)
    return Span(before.data + before.size, load32(record + AT_DATA_SIZE))


cdef inline Span next_tag(Span* tags) noexcept nogil:
    """Take the first tag off `tags`; its size is 0 when there is none left."""
    cdef Span tag = Span(tags.data, 0)
    while tag.size < tags.size and tag.data[tag.size] != TAG_END:
        tag.size += 1
    cdef Py_ssize_t taken = tag.size + (1 if tag.size < tags.size else 0)
    tags.data += taken
    tags.size -= taken
    return tag


cdef inline Py_ssize_t stored_size(Py_ssize_t draft_size, Py_ssize_t stream_size) noexcept nogil:
    """Return how many bytes finish_record writes."""
    return draft_size + stream_size
