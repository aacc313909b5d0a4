from collections.abc import Callable, Iterable
from typing import Any

from core._fast.exchange import Target
from core._fast.meter import Meter
from core._fast.router import Router

_Phase = Callable[..., Any]

class Plan:
    def __init__(
        self,
        route: str,
        index: int,
        target: Target,
        meter: Meter,
        *,
        request: Iterable[_Phase] = (),
        forward: Iterable[_Phase] = (),
        response: Iterable[_Phase] = (),
        chunk: Iterable[_Phase] = (),
        log: Iterable[_Phase] = (),
        rewrites_bodies: bool = False,
        hold_request: int = 0,
        hold_response: int = 0,
    ) -> None: ...
    def at(self, index: int) -> Plan: ...
    @property
    def route(self) -> str: ...
    @property
    def index(self) -> int: ...  # -1: no route was found
    @property
    def target(self) -> Target: ...
    @property
    def meter(self) -> Meter: ...
    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def request(self) -> tuple[_Phase, ...]: ...
    @property
    def forward(self) -> tuple[_Phase, ...]: ...
    @property
    def response(self) -> tuple[_Phase, ...]: ...
    @property
    def chunk(self) -> tuple[_Phase, ...]: ...
    @property
    def log(self) -> tuple[_Phase, ...]: ...
    @property
    def request_waits(self) -> tuple[bool, ...]: ...
    @property
    def forward_waits(self) -> tuple[bool, ...]: ...
    @property
    def response_waits(self) -> tuple[bool, ...]: ...
    @property
    def rewrites_bodies(self) -> bool: ...
    @property
    def hold_request(self) -> int: ...  # bytes; 0: nobody wants the body whole
    @property
    def hold_response(self) -> int: ...  # bytes; 0: nobody wants the body whole

class Snapshot:
    def __init__(
        self,
        router: Router,
        plans: Iterable[Plan],
        unmatched: Plan,
        *,
        accept: Iterable[_Phase] = (),
        name: bytes = b"agora",
        identity_headers: Iterable[bytes] = (),
        max_request_body: int = 0,
        total_timeout: float = 0,
    ) -> None: ...
    @property
    def router(self) -> Router: ...
    @property
    def plans(self) -> tuple[Plan, ...]: ...
    @property
    def accept(self) -> tuple[_Phase, ...]: ...
    @property
    def unmatched(self) -> Plan: ...
    @property
    def max_request_body(self) -> int: ...  # bytes; 0: no limit
    @property
    def total_timeout(self) -> float: ...  # seconds; 0: none
    @property
    def name(self) -> bytes: ...
    @property
    def identity_headers(self) -> tuple[bytes, ...]: ...
    @property
    def live(self) -> int: ...  # exchanges begun and not ended
    def retire(self, then: Callable[[], object]) -> None: ...
