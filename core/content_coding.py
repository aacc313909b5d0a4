"""Content codings: gzip, br and zstd as streams, and which of them a client wants (RFC 9110, 12.5.3).

The rule it guards: a coding is used only if the client names it, itself or by ``*``, and does not rather
have the body as it is. The compress plugin calls it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import brotli
from backports import zstd

Coding = Literal["zstd", "br", "gzip"]

# NOTE: what a coder looks back on costs memory for as long as its response streams. zstd would take
# several MiB each; 512 KiB lose little on text.
WINDOW_LOG = 19
GZIP_FORMAT = 31  # zlib's number for a gzip frame with the largest window, which is 32 KiB
MEMBER = re.compile(
    rb"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*(?:;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?"
)
ALIASES = {b"x-gzip": b"gzip"}


class Coder(Protocol):
    """Encode one body, piece by piece."""

    def encode(self, data: bytes) -> bytes:
        """Return what is ready; some may be kept back."""

    def flush(self) -> bytes:
        """Return what was kept back: the peer can decode all that was encoded so far."""

    def end(self) -> bytes:
        """Return the rest and the end mark."""


class Gzip:
    """Encode a body by gzip."""

    def __init__(self, level: int) -> None:
        self._stream = zlib.compressobj(level, zlib.DEFLATED, GZIP_FORMAT)
        self.encode = self._stream.compress

    def flush(self) -> bytes:
        """Return what was kept back."""
        return self._stream.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        """Return the rest and the end mark."""
        return self._stream.flush(zlib.Z_FINISH)


class Brotli:
    """Encode a body by brotli."""

    def __init__(self, level: int) -> None:
        stream = brotli.Compressor(quality=level, lgwin=WINDOW_LOG)
        self.encode: Callable[[bytes], bytes] = stream.process
        self.flush: Callable[[], bytes] = stream.flush
        self.end: Callable[[], bytes] = stream.finish


class Zstd:
    """Encode a body by zstd."""

    def __init__(self, level: int) -> None:
        parameter = zstd.CompressionParameter
        options: dict[int, int] = {
            parameter.compression_level: level,
            parameter.window_log: WINDOW_LOG,
        }
        self._stream = zstd.ZstdCompressor(options=options)
        self.encode = self._stream.compress

    def flush(self) -> bytes:
        """Return what was kept back."""
        return self._stream.flush(self._stream.FLUSH_BLOCK)

    def end(self) -> bytes:
        """Return the rest and the end mark."""
        return self._stream.flush(self._stream.FLUSH_FRAME)


CODERS: dict[Coding, Callable[[int], Coder]] = {"zstd": Zstd, "br": Brotli, "gzip": Gzip}


def weights_of(accepted: bytes) -> dict[bytes, float]:
    """Read an Accept-Encoding header: codings in small letters and their weights; the rest is left out."""
    found: dict[bytes, float] = {}
    for member in accepted.split(b","):
        if match := MEMBER.fullmatch(member):
            name = match[1].lower()
            found[ALIASES.get(name, name)] = float(match[2] or 1)
    return found


def choose_coding(accepted: bytes, offered: Sequence[Coding]) -> Coding | None:
    """Return the coding of the greatest weight, the first of those that are equal; None: as it is."""
    weights = weights_of(accepted)
    others = weights.get(b"*", 0.0)
    least = weights.get(b"identity", 0.0)
    best = max(offered, key=lambda coding: weights.get(coding.encode(), others), default=None)
    if best is None:
        return None
    weight = weights.get(best.encode(), others)
    return best if weight > 0 and weight >= least else None
