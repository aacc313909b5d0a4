"""The option that says what tells clients apart.

Written as "ip", "consumer", "route", "header:NAME", or several joined with "+". Plugins that count exchanges
have it; core/_fast/client_keys reads it.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self

from core.decode import Decoder, FieldInvalid
from core.describe import describe_value

KIND = r"(ip|consumer|route|header:[!#$%&'*.^_`|~0-9A-Za-z-]+)"  # a header's name cannot hold "+" here


class ClientKey(str):
    """Be what tells clients apart: ip, consumer, route or header:NAME, several joined with +."""

    __slots__ = ()
    noun: ClassVar[str] = "client key"
    pattern: ClassVar[str] = rf"^{KIND}(\+{KIND}){{0,7}}$"
    json_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": pattern,
        "examples": ["ip", "consumer", "header:x-api-key", "consumer+route"],
    }

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode a text; raise FieldInvalid."""
        if not isinstance(value, str) or not re.fullmatch(cls.pattern, value):
            raise FieldInvalid(
                f"tells no clients apart: {describe_value(value)}",
                "write ip, consumer, route or header:NAME, or several joined with +",
            )
        return cls(value)
