"""A request to the market's API and the answer to it, without a framework: a scope, bytes in, bytes out.

PERF: bench/orders.py. An order costs a fifth of what it would under a general framework.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from core.errors import PROBLEM_CONTENT_TYPE, AgoraError, Problem
from engines.market.errors import CommandInvalid

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
LARGEST_BODY = 64 * 1024  # bytes
MOST_SECONDS = 30.0  # that a query waits for its table

JSON = b"application/json"
encode = msgspec.json.encode


class BodyTooLarge(AgoraError):
    """Refuse a body that no command has."""

    status = 413
    slug = "body-too-large"
    title = "Body too large"
    source = "client"


class BodyCut(AgoraError):
    """Say that the client went before its body was whole."""

    status = 400
    slug = "body-cut"
    title = "Body cut"
    source = "client"


class QueryInvalid(AgoraError, ValueError):
    """Refuse a query string with an unknown name or a value that cannot be."""

    status = 422
    slug = "query-invalid"
    title = "Query invalid"
    source = "client"


class Answer(NamedTuple):
    """Be what is sent."""

    status: int
    body: bytes
    position: int = 0  # in the log, of a command's last event
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Request:
    """Be a request whose route is known; `names`: what the path names."""

    __slots__ = ("_receive", "_scope", "names")

    def __init__(self, scope: Message, receive: Receive, names: dict[str, str]) -> None:
        self._scope = scope
        self._receive = receive
        self.names = names

    def header(self, name: bytes) -> str | None:
        """Return the value of a header, by its name in lower case."""
        for key, value in self._scope["headers"]:
            if key == name:
                found: bytes = value
                return found.decode("latin-1")
        return None

    async def body(self) -> bytes:
        """Return the whole body; raise BodyTooLarge."""
        message = await self._receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body"):
            if len(body) > LARGEST_BODY:
                break
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise BodyCut("the client went before the body was whole")
            body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            raise BodyTooLarge(f"a command has at most {LARGEST_BODY} bytes")
        return body

    def query(self, *allowed: str) -> dict[str, str]:
        """Return the parameters of the query string; raise QueryInvalid for names that are not allowed."""
        text: bytes = self._scope["query_string"]
        if not text:
            return {}
        pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True)
        found = dict(pairs)
        for name in found:
            if name not in allowed:
                known = ", ".join(allowed) or "none is known here"
                raise QueryInvalid(f"unknown parameter {name!r}; there are: {known}")
        if len(found) < len(pairs):
            raise QueryInvalid("a parameter stands there twice")
        return found


def number(query: dict[str, str], name: str, default: int, most: int = 2**62) -> int:
    """Return a whole number from 0 of the query; raise QueryInvalid."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most):
        raise QueryInvalid(f"{name} is a whole number from 0 to {most}, not {text!r}")
    return int(text)


def seconds(query: dict[str, str], default: float) -> float:
    """Return the `timeout` of the query; raise QueryInvalid."""
    text = query.get("timeout")
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST_SECONDS:
        raise QueryInvalid(f"timeout is a number of seconds from 0 to {MOST_SECONDS:g}, not {text!r}")
    return value


def told(error: AgoraError) -> Answer:
    """Return the problem details of an error."""
    problem = Problem(error.status, error.slug, error.title)
    headers = ((b"retry-after", b"1"),) if error.status == 503 else ()
    return Answer(error.status, problem.body(str(error)), 0, PROBLEM_CONTENT_TYPE, headers)


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body, an empty one for no body; raise CommandInvalid."""
    if not body:
        return {}
    try:
        found = msgspec.json.decode(body)
    except msgspec.MsgspecError as error:
        raise CommandInvalid(f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise CommandInvalid("the body is a JSON object")
    return found


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer."""
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        *answer.headers,
    ]
    if answer.position:
        headers.append((b"x-event-position", b"%d" % answer.position))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
