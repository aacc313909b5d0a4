"""Who may steer the gateway: tokens and their roles, and the making of secrets.

The rule it guards: a secret is shown once, when it is made; what is kept is its SHA-256. Secrets have 256
random bits, so that a plain hash is enough.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from enum import IntEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from core.table import Name
from engines.api_gateway.resource import Document, Resource

PREFIX = "agora_"


class Role(IntEnum):
    """Be what a token allows; each role allows what those before it allow.

    viewer: look. operator: change routes, upstreams, consumers, credentials and the like.
    admin: also tokens, and documents that refer to secrets of the gateway's environment.
    """

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


ROLES = {role.name.lower(): role for role in Role}


class AuthenticationToken(msgspec.Struct, frozen=True, kw_only=True):
    """Be a token of the control API. `created`, `expires`: ns since the epoch; expires 0: never."""

    name: Name
    role: str
    created: int = 0
    expires: int = 0

    @property
    def rights(self) -> Role:
        """Return the role."""
        return ROLES[self.role]


class TokenWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Describe a token to be made."""

    name: Name
    role: Annotated[str, Meta(pattern="^(viewer|operator|admin)$", title="viewer, operator or admin")]
    seconds: Annotated[float, Meta(ge=0, le=315_360_000, title="seconds it holds, 0: for ever")] = 0


class CredentialWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Describe a credential to be issued: a key of a consumer."""

    consumer: Name
    seconds: Annotated[float, Meta(ge=0, le=315_360_000, title="seconds it holds, 0: for ever")] = 0


class Access:
    """Find the token that a secret stands for."""

    def __init__(self, tokens: Iterable[Resource] = ()) -> None:
        self._by_digest: dict[str, AuthenticationToken] = {}
        for resource in tokens:
            self._by_digest[resource.document["sha256"]] = token_of(resource)

    def find(self, secret: str, now_ns: int) -> AuthenticationToken | None:
        """Return the token of a secret; None: there is none, or it has expired."""
        found = self._by_digest.get(digest(secret))
        return None if found is None or 0 < found.expires <= now_ns else found


def token_of(resource: Resource) -> AuthenticationToken:
    """Return a declared token, without what proves it."""
    document = resource.document
    return AuthenticationToken(
        name=resource.name, role=document["role"], created=resource.time, expires=document["expires"]
    )


def make_secret() -> str:
    """Return a new secret: 256 random bits, with a prefix by which leaks are found."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def expiry(now_ns: int, seconds: float) -> int:
    """Return when something ends that holds so long from now; 0: never."""
    return now_ns + int(seconds * 1e9) if seconds else 0


def without_secret(document: Document) -> Document:
    """Return a document without what proves it."""
    return {key: value for key, value in document.items() if key != "sha256"}
