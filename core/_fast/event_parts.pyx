"""Check what callers give for the parts of an event, and write ids and tags as they are stored.

The rule it guards: what cannot be stored, or could not be told apart when it is read, is refused here with its
limit named; nothing is cut or changed silently. Called by core/_fast/envelope.
"""

import uuid

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_Check
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_Check
from libc.stdint cimport UINT16_MAX, int64_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from core._fast.clock cimport realtime_ns
from core._fast.event_layout cimport (
    CODEC_ENCRYPTED, CODEC_JSON, ID_SIZE, MOST_NAME, MOST_TAGS, TAG_END, Span,
)
from core._fast.ids cimport IdSource

from core.event_log.errors import EventInvalid

cdef extern from "<endian.h>" nogil:
    uint64_t htobe64(uint64_t word)

cdef char[ID_SIZE] NO_ID
memset(NO_ID, 0, ID_SIZE)
cdef object UUID = uuid.UUID
cdef IdSource ids = IdSource()
cdef uint64_t last_stamp = 0


cdef Span text_of(object value, str what, Py_ssize_t most) except *:
    """Return a str's UTF-8, which belongs to it; raise TypeError or EventInvalid if it may not stand there."""
    cdef Span span
    if not PyUnicode_Check(value):
        raise TypeError(f"{what} is a str, not {type(value).__name__}")
    try:
        span.data = PyUnicode_AsUTF8AndSize(value, &span.size)
    except UnicodeEncodeError as error:
        raise EventInvalid(f"{what} cannot be written as UTF-8: {error.reason}") from None
    if span.size > most:
        raise EventInvalid(f"{what} has {span.size} bytes of UTF-8; it may have {most}")
    return span


cdef Span name_of(object value, str what) except *:
    cdef Span span = text_of(value, what, MOST_NAME)
    if span.size == 0:
        raise EventInvalid(f"{what} is empty")
    return span


cdef int64_t whole(object value, str what, int64_t least, int64_t most) except? -1:
    """Return an int between two bounds."""
    cdef int overflow = 0
    if not PyLong_Check(value):
        raise TypeError(f"{what} is an int, not {type(value).__name__}")
    cdef int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow or not least <= number <= most:
        raise EventInvalid(f"{what} is {value}; it must be from {least} to {most}")
    return number


cdef int put_id(char* to, object value, str what) except -1:
    """Write an id, given as 16 bytes or as a UUID; zeros mean none and cannot be given."""
    if type(value) is not bytes and isinstance(value, UUID):
        value = value.bytes
    if type(value) is not bytes:
        raise TypeError(f"{what} is 16 bytes or a UUID, not {type(value).__name__}")
    if PyBytes_GET_SIZE(value) != ID_SIZE:
        raise EventInvalid(f"{what} is {ID_SIZE} bytes long, not {PyBytes_GET_SIZE(value)}")
    if memcmp(PyBytes_AS_STRING(value), NO_ID, ID_SIZE) == 0:
        raise EventInvalid(f"{what} is all zeros, which stands for none")
    memcpy(to, PyBytes_AS_STRING(value), ID_SIZE)
    return 0


cdef int put_new_id(char* to) except -1:
    """Write a UUID of version 7 (RFC 9562, method 3): each is greater than those made before in this process."""
    global last_stamp
    # SAFETY: drawn first, for it may let other threads run; from there on none does.
    cdef uint64_t low = (ids.word() >> 2) | <uint64_t>1 << 63
    cdef uint64_t now = <uint64_t>realtime_ns()
    cdef uint64_t stamp = (now // 1000000) << 12 | ((now % 1000000) << 12) // 1000000
    if stamp <= last_stamp:
        stamp = last_stamp + 1
    last_stamp = stamp
    cdef uint64_t high = htobe64((stamp >> 12) << 16 | 0x7000 | (stamp & 0xfff))
    low = htobe64(low)
    memcpy(to, &high, 8)
    memcpy(to + 8, &low, 8)
    return 0


def make_id():
    """Return a new event id: a UUID of version 7, 16 bytes, greater than those made before in this process."""
    cdef char[ID_SIZE] made
    put_new_id(made)
    return made[:ID_SIZE]


cdef int check_codec(object codec) except -1:
    cdef int64_t number = whole(codec, "the codec", 0, 255)
    if number & ~<int64_t>CODEC_ENCRYPTED > CODEC_JSON:
        raise EventInvalid(f"the codec is {number}; it is BYTES, MSGPACK or JSON, with ENCRYPTED added or not")
    return <int>number


cdef tuple distinct_tags(object tags):
    """Return each tag once, in order."""
    if PyUnicode_Check(tags):
        raise TypeError("tags are a tuple of str, not one str")
    cdef tuple found = tuple(dict.fromkeys(tags)) if tags else ()
    if len(found) > MOST_TAGS:
        raise EventInvalid(f"an event has {len(found)} tags; it may have {MOST_TAGS}")
    return found


cdef Py_ssize_t size_of_tags(tuple tags) except -1:
    """Return how many bytes the tags take, with what stands between them."""
    cdef Py_ssize_t size = 0
    cdef Py_ssize_t i
    cdef Span text
    for tag in tags:
        text = name_of(tag, "a tag")
        for i in range(text.size):
            if text.data[i] == TAG_END:
                raise EventInvalid(f"a tag holds U+001F, which stands between tags: {tag!r}")
        size += text.size + 1
    if size - 1 > UINT16_MAX:
        raise EventInvalid(f"the tags have {size - 1} bytes of UTF-8 together; they may have {UINT16_MAX}")
    return size - 1 if size else 0


cdef char* put_tags(char* to, tuple tags) except NULL:
    cdef Span text
    cdef bint first = True
    for tag in tags:
        if not first:
            to[0] = TAG_END
            to += 1
        first = False
        text = text_of(tag, "a tag", MOST_NAME)
        memcpy(to, text.data, text.size)
        to += text.size
    return to
