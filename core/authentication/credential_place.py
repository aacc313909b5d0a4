"""Where a request carries a credential: a header, a query parameter or a cookie.

The rule it guards: what is found is what the target would have found, and what is hidden is hidden
everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from core.exchange import Exchange
from core.pattern_text import PatternText


class CredentialPlace(PatternText):
    """Be where a credential is sent: header:NAME, query:NAME or cookie:NAME."""

    __slots__ = ()
    noun = "place of a credential"
    pattern = r"^(header|query|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+$(?!\n)"
    examples = ("header:x-api-key", "query:api_key", "cookie:key")
    wrong = "is no place of a credential"
    right = "write header:NAME, query:NAME or cookie:NAME"


class Places:
    """Look for a credential in several places, in order."""

    def __init__(self, places: Iterable[CredentialPlace]) -> None:
        self._places = [
            (kind, name.lower().encode() if kind == "header" else name.encode())
            for kind, _, name in (place.partition(":") for place in places)
        ]
        # PERF: one header is the usual place; it costs a look-up, not a loop
        self._header = self._places[0][1] if [kind for kind, _ in self._places] == ["header"] else None

    def find(self, exchange: Exchange) -> bytes | None:
        """Return the first credential that there is."""
        if self._header is not None:
            return exchange.request.headers.get(self._header)
        for kind, name in self._places:
            found = FINDERS[kind](exchange, name)
            if found:
                return found
        return None

    def hide(self, exchange: Exchange) -> None:
        """Take the credential out of what is forwarded, wherever it is."""
        for kind, name in self._places:
            HIDERS[kind](exchange, name)


def header_value(exchange: Exchange, name: bytes) -> bytes | None:
    """Return a header's value."""
    return exchange.request.headers.get(name)


def query_value(exchange: Exchange, name: bytes) -> bytes | None:
    """Return a query parameter's value, percent-decoded."""
    for pair in exchange.request.query.encode().split(b"&"):
        key, _, value = pair.partition(b"=")
        if unquote_to_bytes(key) == name:
            return unquote_to_bytes(value.replace(b"+", b" "))
    return None


def cookie_value(exchange: Exchange, name: bytes) -> bytes | None:
    """Return a cookie's value."""
    for pair in b";".join(exchange.request.headers.get_all(b"cookie")).split(b";"):
        key, _, value = pair.strip().partition(b"=")
        if key == name:
            return value
    return None


def hide_header(exchange: Exchange, name: bytes) -> None:
    """Take a header out of what is forwarded."""
    exchange.request.headers.remove(name)


def hide_query(exchange: Exchange, name: bytes) -> None:
    """Take a query parameter out of what is forwarded."""
    query = exchange.request.query
    kept = [pair for pair in query.split("&") if unquote_to_bytes(pair.partition("=")[0].encode()) != name]
    if len(kept) != query.count("&") + 1:
        exchange.request.query = "&".join(kept)


def hide_cookie(exchange: Exchange, name: bytes) -> None:
    """Take a cookie out of what is forwarded."""
    headers = exchange.request.headers
    cookies = headers.get_all(b"cookie")
    pairs = [pair.strip() for pair in b";".join(cookies).split(b";")]
    kept = [pair for pair in pairs if pair and pair.partition(b"=")[0] != name]
    if len(kept) != len(pairs):
        headers.remove(b"cookie")
        if kept:
            headers.set(b"cookie", b"; ".join(kept))


FINDERS = {"header": header_value, "query": query_value, "cookie": cookie_value}
HIDERS = {"header": hide_header, "query": hide_query, "cookie": hide_cookie}
