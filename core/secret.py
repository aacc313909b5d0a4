"""A secret: a value that is used, never shown.

Written as `env:NAME`, `file:PATH` or the value itself. References are looked up by the decoder's `resolve`
(gateway/config.py gives one that reads the environment and files). What is printed, logged or shown in an
error is the reference, or asterisks where the value itself was written.
"""

from __future__ import annotations

import hmac
from typing import Any, ClassVar, Self

from core.decode import Decoder, FieldInvalid
from core.describe import describe_value

REFERENCES = ("env:", "file:")
HIDDEN = "*****"


class Secret:
    """Be a password, key or token, shown only to whoever asks with `reveal()`."""

    __slots__ = ("_value", "reference")
    noun: ClassVar[str] = "secret"
    json_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "minLength": 1,
        "examples": ["env:NAME", "file:/run/secrets/name"],
    }

    reference: str  # `env:NAME` or `file:PATH`; empty if the value itself was written

    def __init__(self, value: str, reference: str = "") -> None:
        self._value = value
        self.reference = reference

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode a reference or a value; the value may not be empty."""
        if not isinstance(value, str) or not value:
            right = 'write "env:NAME", "file:PATH" or the value itself'
            raise FieldInvalid(f"must be a secret, not {describe_value(value, hidden=True)}", right)
        if value.startswith(REFERENCES):
            return cls(decoder.resolve(value), value)
        if not decoder.literal_secrets:
            raise FieldInvalid(
                "is written out, and what is declared here is kept", 'write "env:NAME" or "file:PATH"'
            )
        return cls(value)

    def reveal(self) -> str:
        """Return the value itself."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __str__(self) -> str:
        return self.reference or HIDDEN

    def __repr__(self) -> str:
        return f"Secret({self})"
