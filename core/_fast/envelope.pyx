"""Hold events as the bytes that are stored: drafts made by callers, records finished by the writer, events read.

The rule it guards: a record is finished by one copy, without the GIL and without memory of its own, and whoever
reads it back sees every bit that changed since. The layout is in envelope.pxd. A draft is a record whose stream is
empty and whose position, version, previous hash and CRC are zero; so one set of attributes reads both.
Called by core/_fast/event_store and core/event_log. PERF: bench/event_codec.py.
"""

import uuid

import msgspec
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from cython cimport final, freelist
from libc.stdint cimport UINT16_MAX, INT64_MAX
from libc.string cimport memcmp, memcpy, memset

from core._fast.sha256 cimport HASH_SIZE, Sha256, sha256, sha256_add, sha256_begin, sha256_end
from core._fast.crc32c cimport crc32c
from core._fast.event_parts cimport (
    check_codec, distinct_tags, name_of, put_id, put_new_id, put_tags, size_of_tags, text_of, whole,
)

from core.event_log.errors import EventDamaged, EventInvalid, EventSealed, EventUndecodable

cdef extern from "<endian.h>" nogil:
    uint16_t htole16(uint16_t word)
    uint32_t htole32(uint32_t word)
    uint64_t htole64(uint64_t word)

BYTES = CODEC_BYTES
MSGPACK = CODEC_MSGPACK
JSON = CODEC_JSON
ENCRYPTED = CODEC_ENCRYPTED
NAME_LIMIT = MOST_NAME
TAG_LIMIT = MOST_TAGS
DATA_LIMIT = MOST_DATA

cdef char[HASH_SIZE] ZEROS
memset(ZEROS, 0, HASH_SIZE)
cdef bytes NOTHING = bytes(HEAD_SIZE)
cdef object UUID = uuid.UUID
cdef object decode_msgpack = msgspec.msgpack.decode
cdef object decode_json = msgspec.json.decode


cdef inline void store16(char* at, uint16_t number) noexcept nogil:
    number = htole16(number)
    memcpy(at, &number, 2)


cdef inline void store32(char* at, uint32_t number) noexcept nogil:
    number = htole32(number)
    memcpy(at, &number, 4)


cdef inline void store64(char* at, uint64_t number) noexcept nogil:
    number = htole64(number)
    memcpy(at, &number, 8)


cdef Py_ssize_t finish_record(char* to, const char* draft, Py_ssize_t draft_size, const char* content,
                              const char* stream, Py_ssize_t stream_size,
                              uint64_t position, uint64_t version, int64_t time_ns,
                              uint64_t previous_position, const char* previous_hash, char* hash_out) noexcept nogil:
    cdef Py_ssize_t size = stored_size(draft_size, stream_size)
    memcpy(to, draft, HEAD_SIZE)
    memcpy(to + HEAD_SIZE, stream, stream_size)
    memcpy(to + HEAD_SIZE + stream_size, draft + HEAD_SIZE, draft_size - HEAD_SIZE)
    store64(to + AT_POSITION, position)
    store64(to + AT_VERSION, version)
    if <int64_t>load64(draft + AT_TIME) == TIME_OF_COMMIT:
        store64(to + AT_TIME, <uint64_t>time_ns)
    memcpy(to + AT_PREVIOUS_HASH, previous_hash if previous_hash != NULL else ZEROS, HASH_SIZE)
    store64(to + AT_PREVIOUS_POSITION, previous_position)
    store16(to + AT_STREAM_SIZE, <uint16_t>stream_size)
    store32(to + AT_CRC, crc32c(0, to + AT_FORMAT, size - AT_FORMAT))
    hash_link(to, content, hash_out)
    return size


