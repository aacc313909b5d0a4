"""The compress plugin: responses in as few bytes as the client can read."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated

from msgspec import Meta

from core.content_coding import CODERS, Coder, Coding, choose_coding
from core.exchange import Exchange, Response
from core.plugin import Plugin, PluginConfig, Side
from core.site import Site
from core.table import END
from core.units import Size
from plugins.cors import add_vary

BODILESS = frozenset({101, 204, 205, 304})
# What says something of the very bytes of the body, or is of use with them alone.
SAID_OF_BYTES = (
    b"content-encoding",
    b"content-range",
    b"content-digest",
    b"repr-digest",
    b"digest",
    b"content-md5",
)
EVENT_STREAM = b"text/event-stream"
MOST_REMEMBERED = 256  # values of a header whose meaning is kept
TEXTS = (
    "text/*",
    "application/json",
    "application/*+json",
    "application/x-ndjson",
    "application/javascript",
    "application/xml",
    "application/*+xml",
    "application/wasm",
    "image/svg+xml",
)

MediaRange = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9*!#$&^_.+-]+/[a-z0-9*!#$&^_.+-]+" + END,
        title='media type in small letters, where "*" stands for anything',
    ),
]


class Compress(Plugin):
    """Compress responses for clients that can read it.

    Left as they are: what is encoded already or has a digest, parts (206), streams of events, and what is
    marked ``no-transform``. A body that streams is flushed piece by piece; where the client may have it
    compressed, a strong ETag becomes a weak one. Do not use it where a page shows a secret beside what a
    stranger can choose: the length tells of the secret.
    """

    class Config(PluginConfig, frozen=True):
        """Options of compress."""

        encodings: Annotated[
            tuple[Coding, ...],
            Meta(min_length=1, description="codings; the first of those that a client wants most"),
        ] = ("zstd", "br", "gzip")
        min_size: Annotated[Size, Meta(description="a body that is known to be smaller stays as it is")] = (
            Size("1KiB")
        )
        types: Annotated[
            tuple[MediaRange, ...],
            Meta(min_length=1, description='media types that are compressed; "*" is anything'),
        ] = TEXTS
        gzip_level: Annotated[int, Meta(ge=1, le=9, description="1: fast, 9: small")] = 5
        br_level: Annotated[int, Meta(ge=0, le=11, description="0: fast, 11: small")] = 4
        zstd_level: Annotated[int, Meta(ge=1, le=19, description="1: fast, 19: small")] = 3

    def __init__(self, config: Config, site: Site) -> None:
        self._least = max(1, config.min_size)  # nothing is not worth a header
        self._levels: dict[Coding, int] = {
            "zstd": config.zstd_level,
            "br": config.br_level,
            "gzip": config.gzip_level,
        }
        self._choose = lru_cache(MOST_REMEMBERED)(lambda accepted: choose_coding(accepted, config.encodings))
        self._takes = lru_cache(MOST_REMEMBERED)(_matcher(config.types))

    def response(self, exchange: Exchange) -> None:
        """Decide, and change the head; a body that is whole is compressed at once."""
        exchange.state.pop(self, None)  # of an answer that this one takes the place of
        response, asked = exchange.response, exchange.request.headers
        if response.status == 304:
            return _agree_on_etag(exchange)
        if not self._may_compress(response):
            return None
        add_vary(response, b"accept-encoding")
        accepted = asked.get_all(b"accept-encoding")
        coding = self._choose(b", ".join(accepted)) if accepted else None
        if coding is None or b"no-transform" in asked.get(b"cache-control", b"").lower():
            return None
        if exchange.request.method == "HEAD":
            response.rewritten = True  # the length of a GET's answer would be another
            return None
        coder = CODERS[coding](self._levels[coding])
        if response.body is None:
            response.rewritten = True
            exchange.state[self] = coder
        else:
            body = coder.encode(response.body) + coder.end()
            if len(body) >= len(response.body):
                return None
            response.body = body
        response.headers.set(b"content-encoding", coding.encode())
        response.headers.remove(b"accept-ranges")  # the target's parts would be those of other bytes
        etag = response.headers.get(b"etag", b"")
        if etag.startswith(b'"'):
            response.headers.set(b"etag", b"W/" + etag)
        return None

    def chunk(self, exchange: Exchange, side: Side, piece: bytes, last: bool) -> bytes | None:
        """Compress a piece of a response."""
        if side == "request":
            return None
        coder: Coder | None = exchange.state.get(self)
        if coder is None or not (piece or last):
            return None  # nothing, or another plugin keeps it back
        return coder.encode(piece) + (coder.end() if last else coder.flush())

    def _may_compress(self, response: Response) -> bool:
        headers = response.headers
        length = response.length
        return (
            response.status not in BODILESS
            and response.status != 206
            and (length is None or length >= self._least)
            and self._takes(headers.get(b"content-type", b""))
            and not any(name in headers for name in SAID_OF_BYTES)
            and b"no-transform" not in b",".join(headers.get_all(b"cache-control")).lower()
        )


def _matcher(types: tuple[str, ...]) -> Callable[[bytes], bool]:
    ranges = re.compile("|".join(re.escape(each).replace(r"\*", "[^/]*") for each in types).encode())

    def takes(content_type: bytes) -> bool:
        media_type = content_type.partition(b";")[0].strip().lower()
        return media_type != EVENT_STREAM and ranges.fullmatch(media_type) is not None

    return takes


def _agree_on_etag(exchange: Exchange) -> None:
    """Give a 304 the weak form of its ETag if the client's copy has it: one that differs renews no copy."""
    etag = exchange.response.headers.get(b"etag", b"")
    if etag.startswith(b'"') and b"W/" + etag in exchange.request.headers.get(b"if-none-match", b""):
        exchange.response.headers.set(b"etag", b"W/" + etag)
