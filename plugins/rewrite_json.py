"""The rewrite-json plugin: members of JSON bodies that are set, renamed or removed on their way."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from core.decode import FieldInvalid
from core.errors import AgoraError, Problem
from core.exchange import Exchange, Headers, Response
from core.json_body import (
    POINTER,
    JsonMalformed,
    is_json,
    media_type_of,
    read_to_edit,
    tokens_of,
    write_json,
)
from core.plugin import Plugin, PluginConfig, Side
from core.site import Site
from core.template import Template, check_parameters
from core.units import Size

BODILESS = frozenset({101, 204, 205, 304})
SAID_OF_BYTES = (b"content-digest", b"repr-digest", b"digest", b"content-md5", b"accept-ranges")
INDEX = re.compile(r"0|[1-9][0-9]{0,17}")
TOO_LARGE = Problem(502, "response-too-large", "The target's answer is too large", "upstream")

Pointer = Annotated[str, Meta(pattern=POINTER, title='JSON pointer such as "/order/lines/0"')]
Fill = Callable[[Exchange], Any]


class AnswerTooLarge(AgoraError):
    """Report an answer that turned out to be too large when its head had been sent."""

    slug = TOO_LARGE.slug
    title = TOO_LARGE.title


class Edits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Changes to the bodies of one side, made in this order: remove, rename, set."""

    remove: Annotated[tuple[Pointer, ...], Meta(description="members and elements that go")] = ()
    rename: Annotated[
        dict[Pointer, str], Meta(description="new names of members, which take the place of others")
    ] = {}
    set: Annotated[
        dict[Pointer, Any],
        Meta(description='values; texts in them may have variables; "-" in a pointer appends to a list'),
    ] = {}


class RewriteJson(Plugin):
    """Set, rename and remove members of JSON bodies, of requests and of responses.

    Members are named by JSON pointers. ``set`` makes the objects on the way to a member if they are
    missing; what a pointer does not fit is left alone. Texts may have variables, such as ``{client}`` or
    ``{param:NAME}``. What is no JSON passes untouched. The bodies of requests are held; a larger one is
    413, a larger response in JSON 502. Where responses are changed, targets are asked for no parts and no
    content coding, which would hide what is to be changed.
    """

    class Config(PluginConfig, frozen=True):
        """Options of rewrite-json."""

        request: Annotated[Edits, Meta(description="changes on the way to the target")] = Edits()
        response: Annotated[Edits, Meta(description="changes on the way to the client")] = Edits()
        max_body: Annotated[Size, Meta(description="size of the largest body")] = Size("1MiB")

        def __post_init__(self) -> None:
            if not self.max_body:
                raise FieldInvalid("is too small", "give the size of the largest body", "max_body")

    def __init__(self, config: Config, site: Site) -> None:
        self._inwards = Editor(config.request, site, "request")
        self._outwards = Editor(config.response, site, "response")
        self._max_body = int(config.max_body)
        if self._inwards.busy:
            self.request_body_limit = self._max_body
        unused = set() if self._outwards.busy else {"response", "chunk"}
        if not self._inwards.busy and not self._outwards.busy:
            unused.add("forward")
        self.unused = frozenset(unused)

    def forward(self, exchange: Exchange) -> None:
        """Change the request's body; ask for an answer that can be changed."""
        request = exchange.request
        headers = request.headers
        if self._inwards.busy and request.body and _is_plain_json(headers):
            body = self._inwards.edited(request.body, exchange)
            if body is not None:
                request.body = body
                _forget_bytes(headers)
        if self._outwards.busy:
            exchange.state[self] = headers.get_all(b"accept-encoding")
            headers.set(b"accept-encoding", b"identity")
            headers.remove(b"range")

    def response(self, exchange: Exchange) -> None:
        """Change a body that is whole; keep one that streams until it is."""
        self._give_back_accept_encoding(exchange)
        response = exchange.response
        if response.status in BODILESS or not _is_plain_json(response.headers):
            return
        if exchange.request.method == "HEAD":
            response.rewritten = True  # the length of a GET's answer would be another
        elif response.body is not None:
            body = self._outwards.edited(response.body, exchange)
            if body is not None:
                response.body = body
                _forget_bytes(response.headers)
        elif (response.length or 0) > self._max_body:
            _refuse(response)
            exchange.problem = TOO_LARGE.slug
        else:
            response.rewritten = True
            _forget_bytes(response.headers)
            exchange.state[self] = bytearray()

    def chunk(self, exchange: Exchange, side: Side, piece: bytes, last: bool) -> bytes | None:
        """Keep a response's body back until it is whole."""
        kept: bytearray | None = exchange.state.get(self) if side == "response" else None
        if kept is None:
            return None
        kept += piece
        if len(kept) > self._max_body:
            raise AnswerTooLarge(f"more than {self._max_body} bytes")
        if not last:
            return b""
        body = bytes(kept)
        return self._outwards.edited(body, exchange) or body

    def _give_back_accept_encoding(self, exchange: Exchange) -> None:
        """Show the plugins that come later what the client accepts."""
        accepted: list[bytes] | bytearray = exchange.state.pop(self, ())
        if isinstance(accepted, list):
            exchange.request.headers.remove(b"accept-encoding")
            for value in accepted:
                exchange.request.headers.add(b"accept-encoding", value)