cdef void hash_link(const char* record, const char* content, char* out) noexcept nogil:
    cdef Sha256 hash
    cdef Span stream = stream_of(record)
    sha256_begin(&hash)
    sha256_add(&hash, record + AT_POSITION, AT_ID - AT_POSITION)
    sha256_add(&hash, record + AT_PREVIOUS_HASH, AT_STREAM_SIZE - AT_PREVIOUS_HASH)
    sha256_add(&hash, content, HASH_SIZE)
    sha256_add(&hash, stream.data, stream.size)
    sha256_end(&hash, out)


cdef void hash_record(const char* record, Py_ssize_t size, char* out) noexcept nogil:
    cdef char[HEAD_SIZE] head
    cdef char[HASH_SIZE] content
    cdef Sha256 hash
    cdef const char* rest = type_of(record).data
    memcpy(head, record, HEAD_SIZE)
    memset(&head[AT_CRC], 0, AT_FORMAT - AT_CRC)
    memset(&head[AT_POSITION], 0, AT_ID - AT_POSITION)
    memset(&head[AT_PREVIOUS_HASH], 0, AT_TYPE_SIZE - AT_PREVIOUS_HASH)
    sha256_begin(&hash)
    sha256_add(&hash, head, HEAD_SIZE)
    sha256_add(&hash, rest, record + size - rest)
    sha256_end(&hash, content)
    hash_link(record, content, out)


cdef inline Py_ssize_t size_told(const char* record) noexcept nogil:
    """Return the size that the lengths in a head add up to."""
    return (HEAD_SIZE + load16(record + AT_STREAM_SIZE) + load16(record + AT_TYPE_SIZE)
            + load16(record + AT_ACTOR_SIZE) + load16(record + AT_TAGS_SIZE)
            + <Py_ssize_t>load32(record + AT_DATA_SIZE))


cdef int check_record(const char* record, Py_ssize_t size, uint64_t position, bint verify) noexcept nogil:
    if size < HEAD_SIZE:
        return TOO_SHORT
    cdef bint known = <uint8_t>record[AT_FORMAT] == RECORD_FORMAT
    if known and size_told(record) != size:
        return SIZE_WRONG
    if verify and crc32c(0, record + AT_FORMAT, size - AT_FORMAT) != load32(record + AT_CRC):
        return CRC_WRONG
    if not known:
        return FORMAT_UNKNOWN
    if position != 0 and load64(record + AT_POSITION) != position:
        return PLACE_WRONG
    return SOUND


cdef int raise_damage(int damage, const char* record, Py_ssize_t size, uint64_t position) except -1:
    cdef str what
    cdef uint64_t told = load64(record + AT_POSITION) if size >= HEAD_SIZE else 0
    if damage == TOO_SHORT:
        what = f"{size} bytes are less than its first {HEAD_SIZE}"
    elif damage == SIZE_WRONG:
        what = f"its parts need {size_told(record)} bytes, it has {size}"
    elif damage == CRC_WRONG:
        what = "its checksum is not that of its bytes"
    elif damage == FORMAT_UNKNOWN:
        what = f"its format is {<uint8_t>record[AT_FORMAT]}, this version reads format {RECORD_FORMAT}"
    else:
        what = f"it says that it stands at position {told}"
    raise EventDamaged(position or told, what)


cdef Event make_event(const char* record, Py_ssize_t size, uint64_t position, bint verify):
    cdef int damage = check_record(record, size, position, verify)
    if damage != SOUND:
        raise_damage(damage, record, size, position)
    cdef Event event = Event.__new__(Event)
    event.held = PyBytes_FromStringAndSize(record, size)
    return event


def read_event(record, bint verify=True, *, uint64_t position=0):
    """Return the event of a stored record, bytes or another buffer, which is copied.

    Raises EventDamaged unless the record is sound, and that of ``position`` if one is given. Without ``verify``
    the checksum is taken on trust.
    """
    cdef bytes held = record if type(record) is bytes else bytes(memoryview(record))
    cdef const char* start = PyBytes_AS_STRING(held)
    cdef int damage = check_record(start, PyBytes_GET_SIZE(held), position, verify)
    if damage != SOUND:
        raise_damage(damage, start, PyBytes_GET_SIZE(held), position)
    cdef Event event = Event.__new__(Event)
    event.held = held
    return event


