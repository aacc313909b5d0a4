"""Send a described request through the gateway, and trace what becomes of it.

The exchange is one that serves: the snapshot's router, its plugins, its targets; only the client's side is a
stand-in. Each phase method of each plugin is timed and its decision noted, on copies of the plans: nothing of
this is in the way of other requests. What plugins count, they count. gateway/api_gateway serves it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from core._fast import testing
from core._fast.exchange import Exchange
from core._fast.message import Response
from core._fast.plan import Plan, Snapshot
from core._fast.testing import StandIn
from core.errors import AgoraError
from core.plugin import PHASES

if TYPE_CHECKING:
    from gateway.data_plane import DataPlane

LARGEST_ANSWER = 1 << 20  # bytes of an answer's body that are taken
PATIENCE = 30.0  # seconds that a trial may take
Method = Callable[..., Any]


class TrialInvalid(AgoraError, ValueError):
    """Refuse a description that makes no request."""

    status = 422
    slug = "request-invalid"
    title = "Request invalid"
    source = "client"


class Step(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Be one method of one plugin: what it decided, and how long it took.

    microseconds: of its own work; with `waited`, until its coroutine ended. calls: of a chunk method
    """

    phase: str
    plugin: str
    decision: str = "went on"
    microseconds: float = 0.0
    waited: bool = False
    calls: int = 1


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """Be what became of a request.

    response:  None in a dry run that came as far as the target
    forwarded: what the target would have been sent, in a dry run
    """

    route: str
    parameters: dict[str, str]
    response: dict[str, Any] | None
    forwarded: dict[str, Any] | None
    steps: list[Step]
    target: str
    server: str | None
    retries: int
    problem: str | None
    consumer: str | None
    milliseconds: float
    target_milliseconds: float | None


async def try_request(
    plane: DataPlane,
    method: str,
    url: str,
    *,
    headers: list[tuple[str, str]],
    body: bytes = b"",
    client: str = "127.0.0.1",
    dry_run: bool = False,
) -> Trial:
    """Send a request through a data plane; raise TrialInvalid if it is none."""
    head = head_of(method, url, headers, len(body))
    steps: list[Step] = []
    target = StandIn(Response(200)) if dry_run else None
    parts: dict[str, Any] = {
        "client": client.encode("ascii"),
        "secure": urlsplit(url).scheme == "https",
        "wheel": plane.wheel,
    }
    try:
        index = testing.make_exchange(head, plane.snapshot, **parts).plan.index
    except ValueError as error:
        raise TrialInvalid(f"the gateway would refuse it: {error}") from None
    snapshot = _traced(plane, index, steps, target)
    exchange = testing.make_exchange(head, snapshot, **parts)
    ended = asyncio.Event()
    recorder = testing.recorder_of(exchange)
    recorder.on_end = ended.set
    led_to = exchange.plan.target.name if exchange.plan.index >= 0 else ""
    testing.begin(exchange, snapshot, [body] if body else [])
    try:
        await asyncio.wait_for(ended.wait(), PATIENCE)
    except TimeoutError:
        testing.leave(exchange)
    snapshot.retire(lambda: None)
    sent = target.received[0] if target is not None and target.received else None
    consumer = exchange.consumer
    return Trial(
        route=exchange.route,
        parameters=exchange.parameters,
        response=None if sent is not None else _shown(recorder.status, recorder.headers, recorder.body),
        forwarded=None
        if sent is None
        else {
            "method": sent.method,
            "path": sent.path,
            "query": sent.query,
            "host": sent.host,
            **_shown(None, sent.headers, sent.body),
        },
        steps=steps,
        target=led_to,
        server=None if dry_run else exchange.server,
        retries=exchange.retries,
        problem=exchange.problem,
        consumer=None if consumer is None else str(getattr(consumer, "name", consumer)),
        milliseconds=exchange.elapsed * 1e3,
        target_milliseconds=None
        if dry_run or exchange.target_elapsed is None
        else exchange.target_elapsed * 1e3,
    )


def head_of(method: str, url: str, headers: list[tuple[str, str]], size: int) -> bytes:
    """Return the bytes of a request's head; raise TrialInvalid where they cannot be written."""
    split = urlsplit(url)
    target = (split.path or "/") + (f"?{split.query}" if split.query else "")
    known = {name.lower() for name, _ in headers}
    fields = [] if "host" in known else [("host", split.netloc or "localhost")]
    fields += headers
    if size and not known & {"content-length", "transfer-encoding"}:
        fields.append(("content-length", str(size)))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    if any("\r" in line or "\n" in line for line in lines):
        raise TrialInvalid("method, url and headers stand on one line each")
    try:
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
    except UnicodeEncodeError:
        raise TrialInvalid("write url and headers in latin-1; percent-encode the rest") from None


