"""Hold requests and answers to sizes. The size-limit plugin is this class with options.

The rule it guards: what is announced too large is refused before a byte of it is taken; what turns out too
large is cut off by the exchange itself, which counts.
"""

from libc.stdint cimport int64_t

from core._fast.exchange cimport Exchange
from core._fast.headers cimport Headers
from core._fast.message cimport Response

from core.errors import Problem

cdef Response BODY = Response.problem_of(Problem(413, "body-too-large", "The request's body is too large"))
cdef Response TARGET = Response.problem_of(Problem(414, "uri-too-long", "The request's target is too long"))
cdef Response FIELDS = Response.problem_of(
    Problem(431, "headers-too-large", "The request's headers are too large")
)
cdef Response ANSWER = Response.problem_of(
    Problem(502, "response-too-large", "The target's answer is too large", "upstream")
)


cdef class SizeGate:
    """Refuse what is larger than allowed; 0: no limit of its own.

    request_body, response_body: bytes
    uri: bytes of the request target as received; query: of its query
    headers: bytes of all names and values; header: of one name and value
    header_count: fields
    """

    cdef int64_t request_body, response_body
    cdef int64_t uri, query, headers, header
    cdef int header_count

    def __init__(self, *, int64_t request_body=0, int64_t response_body=0, int64_t uri=0, int64_t query=0,
                 int64_t headers=0, int64_t header=0, int header_count=0):
        self.request_body = request_body
        self.response_body = response_body
        self.uri = uri
        self.query = query
        self.headers = headers
        self.header = header
        self.header_count = header_count

    def request(self, Exchange exchange not None):
        """Refuse a request whose head is too large or announces too large a body; limit the body."""
        if self.uri and exchange.request.head.target_len > self.uri:
            return TARGET
        if self.query and exchange.request.head.query_len > self.query:
            return TARGET
        if (self.headers or self.header or self.header_count) and self.too_much(exchange.request.headers):
            return FIELDS
        if self.request_body:
            if exchange.request.head.content_length > self.request_body:
                return BODY
            exchange.max_request_body = self.request_body
        return None

    def response(self, Exchange exchange not None):
        """Answer in place of a target that announces too large a body; limit one that does not say."""
        cdef Response response = exchange._response
        # NOTE: what has its body here is an answer of the gateway's own.
        if self.response_body == 0 or response.body is not None:
            return
        if response.content_length > self.response_body:
            response.copy(ANSWER)
            exchange.problem = response.problem
        else:
            exchange.max_response_body = self.response_body

    cdef bint too_much(self, Headers headers) noexcept:
        cdef int64_t size, total = 0
        cdef int i
        if self.header_count and headers.count > self.header_count:
            return True
        for i in range(headers.count):
            size = headers.fields[i].name_len + headers.fields[i].value_len
            if self.header and size > self.header:
                return True
            total += size
        return self.headers and total > self.headers
