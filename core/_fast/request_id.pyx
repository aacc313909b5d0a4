"""Give each exchange an id: the client's own where it may be believed, else a new one.

The rule it guards: what goes into logs, to targets and back to clients is short and made of harmless
characters, whoever chose it. The request-id plugin is this class with options.
"""

from core._fast.clock cimport realtime_ns
from core._fast.exchange cimport Exchange
from core._fast.headers cimport Field
from core._fast.ids cimport IdSource

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

cdef bytes ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:+/=@"
cdef bint harmless[256]
cdef int code
for code in range(256):
    harmless[code] = code in ALPHABET

cdef dict BELIEF = {"nobody": 0, "trusted": 1, "anyone": 2}


cdef bint is_harmless(const char* text, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        if not harmless[<unsigned char>text[i]]:
            return False
    return size > 0


cdef class RequestIds:
    """Set ``exchange.request_id`` and the header of that name on the request and the response.

    believe: whose own ids are kept: "nobody", "trusted" (proxies) or "anyone"
    longest: bytes of an id that is kept
    """

    cdef bytes name
    cdef IdSource ids
    cdef bint as_uuid
    cdef int believe, longest

    def __init__(self, bytes name not None, *, str format="uuid7", str believe="trusted", int longest=128,
                 IdSource ids=None):
        self.name = name
        self.as_uuid = {"uuid7": True, "hex": False}[format]
        self.believe = BELIEF[believe]
        self.longest = longest
        self.ids = IdSource() if ids is None else ids

    def request(self, Exchange exchange not None):
        """Name the exchange, and say the name to the target."""
        cdef Field* field
        if self.believe == 2 or (self.believe == 1 and exchange.trusted):
            field = exchange.request.headers.find(PyBytes_AS_STRING(self.name), PyBytes_GET_SIZE(self.name))
            if field is not NULL and field.value_len <= <unsigned int>self.longest and \
                    is_harmless(field.value, field.value_len):
                exchange.request_id = PyBytes_FromStringAndSize(field.value, field.value_len)
                exchange.request.headers.set_raw(self.name, exchange.request_id)
                return
        exchange.request_id = self.ids.uuid7(realtime_ns() // 1000000) if self.as_uuid else self.ids.hex128()
        exchange.request.headers.set_raw(self.name, exchange.request_id)

    def response(self, Exchange exchange not None):
        """Say the name to the client."""
        # NOTE: a request refused in an accept phase has met no request phase.
        if exchange.request_id is None:
            self.request(exchange)
        exchange._response.headers.set_raw(self.name, exchange.request_id)
