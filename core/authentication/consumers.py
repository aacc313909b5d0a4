"""The directory of consumers: who there is, and whose a key is.

The rule it guards: keys are held as their SHA-256 alone, and a change takes effect at once, for exchanges of
every snapshot. One a worker, filled by the gateway; read by authenticators.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """Be somebody whom requests may speak for."""

    name: str
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Credential:
    """Be one key or password of a consumer."""

    consumer: str  # its name
    id: str  # tells the consumer's credentials apart
    expires_ns: int = 0  # time since the epoch; 0: never


class Consumers:
    """Look up consumers by name and by key."""

    def __init__(self) -> None:
        self.version = 0  # goes up with each change: what was remembered of an older one is void
        self._by_name: Mapping[str, Consumer] = {}
        self._by_key: Mapping[bytes, Credential] = {}
        self._passwords: Mapping[str, tuple[Credential, str]] = {}

    def fill(
        self,
        consumers: Iterable[Consumer],
        keys: Mapping[bytes, Credential],
        passwords: Mapping[str, tuple[Credential, str]] | None = None,
    ) -> None:
        """Put another directory in this one's place.

        keys: SHA-256 of a key -> whose it is
        passwords: user name -> (whose it is, argon2 hash)
        """
        self._by_name = {consumer.name: consumer for consumer in consumers}
        self._by_key = dict(keys)
        self._passwords = dict(passwords or {})
        self.version += 1

    def named(self, name: str) -> Consumer | None:
        """Return the consumer of a name."""
        return self._by_name.get(name)

    def of_key(self, key: bytes, now_ns: int) -> tuple[Consumer, Credential] | None:
        """Return whose a key is; None: nobody's, or no longer."""
        found = self._by_key.get(hashlib.sha256(key).digest())
        if found is None or (found.expires_ns and found.expires_ns <= now_ns):
            return None
        consumer = self._by_name.get(found.consumer)
        return None if consumer is None else (consumer, found)

    def password_of(self, user: str) -> tuple[Consumer, Credential, str] | None:
        """Return whose a user name is, with the argon2 hash of the password; None: nobody's."""
        found = self._passwords.get(user)
        if found is None:
            return None
        credential, hashed = found
        consumer = self._by_name.get(credential.consumer)
        return None if consumer is None else (consumer, credential, hashed)


def key_digest(key: str) -> bytes:
    """Return what a key is held as."""
    return hashlib.sha256(key.encode()).digest()
