"""Keep personal data so that it can be erased from a log which is never changed: sealed, a key per subject.

The rule it guards: a subject whose key was erased never gets another one unnoticed, and what was sealed for
it is not read again; the log stays whole, for only ciphertext was ever in it. Who appends personal data seals
it, who reads it opens it; `agora log erase` erases.

A subject is any name, such as ``user:7``. It is nowhere in the log in clear: its number is 16 bytes of the
name's BLAKE2b hash (personalised), and sealed data begins with it:

    u8 form (1), 16 bytes number, 12 bytes nonce, AES-256-GCM ciphertext, 16 bytes tag

The seal binds number, stream and type: data that was moved elsewhere does not open. Who knows a name can tell
which events were sealed for it; so a name, like a stream's, had better be a number than an e-mail address.

In the log's table of keys stands, under the number, a key (32 bytes), or once erased the time of that (8
bytes). Both come about together with an event in the stream ``subject/`` + number: the first append wins
where two processes make a key at once, and whoever follows the log learns of an erasure. Keys are not cached:
an erasure holds from the next read on, in every process.

NOTE: what erasing cannot reach at once. LMDB writes changed pages elsewhere and lists the old one as free, so
the key's bytes stay in the file until that page is used again, and in backups until those are thrown away; a
compact backup leaves free pages out, and put in the log's place it is rid of them. `agora log erase` says so.
"""

from __future__ import annotations

import os
import struct
import time
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core._fast.envelope import BYTES, Draft, Event
from core._fast.event_append import NO_STREAM, Append
from core._fast.event_store import EventStore
from core.event_log.errors import EventLogError, EventSealed, EventUndecodable, SubjectErased, VersionConflict

FORM = 1
NUMBER_SIZE = 16
KEY_SIZE = 32
NONCE_SIZE = 12
HEAD_SIZE = 1 + NUMBER_SIZE + NONCE_SIZE
TAG_SIZE = 16
PERSON = b"agora subject"
PREFIX = "subject/"  # of the streams that tell of keys
MADE = "SubjectKeyMade"
ERASED = "SubjectErased"
TIME = struct.Struct("<q")


def subject_number(subject: str) -> bytes:
    """Return the 16 bytes that stand for a subject in the log."""
    if not subject:
        raise ValueError("a subject has a name")
    return blake2b(subject.encode(), digest_size=NUMBER_SIZE, person=PERSON).digest()


def number_in(sealed: bytes) -> bytes | None:
    """Return the number of the subject for which data was sealed; None: it is no sealed data of this form."""
    if len(sealed) < HEAD_SIZE + TAG_SIZE or sealed[0] != FORM:
        return None
    return sealed[1 : 1 + NUMBER_SIZE]


class Subjects:
    """Seal and open the data of events in one log."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    def seal(self, subject: str, stream: str, type: str, data: bytes) -> bytes:
        """Return data sealed for a subject, to be appended to that stream as that type, codec + ENCRYPTED.

        For a subject that is new to the log its key is made first: one commit, for which this waits. Raises
        SubjectErased, and what a commit raises.
        """
        number = subject_number(subject)
        nonce = os.urandom(NONCE_SIZE)
        key = self._key(number) or self._make_key(number)
        return (
            bytes((FORM,)) + number + nonce + AESGCM(key).encrypt(nonce, data, _bound(number, stream, type))
        )

    def open(self, event: Event) -> Event:
        """Return an event with its data in clear; the event itself if it is not sealed.

        Raises EventSealed if its subject's key is erased or not in this log, EventUndecodable if it is not
        what was sealed for this stream and type.
        """
        if not event.sealed:
            return event
        sealed = event.data
        number = number_in(sealed)
        if number is None:
            raise EventUndecodable(event.position, "it is sealed in an unknown form")
        key = self._store.get_key(number)
        if key is None or len(key) != KEY_SIZE:
            raise EventSealed(event.position)
        nonce = sealed[1 + NUMBER_SIZE : HEAD_SIZE]
        try:
            data = AESGCM(key).decrypt(nonce, sealed[HEAD_SIZE:], _bound(number, event.stream, event.type))
        except InvalidTag:
            wrong = "it was not sealed for this stream and type under this key"
            raise EventUndecodable(event.position, wrong) from None
        return event.opened(data)

    def erase(self, subject: str) -> bool:
        """Put a tombstone in place of a subject's key; tell if it had one.

        What was sealed is never read again. A subject without a key gets the tombstone all the same: none
        will be made for it. Raises what a commit raises.
        """
        number = subject_number(subject)
        while True:
            version = self._store.head(PREFIX + number.hex())
            held = self._store.get_key(number)
            if held is not None and len(held) != KEY_SIZE:
                return False
            try:
                self._append(number, ERASED, version, TIME.pack(time.time_ns()))
                return held is not None
            except VersionConflict:  # its key was made, or erased, meanwhile
                continue

    def erased_at(self, subject: str) -> int | None:
        """Return when a subject was erased, ns since 1970; None: it was not."""
        held = self._store.get_key(subject_number(subject))
        return TIME.unpack(held)[0] if held is not None and len(held) == TIME.size else None

    def count(self) -> tuple[int, int]:
        """Return how many subjects have a key, and how many are erased."""
        kept = erased = 0
        after = b""
        while found := self._store.scan_keys(after):
            after = found[-1][0]
            for _, held in found:
                kept += len(held) == KEY_SIZE
                erased += len(held) == TIME.size
        return kept, erased

    def _key(self, number: bytes) -> bytes | None:
        held = self._store.get_key(number)
        if held is not None and len(held) != KEY_SIZE:
            raise SubjectErased(number.hex())
        return held

    def _make_key(self, number: bytes) -> bytes:
        key = AESGCM.generate_key(256)
        try:
            self._append(number, MADE, NO_STREAM, key)
        except VersionConflict:  # another was faster
            found = self._key(number)
            if found is None:
                raise SubjectErased(number.hex()) from None  # its stream says that there was one somewhere
            return found
        return key

    def _append(self, number: bytes, type: str, expected: int, held: bytes) -> None:
        stream = PREFIX + number.hex()
        append = Append([(stream, expected, [Draft(type, b"", codec=BYTES)])], keys=[(number, held)])
        (result,) = self._store.commit([append])
        if isinstance(result, EventLogError):
            raise result


def _bound(number: bytes, stream: str, type: str) -> bytes:
    """Return what a seal holds besides the data: number, stream and type, each told apart by its length."""
    names = (stream.encode(), type.encode())
    return bytes((FORM,)) + number + b"".join(struct.pack("<H", len(name)) + name for name in names)