def _traced(plane: DataPlane, index: int, steps: list[Step], target: StandIn | None) -> Snapshot:
    """Return a copy of the snapshot in force; the methods of one plan (-1: of no route) note what they do."""
    serving, names = plane.snapshot, plane.plugin_names()
    tracer = _Tracer(steps, names)

    def limited(exchange: Exchange) -> None:
        exchange.max_response_body = LARGEST_ANSWER

    return Snapshot(
        serving.router,
        [
            tracer.plan(plan, target) if place == index else plan.at(place)
            for place, plan in enumerate(serving.plans)
        ],
        tracer.plan(serving.unmatched, None),
        accept=[limited, *tracer.methods("accept", serving.accept)],
        name=serving.name,
        identity_headers=serving.identity_headers,
        max_request_body=serving.max_request_body,
        total_timeout=serving.total_timeout,
    )


class _Tracer:
    """Wrap methods so that they note what they do."""

    def __init__(self, steps: list[Step], names: dict[int, str]) -> None:
        self.steps = steps
        self.names = names  # by the plugin's identity: its `use`

    def plan(self, plan: Plan, target: StandIn | None) -> Plan:
        """Return a plan with its methods wrapped, that leads to a target (None: to its own)."""
        phases = {phase: self.methods(phase, getattr(plan, phase)) for phase in PHASES if phase != "accept"}
        return Plan(
            plan.route,
            plan.index,
            target if target is not None and not plan.route.startswith("agora.") else plan.target,
            plan.meter,
            rewrites_bodies=plan.rewrites_bodies,
            hold_request=plan.hold_request,
            hold_response=plan.hold_response,
            **phases,
        )

    def methods(self, phase: str, methods: tuple[Method, ...]) -> list[Method]:
        """Return methods wrapped."""
        return [self._wrapped(phase, method) for method in methods]

    def _wrapped(self, phase: str, method: Method) -> Method:
        plugin = self.names.get(id(getattr(method, "__self__", None)), "?")
        if phase == "chunk":
            return self._chunk(plugin, method)

        def traced(exchange: Exchange) -> Any:
            step = Step(phase=phase, plugin=plugin)
            self.steps.append(step)
            began = time.perf_counter_ns()
            try:
                result = method(exchange)
            except BaseException as error:
                step.decision = f"failed: {type(error).__name__}: {error}"
                raise
            finally:
                step.microseconds = (time.perf_counter_ns() - began) / 1e3
            if isinstance(result, CoroutineType):
                step.waited = True
                return _awaited(step, result, began)
            step.decision = _decision(result)
            return result

        return traced

    def _chunk(self, plugin: str, method: Method) -> Method:
        noted: dict[str, Step] = {}

        def traced(exchange: Exchange, side: str, piece: bytes, last: bool) -> Any:
            step = noted.get(side)
            if step is None:
                step = noted[side] = Step(phase=f"chunk of the {side}", plugin=plugin, calls=0)
                self.steps.append(step)
            began = time.perf_counter_ns()
            result = method(exchange, side, piece, last)
            step.microseconds += (time.perf_counter_ns() - began) / 1e3
            step.calls += 1
            if result is not None:
                step.decision = "changed the body"
            return result

        return traced


async def _awaited(step: Step, waiting: Coroutine[Any, Any, Any], began: int) -> Any:
    try:
        result = await waiting
    except BaseException as error:
        step.decision = f"failed: {type(error).__name__}: {error}"
        raise
    finally:
        step.microseconds = (time.perf_counter_ns() - began) / 1e3
    step.decision = _decision(result)
    return result


def _decision(result: Any) -> str:
    return f"answered {result.status}" if isinstance(result, Response) else "went on"


def _shown(status: int | None, headers: list[tuple[bytes, bytes]], body: bytes) -> dict[str, Any]:
    """Return a message as JSON can say it: a body that is no text in Base64."""
    found: dict[str, Any] = {} if status is None else {"status": status}
    found["headers"] = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    try:
        found["body"] = body.decode()
    except UnicodeDecodeError:
        found["body_base64"] = body
    return found
