"""Tell clients apart: write who an exchange is counted as, by its address, consumer, route or headers.

The rule it guards: what a client chose (a header, an address) never meets the count of another kind of client;
a long value counts as its hash, never as its beginning. Used by rate_gate and by plugins that count exchanges.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t
from libc.string cimport memchr, memcpy

from core._fast.exchange cimport Exchange
from core._fast.headers cimport Field
from core._fast.sha256 cimport HASH_SIZE, sha256

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef extern from "<arpa/inet.h>" nogil:
    int inet_pton(int family, const char* text, void* address)
    const char* inet_ntop(int family, const void* address, char* text, unsigned int size)
    enum:
        AF_INET
        AF_INET6

cdef extern from "<string.h>" nogil:
    size_t strnlen(const char* text, size_t most)

cdef enum:
    ADDRESS_ROOM = 64         # bytes of an address as text

cdef dict KINDS = {"ip": BY_IP, "consumer": BY_CONSUMER, "route": BY_ROUTE, "header": BY_HEADER}
cdef dict LACKING = {"ip": COUNT_BY_IP, "together": COUNT_TOGETHER, "unlimited": COUNT_NOT}


cdef int add_part(Key* key, char tag, const char* data, Py_ssize_t size) noexcept nogil:
    """Append one part; tag and length keep parts apart."""
    cdef char hashed[HASH_SIZE]
    cdef uint32_t length = <uint32_t>size
    if size > KEY_ROOM // MOST_PARTS - 5:
        # NOTE: not under the table's secret: gateways that share counts must write the same key.
        sha256(data, size, hashed)
        data = hashed
        size = HASH_SIZE
    key.data[key.size] = tag
    memcpy(key.data + key.size + 1, &length, 4)
    memcpy(key.data + key.size + 5, data, size)
    key.size += 5 + size
    return 0


cdef inline bint is_mapped(const unsigned char* address) noexcept nogil:
    """Tell whether an IPv6 address is ::ffff:a.b.c.d."""
    cdef int i
    for i in range(10):
        if address[i]:
            return False
    return address[10] == 0xff and address[11] == 0xff


cdef Py_ssize_t network_of(const char* text, Py_ssize_t size, int prefix, char* out) noexcept nogil:
    """Write who shares an address's count: an IPv6 address's network, else the address; return the length.

    ``out`` has ADDRESS_ROOM bytes. An IPv4 address inside IPv6 is that IPv4 address.
    """
    cdef unsigned char address[16]
    cdef char end[ADDRESS_ROOM]
    cdef const char* zone
    cdef int i
    if size >= ADDRESS_ROOM:
        size = ADDRESS_ROOM - 1
    memcpy(end, text, size)
    end[size] = 0
    zone = <const char*>memchr(end, c"%", size)
    if zone is not NULL:
        end[zone - end] = 0
    if inet_pton(AF_INET6, end, address) != 1:
        memcpy(out, text, size)
        return size
    if is_mapped(address):
        inet_ntop(AF_INET, address + 12, out, ADDRESS_ROOM)
        return strnlen(out, ADDRESS_ROOM)
    for i in range(16):
        if prefix <= 8 * i:
            address[i] = 0
        elif prefix < 8 * i + 8:
            address[i] &= <unsigned char>(0xff << (8 * i + 8 - prefix))
    memcpy(out, address, 16)
    return 16


cdef str consumer_name(Exchange exchange):
    return exchange.consumer if type(exchange.consumer) is str else exchange.consumer.name


cdef class ClientKeys:
    """Write the key of who an exchange is counted as.

    by:      what tells clients apart: "ip", "consumer", "route", "header:NAME", several joined with "+"
    lacking: how one without the consumer or header is counted: "ip", "together", or "unlimited"
    prefix:  bits of an IPv6 address that are one client
    """

    def __init__(self, str by="ip", str lacking="ip", int prefix=64):
        cdef str part, kind, name
        parts = by.split("+")
        if not 1 <= len(parts) <= MOST_PARTS:
            raise ValueError(f"a client is told by 1 to {MOST_PARTS} things, not {len(parts)}")
        self.names = []
        for part in parts:
            kind, _, name = part.partition(":")
            if kind not in KINDS or (kind == "header") != bool(name):
                raise ValueError(f"{part!r} tells no client; use ip, consumer, route or header:NAME")
            self.kinds[self.count] = KINDS[kind]
            self.names.append(name.encode("ascii"))
            self.count += 1
        self.lacking = LACKING[lacking]
        self.prefix = prefix

    def of(self, Exchange exchange not None):
        """Return who is counted, as bytes; None: nobody."""
        cdef Key key
        key.size = 0
        if not self.write(exchange, &key):
            return None
        return PyBytes_FromStringAndSize(key.data, key.size)

    cdef bint write(self, Exchange exchange, Key* key) except -1:
        """Write who is counted; False: nobody."""
        cdef int i
        for i in range(self.count):
            if self.write_part(exchange, key, self.kinds[i], self.names[i]):
                continue
            if not self.write_lacking(exchange, key):
                return False
        return True

    cdef bint write_part(self, Exchange exchange, Key* key, Kind kind, bytes name) except -1:
        """Append one thing that tells the client; False: it has none."""
        cdef char network[ADDRESS_ROOM]
        cdef const char* data
        cdef Py_ssize_t size
        cdef Field* field
        cdef str text
        if kind == BY_IP:
            data = PyBytes_AS_STRING(exchange._client)
            size = PyBytes_GET_SIZE(exchange._client)
            # PERF: an IPv4 address is its own network; reading it costs as much as the decision.
            if memchr(data, c":", size) is not NULL:
                size = network_of(data, size, self.prefix, network)
                data = network
            add_part(key, c"i", data, size)
            return True
        if kind == BY_HEADER:
            field = exchange.request.headers.find(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
            if field is NULL or field.value_len == 0:
                return False
            add_part(key, c"h", field.value, field.value_len)
            return True
        if kind == BY_CONSUMER:
            if exchange.consumer is None:
                return False
            text = consumer_name(exchange)
            data = PyUnicode_AsUTF8AndSize(text, &size)
            add_part(key, c"c", data, size)
            return True
        data = PyUnicode_AsUTF8AndSize(exchange.plan.route, &size)
        add_part(key, c"r", data, size)
        return True

    cdef bint write_lacking(self, Exchange exchange, Key* key) except -1:
        if self.lacking == COUNT_NOT:
            return False
        if self.lacking == COUNT_TOGETHER:
            add_part(key, c"-", b"", 0)
            return True
        return self.write_part(exchange, key, BY_IP, None)


def client_network(bytes address not None, int prefix=64):
    """Return what an address is counted by: 16 bytes for an IPv6 network, text for anything else."""
    cdef char out[ADDRESS_ROOM]
    cdef Py_ssize_t size = network_of(PyBytes_AS_STRING(address), PyBytes_GET_SIZE(address), prefix, out)
    return PyBytes_FromStringAndSize(out, size)
