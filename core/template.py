"""Texts with variables, `{client}` or `{header:NAME}`, read at start-up and filled in for each exchange.

The rule it guards: what is written in a configuration is either understood or refused when it is read;
what is filled in is never read again for variables. The plugins headers and rewrite use them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Self

from core.decode import Decoder, FieldInvalid, did_you_mean
from core.describe import describe_value

if TYPE_CHECKING:
    from core.exchange import Exchange

Fill = Callable[["Exchange"], bytes]
TOKEN = re.compile(r"\{\{|\}\}|\{(?P<variable>[^{}]*)\}|(?P<stray>[{}])|[^{}]+")
VISIBLE = r"!-~\xa0-\ud7ff\ue000-\U0010ffff"
HEADER_TEXT = re.compile(rf"([{VISIBLE}]([ \t{VISIBLE}]*[{VISIBLE}])?)?")
TOKEN_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def consumer_name(exchange: Exchange) -> bytes:
    """Return the name of who the exchange speaks for; empty: nobody."""
    consumer = exchange.consumer
    if consumer is None:
        return b""
    name: str = consumer if isinstance(consumer, str) else consumer.name
    return name.encode()


# A new variable is one line here.
VARIABLES: dict[str, Fill] = {
    "client": lambda exchange: exchange.client_bytes,
    "consumer": consumer_name,
    "host": lambda exchange: exchange.request.host.encode("latin-1"),
    "method": lambda exchange: exchange.request.method.encode("ascii"),
    "path": lambda exchange: exchange.request.path.encode("ascii"),
    "peer": lambda exchange: exchange.peer.encode("ascii"),
    "query": lambda exchange: exchange.request.query.encode("latin-1"),
    "request_id": lambda exchange: exchange.request_id or b"",
    "route": lambda exchange: exchange.route.encode(),
    "scheme": lambda exchange: exchange.scheme.encode("ascii"),
    "server": lambda exchange: (exchange.server or "").encode(),
    "trace_id": lambda exchange: exchange.trace_id or b"",
}


def parameter(name: str) -> Fill:
    """Return what fills in a path parameter, percent-decoded."""
    return lambda exchange: exchange.parameters.get(name, "").encode()


def request_header(name: str) -> Fill:
    """Return what fills in the first value of a request header."""
    raw = name.encode("ascii")
    return lambda exchange: exchange.request.headers.get(raw, b"")


class Template(str):
    """Be a text with variables; ``{{`` and ``}}`` stand for braces."""

    __slots__ = ("constant", "parameters", "parts")
    noun: ClassVar[str] = "text with variables"
    json_schema: ClassVar[dict[str, Any]] = {"type": "string"}
    right: ClassVar[str] = f"variables are {', '.join(VARIABLES)}, param:NAME and header:NAME"

    constant: bytes | None  # the whole text, if it has no variables
    parameters: frozenset[str]  # names of path parameters in it
    parts: tuple[bytes | Fill, ...]

    def __new__(cls, text: str) -> Self:
        """Read a text; raise FieldInvalid."""
        made = super().__new__(cls, text)
        names: set[str] = set()
        made.parts = tuple(_parts(text, names))
        made.parameters = frozenset(names)
        made.constant = b"".join(part for part in made.parts if isinstance(part, bytes))
        if any(not isinstance(part, bytes) for part in made.parts):
            made.constant = None
        return made

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        """Rebuild from the text (pickle, copy)."""
        return type(self), (str(self),)

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode a text."""
        if not isinstance(value, str):
            raise FieldInvalid(f"must be a text, not {describe_value(value)}", cls.right)
        return cls(value)

    def fill(self, exchange: Exchange) -> bytes:
        """Return the text with its variables filled in; one without a value is empty."""
        if self.constant is not None:
            return self.constant
        if len(self.parts) == 1:
            return self.parts[0](exchange)  # type: ignore[operator]  # not constant, so not bytes
        return b"".join([part if isinstance(part, bytes) else part(exchange) for part in self.parts])


class HeaderTemplate(Template):
    """Be a header's value with variables."""

    __slots__ = ()
    noun: ClassVar[str] = "header value with variables"

    def __new__(cls, text: str) -> Self:
        """Read a value; raise FieldInvalid."""
        if not HEADER_TEXT.fullmatch(text):
            raise FieldInvalid(
                f"must be a header's value, not {describe_value(text)}",
                "write it on one line, without control characters or white space around it",
            )
        return super().__new__(cls, text)


class HeaderTemplates(tuple[HeaderTemplate, ...]):
    """Be one or several header values with variables."""

    __slots__ = ()
    noun: ClassVar[str] = "header value with variables, or list of them"
    json_schema: ClassVar[dict[str, Any]] = {
        "anyOf": [
            HeaderTemplate.json_schema,
            {"type": "array", "items": HeaderTemplate.json_schema, "minItems": 1},
        ]
    }

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode a text or a list of them."""
        if isinstance(value, list) and value:
            return cls(decoder.decode(value, list[HeaderTemplate]))
        return cls((HeaderTemplate.from_plain(value, decoder),))


def _parts(text: str, parameters: set[str]) -> Iterator[bytes | Fill]:
    for token in TOKEN.finditer(text):
        if token["stray"]:
            raise FieldInvalid(
                f"has a stray {token['stray']!r} in {describe_value(text)}", "double a brace that is text"
            )
        if token["variable"] is not None:
            yield _variable(token["variable"], parameters)
        else:
            yield token[0].replace("{{", "{").replace("}}", "}").encode()


def _variable(name: str, parameters: set[str]) -> Fill:
    if name in VARIABLES:
        return VARIABLES[name]
    kind, colon, rest = name.partition(":")
    if kind == "param" and rest:
        parameters.add(rest)
        return parameter(rest)
    if kind == "header" and TOKEN_NAME.fullmatch(rest):
        return request_header(rest)
    known = Template.right if colon else f"{did_you_mean(name, VARIABLES)} {Template.right}"
    raise FieldInvalid(f"{{{name}}} is no variable", known)


def check_parameters(used: frozenset[str], known: tuple[str, ...] | None, key: str) -> None:
    """Raise FieldInvalid for a path parameter that the route does not have; ``known`` None: not known."""
    if known is not None and not used <= set(known):
        name = min(used - set(known))
        raise FieldInvalid(f"{name!r} is no parameter of the route's path", did_you_mean(name, known), key)
