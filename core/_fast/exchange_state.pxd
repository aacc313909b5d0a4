from libc.stdint cimport int64_t, uint32_t, uint64_t

from core._fast.headers cimport Headers
from core._fast.message cimport Request, Response
from core._fast.plan cimport Plan
from core._fast.route_value cimport Span
from core._fast.wheel cimport Timer, Wheel

cdef enum Stage:
    FRESH            # head parsed, nothing done
    HOLDING          # waiting for the whole request body that a plugin asked for
    DECIDING         # request or forward phases run (perhaps waiting)
    FORWARDED        # the handler has it, no response head yet
    ANSWERING        # response phases run (perhaps waiting)
    STREAMING        # the response head is with the client's side
    ENDED

cdef class ExchangeState:
    cdef readonly Request request
    cdef Response _response            # reused; `response` is it, once there is one
    cdef readonly Plan plan
    cdef Stage stage
    cdef Wheel wheel
    cdef Timer timer                   # for the whole exchange
    cdef object task                   # of the phases that wait; None while nothing waits
    cdef object chosen                 # the upstream's server
    cdef int server_index              # its number among the upstream's; -1: none was chosen, or it is done with
    cdef uint64_t tried                # a bit for each server that failed
    cdef public object retry           # core/_fast/retry.RetryPolicy that holds; None: a failure is final
    cdef readonly int retries          # further tries begun
    cdef list kept                     # pieces of the body that may be sent again
    cdef bint replayable, replayed
    cdef list held                     # pieces of the request body that came too early
    cdef list held_response            # pieces of the response body that came too early
    cdef int64_t held_size, held_response_size
    cdef bint request_ended            # the client has sent it all
    cdef bint response_ended           # the target has sent it all
    cdef bint forwarded                # the request's first byte may have reached a target
    cdef bint body_forwarded           # bytes of the request's body may have reached a target
    cdef bint answered_here            # the response was made by a plugin or the gateway
    cdef bint upgraded                 # a 101 was sent: bytes flow both ways until either side ends
    cdef bint failed                   # the gateway answers for an error of its own: phases that could fail are over
    cdef bint has_response
    cdef public bint close             # close the client's connection after the response
    cdef Headers trailers, response_trailers
    cdef Span spans[16]
    cdef bytes routed_path             # the path that was matched, if a plugin changed it since
    cdef const char* matched
    cdef uint32_t matched_len

    cdef int64_t started               # monotonic ns at which the head was complete
    cdef int64_t began_target          # monotonic ns at which the target got it; 0: never
    cdef int64_t first_byte            # monotonic ns at which the target's response head came; 0: never
    cdef int64_t ended
    cdef readonly int64_t bytes_in, bytes_out    # of bodies
    cdef readonly int status           # sent to the client; 0: none; 499: the client went first
    cdef bytes _peer                   # address of the peer as text
    cdef bytes _client                 # address of the client as text: the peer's, or told by a trusted proxy
    cdef readonly bint secure          # the request came over TLS
    cdef bint trusted                  # the peer is a trusted proxy
    cdef public object consumer        # who the request speaks for; None: nobody
    cdef public bytes request_id, trace_id
    cdef public str server             # the upstream's server chosen, as text
    cdef public str problem            # slug of what went wrong; None: nothing did
    cdef double watched_total          # the total_timeout that the timer was armed with
    cdef dict _state
    cdef ExchangeState following       # the next that has ended, or that lies idle
    cdef public object certificate     # the client's TLS certificate, decoded; None

    # Limits in force; plugins may change them in accept and request phases. 0: none.
    cdef public int64_t max_request_body, max_response_body    # bytes
    cdef public double connect_timeout, first_byte_timeout, idle_timeout, total_timeout   # seconds

    cdef int reset(self) except -1
