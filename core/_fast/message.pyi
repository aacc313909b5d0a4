from collections.abc import Iterable

from core._fast.headers import Headers
from core.errors import Problem

class Request:
    path: str  # normalised, percent-encoded
    query: str  # without the `?`; empty: there is none
    host: str
    body: bytes | None  # the whole body where a plugin asked for it
    @property
    def headers(self) -> Headers: ...
    @property
    def method(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def content_length(self) -> int | None: ...  # bytes

class Response:
    status: int
    body: bytes | None  # None: it streams from the target
    problem: str | None  # the slug, where the answer reports a problem
    rewritten: bool  # chunk() changes this body's length: it goes out without Content-Length
    def __init__(
        self, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = (), body: bytes = b""
    ) -> None: ...
    @staticmethod
    def problem_of(problem: Problem, detail: str = "") -> Response: ...
    @staticmethod
    def refusal(status: int, slug: str, title: str, detail: str = "") -> Response: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def length(self) -> int | None: ...  # bytes
    @property
    def streams(self) -> bool: ...
