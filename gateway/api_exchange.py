"""What all endpoints of the control API share: strict parameters, bodies with a limit, answers, refusals.

The rule it guards: what is asked for wrongly is refused with what would be right, before anything is done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from core.decode import ConfigInvalid
from core.errors import PROBLEM_CONTENT_TYPE, AgoraError, Problem
from core.event_log.filter import Filter

Handler = Callable[[Request], Awaitable[Response]]
LARGEST_BODY = 1 << 20  # bytes
MOST_SECONDS = 60.0  # that a request waits
LARGEST = 2**62
POSITION_HEADER = "x-event-position"


class QueryInvalid(AgoraError, ValueError):
    """Refuse a parameter that is unknown, or whose value cannot be."""

    status = 422
    slug = "query-invalid"
    title = "Query invalid"
    source = "client"


class BodyInvalid(AgoraError, ValueError):
    """Refuse a body that is not a JSON object."""

    status = 422
    slug = "body-invalid"
    title = "Body invalid"
    source = "client"


class BodyTooLarge(AgoraError):
    """Refuse a body over the limit."""

    status = 413
    slug = "body-too-large"
    title = "Body too large"
    source = "client"


class Query:
    """Be the parameters of a request; those not named in `allowed` are refused."""

    def __init__(self, request: Request, *allowed: str, lists: tuple[str, ...] = ()) -> None:
        self._params = request.query_params
        seen: set[str] = set()
        for name, _ in self._params.multi_items():
            if name not in allowed and name not in lists:
                known = ", ".join((*allowed, *lists)) or "none is known here"
                raise QueryInvalid(f"unknown parameter {name!r}; there are: {known}")
            if name in seen and name not in lists:
                raise QueryInvalid(f"{name} stands there twice")
            seen.add(name)

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter as it is."""
        return self._params.get(name, default)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the values of a parameter that may be given several times, or with commas."""
        return tuple(part for text in self._params.getlist(name) for part in text.split(",") if part)

    def number(self, name: str, default: int, least: int = 0, most: int = LARGEST) -> int:
        """Return a whole number; raise QueryInvalid."""
        text = self._params.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
            raise QueryInvalid(f"{name} is a whole number from {least} to {most}, not {text!r}")
        return int(text)

    def seconds(self, name: str, default: float) -> float:
        """Return a number of seconds; raise QueryInvalid."""
        text = self._params.get(name)
        try:
            value = default if text is None else float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= MOST_SECONDS:
            raise QueryInvalid(f"{name} is a number of seconds from 0 to {MOST_SECONDS:g}, not {text!r}")
        return value

    def time(self, name: str) -> int | None:
        """Return a time in ns since the epoch, given so or by RFC 3339; raise QueryInvalid."""
        text = self._params.get(name)
        if text is None or (text.isascii() and text.isdigit()):
            return None if text is None else self.number(name, 0)
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise QueryInvalid(
                f"{name} is ns since the epoch, or a time like 2026-01-31T12:00:00Z, not {text!r}"
            ) from None
        found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        return int(found.timestamp() * 1_000_000) * 1_000

    def filter(self) -> Filter:
        """Return which events are wanted; raise QueryInvalid."""
        return Filter(
            types=self.texts("type"),
            streams=self.texts("stream"),
            tags=self.texts("tag"),
            since_ns=self.time("since") or 0,
            until_ns=self.time("until"),
        )


async def read_body(request: Request) -> bytes:
    """Return the whole body; raise BodyTooLarge."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            raise BodyTooLarge(f"a body has at most {LARGEST_BODY} bytes")
    return bytes(body)


async def read_object(request: Request) -> dict[str, Any]:
    """Return the JSON object in a body; raise BodyInvalid and BodyTooLarge."""
    try:
        found = msgspec.json.decode(await read_body(request))
    except msgspec.MsgspecError as error:
        raise BodyInvalid(f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise BodyInvalid("the body is a JSON object")
    return found


def shown(content: Any, status: int = 200, *, position: int = 0, location: str = "") -> Response:
    """Return data as a JSON answer; `position` in the log of what was appended."""
    headers = {"content-type": "application/json"}
    if position:
        headers[POSITION_HEADER] = str(position)
    if location:
        headers["location"] = location
    return Response(msgspec.json.encode(content), status, headers)


def refused(error: AgoraError) -> Response:
    """Return the problem details of an error; `errors` lists the mistakes of a description."""
    problem = Problem(error.status, error.slug, error.title)
    headers = {"content-type": PROBLEM_CONTENT_TYPE.decode()}
    if error.status == 503:
        headers["retry-after"] = "1"
    body = problem.body(str(error))
    if isinstance(error, ConfigInvalid):
        listed = [{"key": one.key, "wrong": one.wrong, "right": one.right} for one in error.problems]
        body = msgspec.json.encode({**msgspec.json.decode(body), "errors": listed})
    return Response(body, error.status, headers)
