"""The base of the configuration's tables, and the kinds of value that many of them have."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

END = r"$(?!\n)"  # Python's `$` alone also matches before a last line feed
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}" + END,
        title="name of at most 64 letters, digits, '.', '_' or '-'",
    ),
]
TlsVersion = Literal["1.2", "1.3"]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Be the base of every table: frozen and strict, with named fields only."""
