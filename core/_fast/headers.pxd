"""C face of headers: one message's fields as an array of views, and the table of known names.

The members of a Field point into `Headers.backing` (a parsed message) or into a bytes object in
`Headers.owned`.
"""

cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cpdef enum HeaderId:
    # NOTE: the names up to H_TE mean something to the message's framing or persistence; the parser looks
    # only at those.
    H_UNKNOWN = 0
    H_HOST
    H_CONNECTION
    H_CONTENT_LENGTH
    H_TRANSFER_ENCODING
    H_EXPECT
    H_UPGRADE
    H_TE
    H_TRAILER
    H_KEEP_ALIVE
    H_PROXY_CONNECTION
    H_PROXY_AUTHENTICATE
    H_PROXY_AUTHORIZATION
    H_HTTP2_SETTINGS
    H_VIA
    H_FORWARDED
    H_X_FORWARDED_FOR
    H_X_FORWARDED_PROTO
    H_X_FORWARDED_HOST
    H_X_FORWARDED_PORT
    H_X_FORWARDED_PREFIX
    H_X_REAL_IP
    H_X_USERINFO
    H_MAX_FORWARDS
    H_CDN_LOOP
    H_DATE
    H_SERVER
    H_AUTHORIZATION
    H_WWW_AUTHENTICATE
    H_COOKIE
    H_SET_COOKIE
    H_ACCEPT
    H_ACCEPT_ENCODING
    H_ACCEPT_LANGUAGE
    H_ACCEPT_RANGES
    H_USER_AGENT
    H_REFERER
    H_ORIGIN
    H_X_REQUEST_ID
    H_TRACEPARENT
    H_TRACESTATE
    H_CONTENT_TYPE
    H_CONTENT_ENCODING
    H_CONTENT_LANGUAGE
    H_CONTENT_RANGE
    H_CONTENT_DISPOSITION
    H_CACHE_CONTROL
    H_PRAGMA
    H_AGE
    H_EXPIRES
    H_ETAG
    H_LAST_MODIFIED
    H_VARY
    H_RANGE
    H_IF_MATCH
    H_IF_NONE_MATCH
    H_IF_MODIFIED_SINCE
    H_IF_UNMODIFIED_SINCE
    H_IF_RANGE
    H_LOCATION
    H_RETRY_AFTER
    H_ALLOW
    H_LINK
    H_RATELIMIT
    H_RATELIMIT_POLICY
    H_IDEMPOTENCY_KEY
    H_X_API_KEY
    H_SEC_WEBSOCKET_KEY
    H_SEC_WEBSOCKET_VERSION
    H_SEC_WEBSOCKET_PROTOCOL
    H_SEC_WEBSOCKET_EXTENSIONS
    H_SEC_WEBSOCKET_ACCEPT
    H_COUNT             # how many ids there are; not a field

cpdef enum FieldFlag:
    FIELD_HOP_BY_HOP = 1    # not forwarded: by definition, or named by this message's Connection field
    FIELD_UNDERSCORE = 2    # the name holds '_', which CGI-like servers confuse with '-'
    FIELD_FORWARDING = 4    # says where the request came from: X-Forwarded-*, Forwarded, X-Real-IP
    FIELD_IDENTITY = 8      # says who sent it: X-Consumer-*, X-Userinfo, X-Authenticated-*, X-Credential-*
    FIELD_FRAMING = 16      # Content-Length, Transfer-Encoding: always written anew
    FIELD_NO_TRAILER = 32   # routing, framing, credentials, conditions, content: dropped from trailers

cdef struct Field:
    const char* name        # as received (case kept)
    const char* value       # optional white space trimmed
    uint32_t name_len
    uint32_t value_len
    uint16_t id             # a HeaderId, 0: unknown name
    uint16_t flags          # FieldFlag bits


cdef int header_id(const char* name, Py_ssize_t n) noexcept nogil

# Fills id and flags of a field whose name is a token; `seen` is what scan_name collected.
cdef void classify(Field* field, unsigned int seen) noexcept nogil


@cython.final
cdef class Headers:
    cdef Field* fields      # malloc'd; `count` of `capacity` are used
    cdef int count
    cdef int capacity
    cdef object backing     # owner of what parsed fields point into, or None; set by the parser's caller
    cdef list owned         # bytes objects of fields set from Python; None until first use

    cdef void clear(self) noexcept                          # forgets all fields and owners, keeps the array
    cdef int grow(self) except -1                           # room for at least one more field
    cdef int push(self, const Field* field) except -1       # appends a copy of the struct
    cdef Field* find_id(self, int id) noexcept              # first field with that id, or NULL
    # first field with that name, ASCII case ignored, or NULL
    cdef Field* find(self, const char* name, Py_ssize_t n) noexcept
    # checks; replaces the first and drops the others, else appends
    cdef int set_raw(self, bytes name, bytes value) except -1
    cdef int add_raw(self, bytes name, bytes value) except -1    # checks; appends
    cdef int remove_raw(self, const char* name, Py_ssize_t n) noexcept    # how many went
    cdef int drop_flagged(self, int flags) noexcept         # all with one of these flags; how many went
    cdef int own(self, bytes name, bytes value) except -1   # private: keeps the bytes objects behind a field
    cdef int sweep(self) except -1                          # private: lets go of those without a field
    cdef int keep_owner(self, const char* place, list alive) except -1     # private
