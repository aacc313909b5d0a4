"""JSON in bodies: what counts as JSON, reading it in one way only, and pointers into it (RFC 6901).

The rule it guards: a document that two readers could understand differently is refused, so that what is
checked or changed here is what the target reads. The plugins validate and rewrite-json call it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from core.errors import AgoraError
from core.table import END

POINTER = r"^(/([^~/]|~[01])*)+" + END  # to something inside of a document
EXACT = msgspec.json.Decoder(float_hook=Decimal)
WRITER = msgspec.json.Encoder(decimal_format="number")
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


def read_to_edit(body: bytes) -> Any:
    """Read a document whose numbers are to be written as they came; raise JsonMalformed.

    Of members that come twice, the last counts: what is written has it alone.
    """
    try:
        return EXACT.decode(body)
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise JsonMalformed(str(error)) from None


def write_json(document: Any) -> bytes:
    """Return a document as it goes into a body."""
    return WRITER.encode(document)


def _unique(pairs: list[tuple[str, Any]]) -> None:
    # NOTE: what it returns stands for the object; nobody looks at it, and None is the cheapest.
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise JsonMalformed(f"an object has the member {name[:60]!r} twice")
        seen.add(name)


def tokens_of(pointer: str) -> tuple[str, ...]:
    """Return what a pointer names, from the root on."""
    return tuple(unescape(token) for token in pointer.split("/")[1:])


def pointer_to(tokens: Iterable[str | int]) -> str:
    """Return the pointer whose tokens these are."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def unescape(token: str) -> str:
    """Return a pointer's token as the member's name that it stands for."""
    return token.replace("~1", "/").replace("~0", "~")
