"""Hold one message's header fields and know the names that matter.

Rule: what is in a Headers can be written to a socket as it stands: names are tokens, values hold no control
bytes but HTAB. Parsed fields are views into the received bytes, fields set from Python are views into their
own bytes objects. Called by the parsers, the connections, the proxy's own header code and, through the
Python face, by plugins.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from core._fast.chars cimport (
    CHAR_TOKEN, CHAR_UNDERSCORE, equal_ignoring_case, lower_char, same_known_name, scan_class, scan_name,
    scan_value,
)

from core.errors import HeaderInvalid

cdef enum:
    KNOWN_LONGEST = 32      # no known name is longer
    SLOTS = 256             # of the hash table below, a power of two
    FIRST_CAPACITY = 16
    OWNED_SLACK = 64        # dead bytes objects kept before `owned` is swept
    LARGEST = 0x7fffffff    # bytes of one name or value

cdef struct KnownName:
    char name[KNOWN_LONGEST]    # lower case, padded with NUL
    uint8_t length
    uint8_t id
    uint16_t flags

cdef KnownName known[<int>H_COUNT]
cdef uint8_t slots[SLOTS]       # an id, or 0: empty

cdef int HOP = FIELD_HOP_BY_HOP | FIELD_NO_TRAILER
cdef int OWN = FIELD_FORWARDING | FIELD_NO_TRAILER
cdef int WHO = FIELD_IDENTITY | FIELD_NO_TRAILER
cdef int HEAD_ONLY = FIELD_NO_TRAILER

# A new known name is one line here and one in HeaderId.
KNOWN_NAMES = (
    (H_HOST, b"host", HEAD_ONLY),
    (H_CONNECTION, b"connection", HOP),
    (H_CONTENT_LENGTH, b"content-length", FIELD_FRAMING | HEAD_ONLY),
    (H_TRANSFER_ENCODING, b"transfer-encoding", FIELD_FRAMING | HOP),
    (H_EXPECT, b"expect", HEAD_ONLY),
    (H_UPGRADE, b"upgrade", HOP),
    (H_TE, b"te", HOP),
    (H_TRAILER, b"trailer", HEAD_ONLY),
    (H_KEEP_ALIVE, b"keep-alive", HOP),
    (H_PROXY_CONNECTION, b"proxy-connection", HOP),
    (H_PROXY_AUTHENTICATE, b"proxy-authenticate", HOP),
    (H_PROXY_AUTHORIZATION, b"proxy-authorization", HOP),
    (H_HTTP2_SETTINGS, b"http2-settings", HOP),
    (H_VIA, b"via", HEAD_ONLY),
    (H_FORWARDED, b"forwarded", OWN),
    (H_X_FORWARDED_FOR, b"x-forwarded-for", OWN),
    (H_X_FORWARDED_PROTO, b"x-forwarded-proto", OWN),
    (H_X_FORWARDED_HOST, b"x-forwarded-host", OWN),
    (H_X_FORWARDED_PORT, b"x-forwarded-port", OWN),
    (H_X_FORWARDED_PREFIX, b"x-forwarded-prefix", OWN),
    (H_X_REAL_IP, b"x-real-ip", OWN),
    (H_X_USERINFO, b"x-userinfo", WHO),
    (H_MAX_FORWARDS, b"max-forwards", HEAD_ONLY),
    (H_CDN_LOOP, b"cdn-loop", HEAD_ONLY),
    (H_DATE, b"date", HEAD_ONLY),
    (H_SERVER, b"server", HEAD_ONLY),
    (H_AUTHORIZATION, b"authorization", HEAD_ONLY),
    (H_WWW_AUTHENTICATE, b"www-authenticate", HEAD_ONLY),
    (H_COOKIE, b"cookie", HEAD_ONLY),
    (H_SET_COOKIE, b"set-cookie", HEAD_ONLY),
    (H_ACCEPT, b"accept", HEAD_ONLY),
    (H_ACCEPT_ENCODING, b"accept-encoding", HEAD_ONLY),
    (H_ACCEPT_LANGUAGE, b"accept-language", HEAD_ONLY),
    (H_ACCEPT_RANGES, b"accept-ranges", HEAD_ONLY),
    (H_USER_AGENT, b"user-agent", HEAD_ONLY),
    (H_REFERER, b"referer", HEAD_ONLY),
    (H_ORIGIN, b"origin", HEAD_ONLY),
    (H_X_REQUEST_ID, b"x-request-id", HEAD_ONLY),
    (H_TRACEPARENT, b"traceparent", HEAD_ONLY),
    (H_TRACESTATE, b"tracestate", HEAD_ONLY),
    (H_CONTENT_TYPE, b"content-type", HEAD_ONLY),
    (H_CONTENT_ENCODING, b"content-encoding", HEAD_ONLY),
    (H_CONTENT_LANGUAGE, b"content-language", HEAD_ONLY),
    (H_CONTENT_RANGE, b"content-range", HEAD_ONLY),
    (H_CONTENT_DISPOSITION, b"content-disposition", HEAD_ONLY),
    (H_CACHE_CONTROL, b"cache-control", HEAD_ONLY),
    (H_PRAGMA, b"pragma", HEAD_ONLY),
    (H_AGE, b"age", HEAD_ONLY),
    (H_EXPIRES, b"expires", HEAD_ONLY),
    (H_ETAG, b"etag", 0),
    (H_LAST_MODIFIED, b"last-modified", HEAD_ONLY),
    (H_VARY, b"vary", HEAD_ONLY),
    (H_RANGE, b"range", HEAD_ONLY),
    (H_IF_MATCH, b"if-match", HEAD_ONLY),
    (H_IF_NONE_MATCH, b"if-none-match", HEAD_ONLY),
    (H_IF_MODIFIED_SINCE, b"if-modified-since", HEAD_ONLY),
    (H_IF_UNMODIFIED_SINCE, b"if-unmodified-since", HEAD_ONLY),
    (H_IF_RANGE, b"if-range", HEAD_ONLY),
    (H_LOCATION, b"location", HEAD_ONLY),
    (H_RETRY_AFTER, b"retry-after", HEAD_ONLY),
    (H_ALLOW, b"allow", HEAD_ONLY),
    (H_LINK, b"link", HEAD_ONLY),
    (H_RATELIMIT, b"ratelimit", HEAD_ONLY),
    (H_RATELIMIT_POLICY, b"ratelimit-policy", HEAD_ONLY),
    (H_IDEMPOTENCY_KEY, b"idempotency-key", HEAD_ONLY),
    (H_X_API_KEY, b"x-api-key", HEAD_ONLY),
    (H_SEC_WEBSOCKET_KEY, b"sec-websocket-key", HEAD_ONLY),
    (H_SEC_WEBSOCKET_VERSION, b"sec-websocket-version", HEAD_ONLY),
    (H_SEC_WEBSOCKET_PROTOCOL, b"sec-websocket-protocol", HEAD_ONLY),
    (H_SEC_WEBSOCKET_EXTENSIONS, b"sec-websocket-extensions", HEAD_ONLY),
    (H_SEC_WEBSOCKET_ACCEPT, b"sec-websocket-accept", HEAD_ONLY),
)


cdef inline unsigned int slot_of(const char* name, Py_ssize_t n) noexcept nogil:
    """Hash a name of at least one byte by its length and three of its bytes, case ignored."""
    cdef uint32_t key = (
        <uint32_t>(<unsigned char>name[0] | 0x20)
        | <uint32_t>(<unsigned char>name[n >> 1] | 0x20) << 8
        | <uint32_t>(<unsigned char>name[n - 1] | 0x20) << 16
        | <uint32_t>(n & 0xff) << 24
    )
    return (key * <uint32_t>0x9e3779b1) >> 24


cdef inline int lookup(const char* name, Py_ssize_t n) noexcept nogil:
    """Return the id of a token, 0 when it is unknown."""
    cdef unsigned int slot
    cdef KnownName* entry
    if n > KNOWN_LONGEST:
        return 0
    slot = slot_of(name, n)
    while slots[slot]:
        entry = &known[slots[slot]]
        if entry.length == n and same_known_name(name, entry.name, n):
            return entry.id
        slot = (slot + 1) & (SLOTS - 1)
    return 0


cdef inline bint begins(const char* name, Py_ssize_t n, const char* prefix, Py_ssize_t length) noexcept nogil:
    """Tell whether a name starts so, with '_' read as '-', as a CGI-like server behind us would read it."""
    cdef Py_ssize_t i
    cdef unsigned char c
    if n < length:
        return False
    for i in range(length):
        c = <unsigned char>name[i]
        if (c'-' if c == c'_' else lower_char(c)) != <unsigned char>prefix[i]:
            return False
    return True


cdef int family(const char* name, Py_ssize_t n) noexcept nogil:
    """Return the flags that an unknown name starting with x earns by its prefix."""
    if begins(name, n, b"x-forwarded", 11) or (n == 9 and begins(name, n, b"x-real-ip", 9)):
        return FIELD_FORWARDING | FIELD_NO_TRAILER
    if (
        begins(name, n, b"x-consumer-", 11) or begins(name, n, b"x-authenticated-", 16)
        or begins(name, n, b"x-credential-", 13) or (n == 10 and begins(name, n, b"x-userinfo", 10))
    ):
        return FIELD_IDENTITY | FIELD_NO_TRAILER
    return 0


cdef void classify(Field* field, unsigned int seen) noexcept nogil:
    """Fill id and flags of a field whose name is a token."""
    cdef int id = lookup(field.name, field.name_len)
    cdef int flags = known[id].flags
    if seen & CHAR_UNDERSCORE:
        flags |= FIELD_UNDERSCORE
    if id == 0 and field.name[0] | 0x20 == c'x':
        flags |= family(field.name, field.name_len)
    field.id = id
    field.flags = flags


cdef int header_id(const char* name, Py_ssize_t n) noexcept nogil:
    """Return the id of any bytes as a header name, 0 when unknown or not a token."""
    if n <= 0 or n > KNOWN_LONGEST or scan_class(name, name + n, CHAR_TOKEN) != name + n:
        return 0
    return lookup(name, n)


cdef int fill_field(Field* field, bytes name, bytes value) except -1:
    """Point a field at two bytes objects, or refuse what could not stand in a head."""
    cdef const char* start = PyBytes_AS_STRING(name)
    cdef const char* end = start + PyBytes_GET_SIZE(name)
    cdef const char* first = PyBytes_AS_STRING(value)
    cdef const char* last = first + PyBytes_GET_SIZE(value)
    cdef unsigned int seen = 0
    if start == end or scan_name(start, end, &seen) != end or end - start > LARGEST:
        raise HeaderInvalid(f"header name {name[:80]!r} is not a token (RFC 9110 section 5.6.2)")
    if scan_value(first, last) != last or last - first > LARGEST:
        raise HeaderInvalid(f"value of header {name[:80]!r} holds a control byte: {value[:80]!r}")
    while first < last and (first[0] == c' ' or first[0] == c'\t'):
        first += 1
    while first < last and ((last - 1)[0] == c' ' or (last - 1)[0] == c'\t'):
        last -= 1
    field.name = start
    field.name_len = <uint32_t>(end - start)
    field.value = first
    field.value_len = <uint32_t>(last - first)
    classify(field, seen)
    return 0


cdef inline bint named(const Field* field, int id, const char* name, Py_ssize_t n) noexcept nogil:
    """Tell whether a field has this name, whose id is known to the caller."""
    if id:
        return field.id == id
    return field.id == 0 and field.name_len == n and equal_ignoring_case(field.name, name, n)


cdef inline bytes name_of(const Field* field):
    return PyBytes_FromStringAndSize(<char*>field.name, field.name_len)


cdef inline bytes value_of(const Field* field):
    return PyBytes_FromStringAndSize(<char*>field.value, field.value_len)


cdef class Headers:
    """Hold header fields in order; names compare without regard to ASCII case.

    Names and values are bytes both ways; str is a TypeError. Values come back without white space around.
    """

    def __init__(self, pairs=()):
        """Start with the (name, value) pairs given. Raises HeaderInvalid as `add` does."""
        for name, value in pairs:
            self.add(name, value)

    def __dealloc__(self):
        free(self.fields)

    cdef void clear(self) noexcept:
        self.count = 0
        self.backing = None
        if self.owned is not None:
            self.owned = None

    cdef int grow(self) except -1:
        cdef int capacity = self.capacity * 2 if self.capacity else FIRST_CAPACITY
        cdef Field* larger = <Field*>realloc(self.fields, capacity * sizeof(Field))
        if larger == NULL:
            raise MemoryError
        self.fields = larger
        self.capacity = capacity
        return 0

    cdef int push(self, const Field* field) except -1:
        if self.count == self.capacity:
            self.grow()
        self.fields[self.count] = field[0]
        self.count += 1
        return 0

    cdef Field* find_id(self, int id) noexcept:
        cdef int i
        for i in range(self.count):
            if self.fields[i].id == id:
                return &self.fields[i]
        return NULL

    cdef Field* find(self, const char* name, Py_ssize_t n) noexcept:
        cdef int i, id = header_id(name, n)
        for i in range(self.count):
            if named(&self.fields[i], id, name, n):
                return &self.fields[i]
        return NULL

    cdef int remove_raw(self, const char* name, Py_ssize_t n) noexcept:
        cdef int i, kept = 0, id = header_id(name, n)
        for i in range(self.count):
            if not named(&self.fields[i], id, name, n):
                if kept != i:
                    self.fields[kept] = self.fields[i]
                kept += 1
        i = self.count - kept
        self.count = kept
        return i

    cdef int drop_flagged(self, int flags) noexcept:
        cdef int i, kept = 0
        for i in range(self.count):
            if not self.fields[i].flags & flags:
                if kept != i:
                    self.fields[kept] = self.fields[i]
                kept += 1
        i = self.count - kept
        self.count = kept
        return i

    cdef int own(self, bytes name, bytes value) except -1:
        # SAFETY: a field set from Python points into `name` and `value`; this list keeps both alive.
        if self.owned is None:
            self.owned = []
        elif PyList_GET_SIZE(self.owned) > 2 * self.count + OWNED_SLACK:
            self.sweep()
        self.owned.append(name)
        self.owned.append(value)
        return 0

    cdef int sweep(self) except -1:
        """Let go of the bytes objects that no field points into any more: one may set a field for ever."""
        cdef list alive = []
        cdef int i
        for i in range(self.count):
            self.keep_owner(self.fields[i].name, alive)
            self.keep_owner(self.fields[i].value, alive)
        self.owned = alive
        return 0

    cdef int keep_owner(self, const char* place, list alive) except -1:
        """Append the object that holds this place, if it is one of the owned and not of the backing."""
        cdef bytes held
        for held in self.owned:
            if PyBytes_AS_STRING(held) <= place <= PyBytes_AS_STRING(held) + PyBytes_GET_SIZE(held):
                alive.append(held)
                break
        return 0

    cdef int add_raw(self, bytes name, bytes value) except -1:
        cdef Field field
        fill_field(&field, name, value)
        self.own(name, value)
        return self.push(&field)

    cdef int set_raw(self, bytes name, bytes value) except -1:
        cdef Field field
        cdef int i, kept
        fill_field(&field, name, value)
        self.own(name, value)
        for i in range(self.count):
            if named(&self.fields[i], field.id, field.name, field.name_len):
                self.fields[i] = field
                break
        else:
            return self.push(&field)
        kept = i + 1
        for i in range(kept, self.count):
            if not named(&self.fields[i], field.id, field.name, field.name_len):
                self.fields[kept] = self.fields[i]
                kept += 1
        self.count = kept
        return 0

    def get(self, bytes name not None, default=None):
        """Return the first value of a field, or the default."""
        cdef Field* field = self.find(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        return default if field == NULL else value_of(field)

    def get_all(self, bytes name not None):
        """Return every value of a field, in order."""
        cdef const char* start = PyBytes_AS_STRING(name)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(name)
        cdef int i, id = header_id(start, n)
        return [value_of(&self.fields[i]) for i in range(self.count) if named(&self.fields[i], id, start, n)]

    def set(self, bytes name not None, bytes value not None):
        """Make this the only field of that name, in the first one's place, or append it.

        Raises HeaderInvalid when the name is not a token or the value holds CR, LF, NUL or another control
        byte.
        """
        self.set_raw(name, value)

    def add(self, bytes name not None, bytes value not None):
        """Append a field, beside others of that name. Raises HeaderInvalid as `set` does."""
        self.add_raw(name, value)

    def remove(self, bytes name not None):
        """Remove every field of that name and return how many there were."""
        return self.remove_raw(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))

    def items(self):
        """Return the (name, value) pairs in order, names as received."""
        cdef int i
        return [(name_of(&self.fields[i]), value_of(&self.fields[i])) for i in range(self.count)]

    def flags(self, bytes name not None):
        """Return the FieldFlag bits of the first field of that name, or 0."""
        cdef Field* field = self.find(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        return 0 if field == NULL else field.flags

    def __contains__(self, bytes name not None):
        return self.find(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)) != NULL

    def __len__(self):
        return self.count

    def __iter__(self):
        return iter(self.items())

    def __repr__(self):
        return f"Headers({self.items()!r})"


def find_id(bytes name not None):
    """Return the HeaderId of a name, H_UNKNOWN (0) when it has none."""
    return header_id(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))


cdef int fill_known() except -1:
    """Build the table of known names, once, when the module is loaded."""
    cdef unsigned int slot
    cdef KnownName* entry
    cdef bytes name
    memset(known, 0, sizeof(known))
    memset(slots, 0, sizeof(slots))
    for id, name, flags in KNOWN_NAMES:
        entry = &known[<int>id]
        memcpy(entry.name, PyBytes_AS_STRING(name), len(name))
        entry.length = len(name)
        entry.id = id
        entry.flags = flags
        slot = slot_of(entry.name, len(name))
        while slots[slot]:
            slot = (slot + 1) & (SLOTS - 1)
        slots[slot] = id
    return 0


fill_known()