cdef Span check_stream(object stream) except *:
    return name_of(stream, "the stream's name")


@freelist(256)
cdef class Envelope:
    """What a draft and a stored event have in common: attributes that are read when asked for."""

    def __cinit__(self):
        self.held = NOTHING

    cdef str text(self, Span span, str what):
        try:
            return PyUnicode_DecodeUTF8(span.data, span.size, NULL)
        except UnicodeDecodeError as error:
            raise EventDamaged(load64(self.start() + AT_POSITION), f"its {what} is not UTF-8: {error.reason}") from None

    cdef const char* start(self) noexcept:
        return PyBytes_AS_STRING(self.held)

    cdef object uuid_at(self, int at):
        cdef const char* raw = self.start() + at
        return None if memcmp(raw, ZEROS, ID_SIZE) == 0 else UUID(bytes=raw[:ID_SIZE])

    @property
    def id(self):
        """Return the event's id, a UUID: the same for the same event, however often it is appended."""
        return UUID(bytes=self.id_bytes)

    @property
    def id_bytes(self):
        """Return the event's id as 16 bytes."""
        return (self.start() + AT_ID)[:ID_SIZE]

    @property
    def type(self):
        """Return what happened, as a name."""
        return self.text(type_of(self.start()), "type")

    @property
    def schema_version(self):
        """Return the version of the form that the data of this type has, from 1."""
        return load16(self.start() + AT_SCHEMA_VERSION)

    @property
    def correlation_id(self):
        """Return the UUID of the request, command or process that this belongs to, or None."""
        return self.uuid_at(AT_CORRELATION)

    @property
    def causation_id(self):
        """Return the UUID of the command or event that this follows from, or None."""
        return self.uuid_at(AT_CAUSATION)

    @property
    def actor(self):
        """Return who did it; empty: nobody is named."""
        return self.text(actor_of(self.start()), "actor")

    @property
    def tags(self):
        """Return the tags, a tuple of str in the order in which they were given."""
        cdef Span left = tags_of(self.start())
        cdef list found
        if left.size == 0:
            return ()
        found = []
        while left.size:
            found.append(self.text(next_tag(&left), "tags"))
        return tuple(found)

    @property
    def codec(self):
        """Return how the data is written: BYTES, MSGPACK or JSON, plus ENCRYPTED if it is sealed."""
        cdef int codec = <uint8_t>self.start()[AT_CODEC]
        return codec if self.clear is None else codec & ~CODEC_ENCRYPTED

    @property
    def sealed(self):
        """Tell whether the data is encrypted, and not yet opened."""
        return self.clear is None and <uint8_t>self.start()[AT_CODEC] & CODEC_ENCRYPTED != 0

    @property
    def data(self):
        """Return the data, bytes as the codec wrote them."""
        cdef Span span
        if self.clear is not None:
            return self.clear
        span = data_of(self.start())
        return PyBytes_FromStringAndSize(span.data, span.size)

    def value(self):
        """Return the data decoded to plain Python values.

        Raises EventSealed if it is encrypted, EventUndecodable if it is not what the codec says.
        """
        cdef uint64_t position = load64(self.start() + AT_POSITION)
        cdef int codec = self.codec
        if codec & CODEC_ENCRYPTED:
            raise EventSealed(position)
        if codec == CODEC_BYTES:
            return self.data
        if codec != CODEC_MSGPACK and codec != CODEC_JSON:
            raise EventUndecodable(position, f"there is no codec {codec}")
        try:
            return decode_msgpack(self.data) if codec == CODEC_MSGPACK else decode_json(self.data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EventUndecodable(position, str(error)) from error

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        cdef Envelope that = <Envelope>other
        return self.held == that.held and self.clear == that.clear

    def __hash__(self):
        return hash(self.held)


@final
cdef class Event(Envelope):
    """An event in the log, immutable. ``read_event`` and the store make them."""

    def __init__(self):
        raise TypeError("events are read from a log; what is to be appended is a Draft")

    @property
    def position(self):
        """Return its place in the whole log, from 1, without gaps."""
        return load64(self.start() + AT_POSITION)

    @property
    def stream(self):
        """Return the name of its stream."""
        return self.text(stream_of(self.start()), "stream")

    @property
    def version(self):
        """Return its place in its stream, from 1, without gaps."""
        return load64(self.start() + AT_VERSION)

    @property
    def time_ns(self):
        """Return when it was appended, or the time it was given: ns since 1970."""
        return <int64_t>load64(self.start() + AT_TIME)

    @property
    def record(self):
        """Return the bytes as they are stored."""
        return self.held

    @property
    def previous_hash(self):
        """Return the hash of the record before it, 32 bytes; zeros at position 1."""
        return (self.start() + AT_PREVIOUS_HASH)[:HASH_SIZE]

    @property
    def previous_position(self):
        """Return the position of its stream's event before it; 0: it is the stream's first."""
        return load64(self.start() + AT_PREVIOUS_POSITION)

    @property
    def hash(self):
        """Return the hash of the record, 32 bytes: the next one's ``previous_hash``."""
        cdef char[HASH_SIZE] out
        hash_record(self.start(), PyBytes_GET_SIZE(self.held), out)
        return out[:HASH_SIZE]

    def opened(self, bytes data not None):
        """Return this event with its decrypted data; raises EventInvalid if it is not sealed."""
        if not self.sealed:
            raise EventInvalid("only an event whose data is encrypted can be opened")
        cdef Event event = Event.__new__(Event)
        event.held = self.held
        event.clear = data
        return event

    def __repr__(self):
        return f"Event({self.position}, {self.stream!r}, version={self.version}, type={self.type!r})"


@final
cdef class Draft(Envelope):
    """An event to append, immutable: everything but its stream, position, version and place in the chain.

    ``type``, ``actor`` and each of ``tags``: str of at most NAME_LIMIT bytes of UTF-8; tags given twice count once.
    ``data``: bytes, at most DATA_LIMIT. ``codec``: how they are written, plus ENCRYPTED if they are encrypted.
    ``id``, ``correlation_id``, ``causation_id``: 16 bytes or a UUID; without an id, a new one.
    ``time_ns``: ns since 1970; None: when it is committed. Raises TypeError, and EventInvalid naming the limit.
    """

    def __cinit__(self, type, bytes data not None, *, codec=CODEC_MSGPACK, id=None, schema_version=1, tags=(),
                  actor="", correlation_id=None, causation_id=None, time_ns=None):
        cdef Span type_text = name_of(type, "the event's type")
        cdef Span actor_text = text_of(actor, "the actor", MOST_NAME)
        cdef tuple tag_texts = distinct_tags(tags)
        cdef Py_ssize_t tags_size = size_of_tags(tag_texts)
        cdef Py_ssize_t data_size = PyBytes_GET_SIZE(data)
        if data_size > MOST_DATA:
            raise EventInvalid(f"the data has {data_size} bytes; it may have {MOST_DATA}")
        cdef bytes held = PyBytes_FromStringAndSize(
            NULL, HEAD_SIZE + type_text.size + actor_text.size + tags_size + data_size)
        cdef char* to = PyBytes_AS_STRING(held)
        memset(to, 0, HEAD_SIZE)
        to[AT_FORMAT] = RECORD_FORMAT
        to[AT_CODEC] = <char>check_codec(codec)
        store16(to + AT_SCHEMA_VERSION, <uint16_t>whole(schema_version, "the schema version", 1, UINT16_MAX))
        if id is None:
            put_new_id(to + AT_ID)
        else:
            put_id(to + AT_ID, id, "the event's id")
        if correlation_id is not None:
            put_id(to + AT_CORRELATION, correlation_id, "the correlation id")
        if causation_id is not None:
            put_id(to + AT_CAUSATION, causation_id, "the causation id")
        store16(to + AT_TYPE_SIZE, <uint16_t>type_text.size)
        store16(to + AT_ACTOR_SIZE, <uint16_t>actor_text.size)
        store16(to + AT_TAGS_SIZE, <uint16_t>tags_size)
        store32(to + AT_DATA_SIZE, <uint32_t>data_size)
        to += HEAD_SIZE
        memcpy(to, type_text.data, type_text.size)
        to += type_text.size
        memcpy(to, actor_text.data, actor_text.size)
        to = put_tags(to + actor_text.size, tag_texts)
        memcpy(to, PyBytes_AS_STRING(data), data_size)
        to = PyBytes_AS_STRING(held)
        sha256(to, PyBytes_GET_SIZE(held), self.content)
        store64(to + AT_TIME, <uint64_t>(
            TIME_OF_COMMIT if time_ns is None else whole(time_ns, "time_ns", -INT64_MAX, INT64_MAX)))
        self.held = held

    @property
    def time_ns(self):
        """Return the time that it was given, ns since 1970; None: it gets that of its commit."""
        cdef int64_t time_ns = <int64_t>load64(self.start() + AT_TIME)
        return None if time_ns == TIME_OF_COMMIT else time_ns

    def finish(self, stream, position, version, time_ns, bytes previous_hash=None, previous_position=0):
        """Return the event that this becomes in a log; ``time_ns`` is the commit's.

        Without a previous hash, which is 32 bytes long, it is the log's first; without the position of its
        stream's event before it, the stream's. Raises TypeError and EventInvalid.
        """
        cdef Span name = check_stream(stream)
        cdef const char* previous = NULL
        cdef char[HASH_SIZE] hash_out
        if previous_hash is not None:
            if PyBytes_GET_SIZE(previous_hash) != HASH_SIZE:
                raise EventInvalid(f"a hash is {HASH_SIZE} bytes long, not {PyBytes_GET_SIZE(previous_hash)}")
            previous = PyBytes_AS_STRING(previous_hash)
        cdef uint64_t at = <uint64_t>whole(position, "the position", 1, INT64_MAX)
        cdef uint64_t number = <uint64_t>whole(version, "the version", 1, INT64_MAX)
        cdef int64_t now = whole(time_ns, "time_ns", -INT64_MAX, INT64_MAX)
        cdef uint64_t before = <uint64_t>whole(previous_position, "the previous position", 0, INT64_MAX)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.held)
        cdef Event event = Event.__new__(Event)
        event.held = PyBytes_FromStringAndSize(NULL, stored_size(size, name.size))
        finish_record(PyBytes_AS_STRING(event.held), self.start(), size, self.content, name.data, name.size, at,
                      number, now, before, previous, hash_out)
        return event

    def __repr__(self):
        return f"Draft({self.type!r}, {len(self.data)} bytes, id={self.id})"


def finish_repeatedly(Draft draft not None, stream, Py_ssize_t times):
    """Finish a draft ``times`` times, each following the one before, for bench/event_codec.py; return the last."""
    cdef Span name = check_stream(stream)
    cdef const char* start = draft.start()
    cdef Py_ssize_t size = PyBytes_GET_SIZE(draft.held)
    cdef bytes held = PyBytes_FromStringAndSize(NULL, stored_size(size, name.size))
    cdef char* to = PyBytes_AS_STRING(held)
    cdef char[HASH_SIZE] chain
    cdef Py_ssize_t i
    memset(chain, 0, HASH_SIZE)
    with nogil:
        for i in range(times):
            finish_record(to, start, size, draft.content, name.data, name.size, i + 1, i + 1, i, i, chain,
                          chain)
    return read_event(held)
