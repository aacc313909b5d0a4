"""An identity: who a request was found to speak for.

The rule it guards: it is made once for a credential, with the headers that targets are told it by, and is
shared by all exchanges of that credential; nothing of it changes. Made by authenticators, held by
`exchange.consumer`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})
PLAIN = "!#$%&'()*+,-./:;<=>?@[]^_`{|}~ \""  # what a header's value may hold, beside letters and digits


class Identity:
    """Name a consumer, with its groups and what its credential claims."""

    __slots__ = ("claims", "credential", "fields", "groups", "name", "scheme")

    name: str  # the consumer's; what limits and logs go by
    groups: frozenset[str]
    scheme: str  # the kind of credential, such as "jwt"
    credential: str  # tells the consumer's credentials apart; never the secret itself
    claims: Mapping[str, Any]  # what a token says; empty where there is none
    fields: tuple[tuple[bytes, bytes], ...]  # names and values of headers for the target

    def __init__(
        self,
        name: str,
        *,
        scheme: str,
        groups: Iterable[str] = (),
        credential: str = "",
        claims: Mapping[str, Any] = NO_CLAIMS,
        claim_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Make one; ``claim_headers`` maps names of headers to names of claims."""
        self.name = name
        self.groups = frozenset(groups)
        self.scheme = scheme
        self.credential = credential
        self.claims = MappingProxyType(dict(claims)) if claims else NO_CLAIMS
        told = {"x-consumer-name": name, "x-consumer-groups": ",".join(sorted(self.groups))}
        told["x-credential-id"] = credential
        for header, claim in (claim_headers or {}).items():
            told[header.lower()] = claim_text(self.claims.get(claim))
        self.fields = tuple((key.encode(), header_value(value)) for key, value in told.items() if value)

    def __repr__(self) -> str:
        return f"<Identity {self.name} by {self.scheme}>"


def claim_text(value: Any) -> str:
    """Return a claim as a header tells it: lists joined with commas, what has no plain form left out."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return ",".join(claim_text(item) for item in value)
    return ""


def header_value(text: str) -> bytes:
    """Return a text as a header's value; what a header cannot hold is percent-encoded (UTF-8)."""
    return quote(text, safe=PLAIN).strip().encode("ascii")
