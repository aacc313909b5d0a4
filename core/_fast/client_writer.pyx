"""Write responses to an HTTP/1 client: the sending half of the native door's connection.

The rules it guards: what a client receives is framed as announced, whatever plugins and targets do; a response
that breaks off looks broken. What is to be sent is collected while requests are read, and sent at once
otherwise. The base of core/_fast/client.
"""

from http import HTTPStatus

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from core._fast.chunked cimport CHUNK_HEADER_MOST, write_chunk_header
from core._fast.head_writer cimport (
    BY_CHUNKS, BY_CLOSE, BY_LENGTH, NO_BODY, write_interim_head, write_response_head, write_trailers,
)
from core._fast.out cimport Out, put, room

cdef enum:
    COPIED = 16384             # bytes of a body's piece that are copied behind the head rather than sent beside it
    COLLECTED = 65536          # bytes of answers to pipelined requests that are sent before the next is taken

# What is to be sent lies here until the end of a callback.
cdef Out out
out.data = NULL
out.size = out.capacity = 0
cdef ClientWriter holder = None      # whose bytes they are


cdef class ClientWriter(Downstream):
    cdef int write_head(self, Exchange exchange) except -1:
        """Write the response's head; the body's framing follows from it."""
        if holder is not self:
            take_out(self)
        write_response_head(&out, exchange, self.door.wording, self.keep, &self.framing)
        if self.framing == BY_CLOSE:
            self.keep = False
        self.response_left = -1
        if self.framing == BY_LENGTH:
            self.response_left = exchange._response.content_length
            if exchange._response.body is not None:
                self.response_left = PyBytes_GET_SIZE(exchange._response.body)
        return 0

    cdef int send_refusal(self, object problem) except -1:
        """Send the answer to what could not become an exchange."""
        cdef bytes body = problem.body()
        cdef bytes answer = b"".join((
            b"HTTP/1.1 %d %s\r\n" % (problem.status, HTTPStatus(problem.status).phrase.encode("ascii")),
            b"Content-Type: application/problem+json\r\nConnection: close\r\n",
            b"Content-Length: %d\r\n\r\n" % len(body), body,
        ))
        if holder is not self:
            take_out(self)
        room(&out, PyBytes_GET_SIZE(answer))
        put(&out, PyBytes_AS_STRING(answer), PyBytes_GET_SIZE(answer))
        return self.flush()

    cdef int flush_large(self) except -1:
        """Send what has been collected if it is much."""
        if out.size >= COLLECTED:
            return self.flush()
        return 0

    cdef int interim_response(self, Exchange exchange, int status, Headers headers) except -1:
        if self.link.transport is None:
            return 0
        if holder is not self:
            take_out(self)
        write_interim_head(&out, exchange, status, headers)
        return self.flush()

    cdef int response_piece(self, Exchange exchange, const char* data, Py_ssize_t size) except -1:
        cdef const char* tail = NULL
        cdef Py_ssize_t tail_size = 0
        if self.link.transport is None or self.framing == NO_BODY or size == 0:
            return 0
        if holder is not self:
            take_out(self)
        if self.framing == BY_LENGTH:
            if size > self.response_left:
                # NOTE: a plugin made the body longer than it was announced; never send what another
                # answer could be read into.
                size = self.response_left
                self.keep = False
            self.response_left -= size
        elif self.framing == BY_CHUNKS:
            room(&out, CHUNK_HEADER_MOST)
            out.size += write_chunk_header(out.data + out.size, size)
            tail = b"\r\n"
            tail_size = 2
        if size <= COPIED:
            room(&out, size + 2)
            put(&out, data, size)
            put(&out, tail, tail_size)
            if not self.reading and self.response_left != 0:
                self.flush()
            return 0
        self.link.send(out.data, out.size, data, size, tail, tail_size)
        out.size = 0
        return 0

    cdef int end_response(self, Exchange exchange, Headers trailers) except -1:
        if self.link.transport is None:
            return 0
        if self.framing == BY_CHUNKS:
            if holder is not self:
                take_out(self)
            write_trailers(&out, trailers if exchange.request.head.te_trailers else None)
        elif self.framing == BY_LENGTH and self.response_left:
            self.flush()
            self.link.abort()
            return 0
        if not self.reading:
            self.flush()
        return 0

    cdef int break_response(self, Exchange exchange) except -1:
        """Cut the response off so that the client sees it is not complete."""
        self.keep = False
        self.flush()
        if self.framing == BY_CLOSE:
            return self.link.reset()
        return self.link.abort()

    cdef int flush(self) except -1:
        if holder is self and out.size:
            self.link.send(out.data, out.size, NULL, 0, NULL, 0)
            out.size = 0
        return 0

    cdef int request_wanted(self, Exchange exchange) except -1:
        if self.continue_due:
            self.continue_due = False
            if holder is not self:
                take_out(self)
            room(&out, 32)
            put(&out, b"HTTP/1.1 100 Continue\r\n\r\n", 25)
            return self.flush()
        return 0


cdef int take_out(ClientWriter connection) except -1:
    """Send what another connection left in the buffer, and make it this one's."""
    global holder
    if holder is not None and out.size:
        holder.flush()
    out.size = 0
    holder = connection
    return 0
