"""JSON in bodies: what counts as JSON, reading it in one way only, and pointers into it (RFC 6901).

The rule it guards: a document that two readers could understand differently is refused, so that what is
checked or changed here is what the target reads. The plugins validate and rewrite-json call it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, ClassVar, Self

import msgspec

from core.decode import Decoder, FieldInvalid
from core.describe import describe_value
from core.errors import AgoraError

MEDIA_TYPE = re.compile(r"application/([a-z0-9!#$&^_.+-]+\+)?json")


class JsonMalformed(AgoraError, ValueError):
    """Refuse a body that is no JSON, or that readers would not agree about."""

    status = 400
    slug = "json-malformed"
    title = "The body is not well-formed JSON"
    source = "client"


def media_type_of(content_type: bytes) -> str:
    """Return a Content-Type without its parameters, in small letters."""
    return content_type.partition(b";")[0].strip().lower().decode("latin-1")


def is_json(media_type: str) -> bool:
    """Tell whether a media type is JSON's: application/json, or any with its suffix."""
    return MEDIA_TYPE.fullmatch(media_type) is not None


def read_json(body: bytes) -> Any:
    """Read a whole document in UTF-8; raise JsonMalformed."""
    try:
        document = msgspec.json.decode(body)
        # NOTE: msgspec takes the last of members with the same name, and other readers the first.
        json.loads(body, object_pairs_hook=_unique)
    except JsonMalformed:
        raise
    except RecursionError:
        raise JsonMalformed("it is nested too deeply") from None
    except ValueError as error:  # of msgspec; of UTF-8; of Python for numbers of thousands of digits
        raise JsonMalformed(str(error)) from None
    return document


def write_json(document: Any) -> bytes:
    """Return a document as it goes into a body."""
    return msgspec.json.encode(document)


def _unique(pairs: list[tuple[str, Any]]) -> None:
    # NOTE: what it returns stands for the object; nobody looks at it, and None is the cheapest.
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise JsonMalformed(f"an object has the member {name[:60]!r} twice")
        seen.add(name)


class Pointer(str):
    """Be a JSON pointer, as in ``/order/lines/0``; the empty one is the whole document."""

    __slots__ = ("tokens",)
    noun: ClassVar[str] = "JSON pointer"
    pattern: ClassVar[str] = r"^(/([^~/]|~[01])*)*$"
    json_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": pattern,
        "examples": ["/order/id", "/lines/0"],
    }

    tokens: tuple[str, ...]

    def __new__(cls, text: str) -> Self:
        """Read a pointer; raise FieldInvalid."""
        if text and (not text.startswith("/") or re.search(r"~(?![01])", text)):
            raise FieldInvalid(
                f"is no JSON pointer: {describe_value(text)}",
                'write "/order/id"; in a member\'s name "~1" stands for "/" and "~0" for "~"',
            )
        made = super().__new__(cls, text)
        made.tokens = tuple(unescape(token) for token in text.split("/")[1:])
        return made

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        """Rebuild from the text (pickle, copy)."""
        return type(self), (str(self),)

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode a pointer."""
        if not isinstance(value, str):
            raise FieldInvalid(f"must be a JSON pointer, not {describe_value(value)}")
        return cls(value)


def pointer_to(tokens: Iterable[str | int]) -> str:
    """Return the pointer whose tokens these are."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def unescape(token: str) -> str:
    """Return a pointer's token as the member's name that it stands for."""
    return token.replace("~1", "/").replace("~0", "~")
