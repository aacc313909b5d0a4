"""Hold what plugins see of a request and of a response: the head as views, the body as bytes or not at all.

The rule it guards: whatever a plugin writes here is checked when it is written, so that heads can be
serialised without looking again. Owned by an exchange (core/_fast/exchange), which reuses both.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from core._fast.path cimport normalise_path

from core.errors import PROBLEM_CONTENT_TYPE, HeaderInvalid, Problem

cdef bytes VISIBLE = bytes(range(0x21, 0x7F))


cdef str text(const char* data, Py_ssize_t size):
    return PyBytes_FromStringAndSize(data, size).decode("latin-1") if size else ""


cdef bytes visible(value, str what):
    cdef bytes encoded
    try:
        encoded = value.encode("ascii")
    except (AttributeError, UnicodeEncodeError):
        raise HeaderInvalid(f"{what} must be an ASCII str, percent-encoded where needed: {value!r}") from None
    if encoded.translate(None, VISIBLE):
        raise HeaderInvalid(f"{what} holds white space or control characters: {value!r}")
    return encoded


cdef class Request:
    """Show a request's head; header names and values are bytes, everything else is str.

    ``path`` is normalised and still percent-encoded. Setting ``path``, ``query`` or ``host`` changes what is
    sent to the target, not which route was taken.
    """

    def __cinit__(self):
        self.headers = Headers.__new__(Headers)

    cdef void clear(self) noexcept:
        memset(&self.head, 0, sizeof(Head))
        self.headers.clear()
        if self._path is not None:
            self._path = None
        if self._query is not None:
            self._query = None
        if self._host is not None:
            self._host = None
        if self._method is not None:
            self._method = None
        if self.body is not None:
            self.body = None

    cdef int put_path(self, bytes path) except -1:
        self._path = path
        self.head.path = PyBytes_AS_STRING(path)
        self.head.path_len = <unsigned int>PyBytes_GET_SIZE(path)
        return 0

    @property
    def method(self):
        """Name the method, as sent: methods are case-sensitive."""
        return text(self.head.method_name, self.head.method_len)

    @property
    def version(self):
        """Name the protocol version: ``1.0`` or ``1.1``."""
        return "1.1" if self.head.minor else "1.0"

    @property
    def target(self):
        """Give the request target as it was received."""
        return text(self.head.target, self.head.target_len)

    @property
    def path(self):
        """Give the normalised path, percent-encoded."""
        return text(self.head.path, self.head.path_len)

    @path.setter
    def path(self, value):
        cdef bytes path = visible(value, "a path")
        cdef char* normal
        cdef Py_ssize_t size
        if not path.startswith(b"/") or b"?" in path or b"#" in path:
            raise HeaderInvalid(f"a path starts with '/' and holds no '?' or '#': {value!r}")
        normal = <char*>malloc(PyBytes_GET_SIZE(path) + 1)
        if normal is NULL:
            raise MemoryError
        try:
            size = normalise_path(PyBytes_AS_STRING(path), PyBytes_GET_SIZE(path), normal)
            if size < 0:
                raise HeaderInvalid(f"not a valid path: {value!r}")
            self.put_path(path if size == 0 else PyBytes_FromStringAndSize(normal, size))
        finally:
            free(normal)

    @property
    def query(self):
        """Give the query without its ``?``; empty if there is none."""
        return text(self.head.query, self.head.query_len)

    @query.setter
    def query(self, value):
        cdef bytes query = visible(value, "a query") if value else b""
        if b"#" in query:
            raise HeaderInvalid(f"a query holds no '#': {value!r}")
        self._query = query
        self.head.query = PyBytes_AS_STRING(query) if query else NULL
        self.head.query_len = <unsigned int>PyBytes_GET_SIZE(query)

    @property
    def host(self):
        """Give the authority the request was sent to, with its port if one was named."""
        return text(self.head.host, self.head.host_len)

    @host.setter
    def host(self, value):
        cdef bytes host = visible(value, "a host")
        if not host or b"/" in host or b"@" in host or b"," in host:
            raise HeaderInvalid(f"not a host: {value!r}")
        self._host = host
        self.head.host = PyBytes_AS_STRING(host)
        self.head.host_len = <unsigned int>PyBytes_GET_SIZE(host)

    @property
    def content_length(self):
        """Give the body's length in bytes, or None where it was not announced."""
        return None if self.head.content_length < 0 else self.head.content_length

    def __repr__(self):
        return f"<Request {self.method} {self.path}>"


cdef int check_status(int status) except -1:
    if not 200 <= status <= 599:
        raise HeaderInvalid(f"an answer's status is between 200 and 599, not {status}")
    return 0


cdef class Response:
    """Be an answer: status, headers as pairs of bytes, and the body as bytes.

    ``Response(403, [(b"content-type", b"text/plain")], b"no")``. Framing headers are written by the gateway.
    """

    def __cinit__(self):
        self.headers = Headers.__new__(Headers)
        self.content_length = -1

    def __init__(self, int status=200, headers=(), body=b""):
        check_status(status)
        if not isinstance(body, bytes):
            raise HeaderInvalid(f"an answer's body is bytes, not {type(body).__name__}")
        self.code = status
        self.body = body
        for name, value in headers:
            self.headers.add(name, value)

    @staticmethod
    def problem_of(problem, str detail=""):
        """Make the answer that reports a core.errors.Problem."""
        cdef Response response = Response(problem.status, (), problem.body(detail))
        response.headers.add(b"content-type", PROBLEM_CONTENT_TYPE)
        response.problem = problem.slug
        return response

    @staticmethod
    def refusal(int status, str slug, str title, str detail=""):
        """Make an answer that reports a problem (RFC 9457) under a short stable name."""
        return Response.problem_of(Problem(status, slug, title), detail)

    cdef void clear(self) noexcept:
        self.headers.clear()
        self.code = 0
        self.body = None
        self.problem = None
        self.rewritten = False
        self.content_length = -1
        self.reason = NULL
        self.reason_len = 0

    cdef int copy(self, Response other) except -1:
        """Become what ``other`` is now; changing one later leaves the other alone."""
        cdef int i
        self.headers.clear()
        if other.fixed:
            # SAFETY: the fields point into what the other's headers own, and nobody changes those.
            self.headers.backing = other.headers
        else:
            self.headers.backing = other.headers.backing
            if other.headers.owned is not None:
                self.headers.owned = list(other.headers.owned)
        for i in range(other.headers.count):
            self.headers.push(&other.headers.fields[i])
        self.code = other.code
        self.body = other.body
        self.problem = other.problem
        self.rewritten = other.rewritten
        self.content_length = -1
        self.reason = NULL
        self.reason_len = 0
        return 0

    @property
    def status(self):
        """Give the HTTP status. It can be set to a final one; that of a switched protocol (101) stays."""
        return self.code

    @status.setter
    def status(self, int value):
        if value == self.code:
            return
        check_status(value)
        if self.code == 101:
            raise HeaderInvalid("the protocol has been switched: status 101 cannot be changed")
        self.code = value
        self.reason = NULL

    @property
    def length(self):
        """Give the body's length in bytes as it is now, or None where a streamed body's was not announced."""
        if self.body is not None:
            return PyBytes_GET_SIZE(self.body)
        return None if self.content_length < 0 else self.content_length

    @property
    def streams(self):
        """Tell whether the body streams from the target instead of being held here."""
        return self.body is None

    def __repr__(self):
        return f"<Response {self.code}>"
