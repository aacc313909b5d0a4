from typing import Any

from core._fast.message import Request, Response
from core._fast.plan import Plan
from core._fast.retry import RetryPolicy

class ExchangeState:
    close: bool  # close the client's connection after the response
    consumer: Any  # who the request speaks for; None: nobody
    request_id: bytes | None
    trace_id: bytes | None
    retry: RetryPolicy | None  # what holds where a try fails; None: a failure is final
    server: str | None  # the upstream's server chosen
    problem: str | None  # slug of what went wrong
    certificate: Any  # the client's TLS certificate, decoded
    # Limits in force; 0: none. Bytes and seconds.
    max_request_body: int
    max_response_body: int
    connect_timeout: float
    first_byte_timeout: float
    idle_timeout: float
    total_timeout: float
    @property
    def request(self) -> Request: ...
    @property
    def response(self) -> Response | Any: ...  # None before there is one
    @property
    def plan(self) -> Plan: ...
    @property
    def route(self) -> str: ...
    @property
    def parameters(self) -> dict[str, str]: ...
    @property
    def state(self) -> dict[Any, Any]: ...
    @property
    def peer(self) -> str: ...
    @property
    def client(self) -> str: ...
    @property
    def client_bytes(self) -> bytes: ...
    @property
    def secure(self) -> bool: ...
    @property
    def scheme(self) -> str: ...
    @property
    def status(self) -> int: ...  # sent to the client; 0: none; 499: the client went first
    @property
    def bytes_in(self) -> int: ...  # of the request's body
    @property
    def bytes_out(self) -> int: ...  # of the response's body
    @property
    def retries(self) -> int: ...  # further tries begun
    @property
    def elapsed(self) -> float: ...  # seconds
    @property
    def target_elapsed(self) -> float | None: ...  # seconds
