"""Passwords: hashed with argon2id, and compared off the event loop.

The rule it guards: a password is never kept, and finding out that a user is unknown takes as long as finding
out that a password is wrong. The hashing is argon2-cffi's, with its default costs (RFC 9106, low memory).
"""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

LONGEST = 1024  # bytes of a password
HASHER = PasswordHasher()
# Of no password: what a user is compared with who is not known.
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$bm9ib2R5LW5vYm9keQ$YWdvcmEtYWdvcmEtYWdvcmEtYWdvcmEtYWdvcmE"


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password; takes some 50 ms."""
    return HASHER.hash(password)


def is_hash(text: str) -> bool:
    """Tell whether a text is an argon2 hash that passwords can be compared with."""
    try:
        HASHER.check_needs_rehash(text)
    except (InvalidHashError, ValueError):
        return False
    return True


def verify(hashed: str, password: bytes) -> bool:
    """Tell whether a hash is that of a password; takes some 50 ms and 64 MiB: call it in a thread."""
    try:
        return HASHER.verify(hashed, password)
    except VerifyMismatchError:
        return False
    except VerificationError:
        return False
