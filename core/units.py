"""Durations and sizes: written as people write them, plain numbers for the machine.

A duration is a number of seconds, or a string with a unit: "250ms", "10s", "5m", "1h", "7d". A size is a
number of bytes, or a string with a unit: "512B", "16KiB", "1MiB", "2GiB" (powers of 1024) or kB, MB, GB
(powers of 1000). Neither is ever negative. The values are a float and an int, and the hot path reads them
as such. The config structs of the gateway and of plugins use them, also for defaults: `within: Duration =
Duration("5s")`.
"""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar, Self

from core.decode import Decoder, FieldInvalid
from core.describe import describe_value

MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
BYTES = {
    "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
    "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
}  # fmt: skip
NUMBER = r"([0-9]+(?:\.[0-9]+)?) ?"
LONGEST = 100 * 365 * 86400.0  # seconds; as nanoseconds still well inside 64 bits
LARGEST = 1 << 62  # bytes


class Duration(float):
    """Be a length of time in seconds, made from a number or from a string with a unit."""

    noun: ClassVar[str] = "duration"
    pattern: ClassVar[str] = f"^{NUMBER}({'|'.join(MILLISECONDS)})$"
    json_schema: ClassVar[dict[str, Any]] = {
        "type": ["string", "number"],
        "pattern": pattern,
        "minimum": 0,
        "examples": ["250ms", "10s", "5m"],
    }
    right: ClassVar[str] = (
        'write seconds as a number, or a string with a unit: "250ms", "10s", "5m", "1h", "7d"'
    )

    def __new__(cls, value: float | str) -> Self:
        """Read a number of seconds or a string with a unit; raise FieldInvalid."""
        seconds: float
        if isinstance(value, str) and (match := re.fullmatch(cls.pattern, value)):
            seconds = float(match[1]) * MILLISECONDS[match[2]] / 1000
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value
        else:
            raise FieldInvalid(f"must be a duration, not {describe_value(value)}", cls.right)
        if not 0 <= seconds <= LONGEST:  # also refuses NaN
            raise FieldInvalid(
                f"must be a duration between 0 and 100 years, not {describe_value(value)}", cls.right
            )
        return super().__new__(cls, seconds)

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode a duration."""
        return cls(value)

    def __str__(self) -> str:
        milliseconds = float(self) * 1000
        for unit, scale in reversed(MILLISECONDS.items()):
            if milliseconds >= scale and math.isclose(
                milliseconds / scale, round(milliseconds / scale), rel_tol=1e-12
            ):
                return f"{round(milliseconds / scale)}{unit}"
        return f"{float(self):.9f}".rstrip("0").rstrip(".") + "s" if self else "0"

    def __repr__(self) -> str:
        return f'Duration("{self}")' if self else "Duration(0)"


class Size(int):
    """Be a number of bytes, made from a number or from a string with a unit."""

    noun: ClassVar[str] = "size"
    pattern: ClassVar[str] = f"^{NUMBER}({'|'.join(BYTES)})$"
    json_schema: ClassVar[dict[str, Any]] = {
        "type": ["string", "integer"],
        "pattern": pattern,
        "minimum": 0,
        "examples": ["16KiB", "1MiB", "2GiB"],
    }
    right: ClassVar[str] = (
        'write bytes as a whole number, or a string with a unit: "512B", "16KiB", "1MiB", "2GiB"'
    )

    def __new__(cls, value: int | str) -> Self:
        """Read a number of bytes or a string with a unit; raise FieldInvalid."""
        count: float
        if isinstance(value, str) and (match := re.fullmatch(cls.pattern, value)):
            count = (
                int(match[1]) * BYTES[match[2]] if match[1].isdigit() else float(match[1]) * BYTES[match[2]]
            )
        elif isinstance(value, int) and not isinstance(value, bool):
            count = value
        else:
            raise FieldInvalid(f"must be a size, not {describe_value(value)}", cls.right)
        if count != int(count) or not 0 <= count <= LARGEST:
            raise FieldInvalid(
                f"must be a whole number of bytes from 0 up, not {describe_value(value)}", cls.right
            )
        return super().__new__(cls, int(count))

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode a size."""
        return cls(value)

    def __str__(self) -> str:
        count = int(self)
        for unit in ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "kB"):
            if count and count % BYTES[unit] == 0:
                return f"{count // BYTES[unit]}{unit}"
        return f"{count}B" if count else "0"

    def __repr__(self) -> str:
        return f'Size("{self}")' if self else "Size(0)"
