"""Verify signed tokens (JWT, RFC 7519): signature, times, issuer, audience, claims.

The rule it guards: the algorithms are the configuration's, never the token's; a token that cannot be verified
in full is refused with the reason. Signatures are PyJWT's and cryptography's; the frame around them is read
here, once and in one way. Pure: the time is an argument. Used by plugins/jwt.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from jwt.algorithms import get_default_algorithms

from core.authentication.token_keys import TokenKey, candidates
from core.errors import AgoraError

MOST_TRIES = 8  # keys that one token is tried with
FRAME = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")  # RFC 7515, section 7.1
SIGNERS = get_default_algorithms()


class TokenRefused(AgoraError):
    """Refuse a token; the text says why, in words for its bearer."""

    slug = "token-refused"
    title = "The token does not hold"


class KeyUnknown(TokenRefused):
    """Refuse a token that is signed by a key that is not there (yet)."""


class TokenVerifier:
    """Hold the rules that tokens are held to."""

    def __init__(
        self,
        *,
        algorithms: Iterable[str],
        issuers: Sequence[str] = (),
        audiences: Sequence[str] = (),
        required: Sequence[str] = ("exp",),
        leeway: float = 0,
    ) -> None:
        self._algorithms = frozenset(algorithms)
        self._issuers = frozenset(issuers)
        self._audiences = frozenset(audiences)
        self._required = (*required, *["iss"] * bool(issuers), *["aud"] * bool(audiences))
        self._leeway = leeway

    def verify(self, token: bytes, keys: Sequence[TokenKey], now: float) -> dict[str, Any]:
        """Return a token's claims; raise TokenRefused. ``now`` in seconds since the epoch."""
        frame = FRAME.fullmatch(token)
        if frame is None:
            raise TokenRefused("It is no signed token.")
        head, claims = _json(frame[1]), _json(frame[2])
        algorithm, kid = head.get("alg"), head.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise TokenRefused("It is signed by an algorithm that is not allowed here.")
        if "crit" in head or head.get("b64", True) is not True:
            raise TokenRefused("It demands an extension that is not known here.")
        found = candidates(keys, algorithm, kid)
        if not found:
            raise KeyUnknown("It is signed by a key that is not known here.")
        signature, content = _bytes(frame[3]), token[: frame.end(2)]
        if not any(SIGNERS[algorithm].verify(content, key.material, signature) for key in found[:MOST_TRIES]):
            raise TokenRefused("Its signature does not hold.")
        self._check(claims, now)
        return claims

    def _check(self, claims: Mapping[str, Any], now: float) -> None:
        """Hold the claims to the rules; RFC 7519, section 4.1."""
        for name in self._required:
            if claims.get(name) is None:
                raise TokenRefused(f"It lacks the claim {name}.")
        if _time(claims, "exp", now + 1) <= now - self._leeway:
            raise TokenRefused("It has expired.")
        if _time(claims, "nbf", now) > now + self._leeway or _time(claims, "iat", now) > now + self._leeway:
            raise TokenRefused("It is not valid yet.")
        if self._issuers and _names(claims, "iss").isdisjoint(self._issuers):
            raise TokenRefused("It is of another issuer.")
        if self._audiences and _names(claims, "aud").isdisjoint(self._audiences):
            raise TokenRefused("It is for another audience.")


def _bytes(part: bytes) -> bytes:
    """Return what a part says; one way to write it is right, RFC 7515, section 2."""
    try:
        data = urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        raise TokenRefused("It is no signed token.") from None
    if urlsafe_b64encode(data).rstrip(b"=") != part:
        raise TokenRefused("It is no signed token.")
    return data


def _json(part: bytes) -> dict[str, Any]:
    try:
        read = msgspec.json.decode(_bytes(part))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TokenRefused("It is no signed token.") from None
    if not isinstance(read, dict):
        raise TokenRefused("It is no signed token.")
    return read


def _time(claims: Mapping[str, Any], name: str, default: float) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenRefused(f"Its claim {name} is no time.")
    return value


def _names(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    value = claims[name]
    values = value if isinstance(value, list) and name == "aud" else [value]
    if not all(isinstance(item, str) for item in values):
        raise TokenRefused(f"Its claim {name} is no name.")
    return frozenset(values)