class Editor:
    """Make one side's changes."""

    def __init__(self, edits: Edits, site: Site, side: str) -> None:
        self._removed = [tokens_of(pointer) for pointer in edits.remove]
        self._renamed = [(tokens_of(pointer), name) for pointer, name in edits.rename.items()]
        self._set: list[tuple[tuple[str, ...], Fill]] = []
        for pointer, value in edits.set.items():
            key = f'{side}.set["{pointer}"]'
            try:
                self._set.append((tokens_of(pointer), _filler(value, site)))
            except FieldInvalid as error:
                raise FieldInvalid(error.wrong, error.right, key) from None
        self.busy = bool(self._removed or self._renamed or self._set)

    def edited(self, body: bytes, exchange: Exchange) -> bytes | None:
        """Return the body as it is to be; None: as it is."""
        try:
            document = read_to_edit(body)
        except JsonMalformed:
            return None
        changed = [remove(document, tokens) for tokens in self._removed]
        changed += [rename(document, tokens, name) for tokens, name in self._renamed]
        changed += [put(document, tokens, fill(exchange)) for tokens, fill in self._set]
        return write_json(document) if any(changed) else None


def remove(document: Any, tokens: tuple[str, ...]) -> bool:
    """Take out a member or an element; tell whether there was one."""
    holder, last = _found(document, tokens[:-1]), tokens[-1]
    if isinstance(holder, dict) and last in holder:
        del holder[last]
        return True
    if isinstance(holder, list) and (place := _index(last, holder)) is not None:
        del holder[place]
        return True
    return False


def rename(document: Any, tokens: tuple[str, ...], name: str) -> bool:
    """Give a member another name; tell whether there was one."""
    holder, last = _found(document, tokens[:-1]), tokens[-1]
    if not isinstance(holder, dict) or last not in holder or last == name:
        return False
    holder[name] = holder.pop(last)
    return True


def put(document: Any, tokens: tuple[str, ...], value: Any) -> bool:
    """Set a member or an element, and make the objects that are missing on the way; tell whether it could."""
    for number, token in enumerate(tokens[:-1]):
        if isinstance(document, dict) and token not in document:
            # NOTE: nothing below is there, so nothing can be in the way.
            for name in reversed(tokens[number + 1 :]):
                value = {name: value}
            document[token] = value
            return True
        document = _below(document, token)
    last = tokens[-1]
    if isinstance(document, dict):
        document[last] = value
        return True
    if isinstance(document, list) and last == "-":
        document.append(value)
        return True
    if isinstance(document, list) and (place := _index(last, document)) is not None:
        document[place] = value
        return True
    return False


def _found(document: Any, tokens: tuple[str, ...]) -> Any:
    for token in tokens:
        document = _below(document, token)
    return document


def _below(holder: Any, token: str) -> Any:
    """Return a member or an element; None: there is none."""
    if isinstance(holder, dict):
        return holder.get(token)
    if isinstance(holder, list) and (place := _index(token, holder)) is not None:
        return holder[place]
    return None


def _index(token: str, elements: list[Any]) -> int | None:
    """Return the place that a token names, which is written in one way only."""
    if not INDEX.fullmatch(token):
        return None
    place = int(token)
    return place if place < len(elements) else None


def _filler(value: Any, site: Site) -> Fill:
    """Return what makes a value anew for each exchange; raise FieldInvalid."""
    if isinstance(value, str):
        template = Template(value)
        check_parameters(template.parameters, site.parameters, "")
        return lambda exchange: template.fill(exchange).decode("utf-8", "replace")
    if isinstance(value, dict):
        members = [(str(name), _filler(member, site)) for name, member in value.items()]
        return lambda exchange: {name: fill(exchange) for name, fill in members}
    if isinstance(value, list):
        elements = [_filler(element, site) for element in value]
        return lambda exchange: [fill(exchange) for fill in elements]
    return lambda exchange: value


def _is_plain_json(headers: Headers) -> bool:
    return b"content-encoding" not in headers and is_json(media_type_of(headers.get(b"content-type", b"")))


def _forget_bytes(headers: Headers) -> None:
    """Leave out what the head says of the very bytes of a body that has been changed."""
    for name in SAID_OF_BYTES:
        headers.remove(name)
    etag = headers.get(b"etag", b"")
    if etag.startswith(b'"'):
        headers.set(b"etag", b"W/" + etag)


def _refuse(response: Response) -> None:
    """Put a problem in the place of a target's answer."""
    for name in {name for name, _ in response.headers}:
        response.headers.remove(name)
    refusal = Response.problem_of(TOO_LARGE)
    for name, value in refusal.headers:
        response.headers.set(name, value)
    response.status, response.body, response.problem = refusal.status, refusal.body, refusal.problem
