"""The events that a handler or a process could not take: a list on disk, until they are replayed or dropped.

The rule it guards: an event comes on the list in the same append as the checkpoint that moves past it, and
leaves it in the append that says it was handled. So it is in one place at any time, whatever crashes. Only
the process that runs the handler writes letters; others ask it to (engines/event_sourcing/runner).

State key: dead/NAME/POSITION, the position with 20 digits. The runners write it, the engine lists it.
"""

from __future__ import annotations

import msgspec

from core._fast.envelope import Event
from core.event_log.log import EventLog
from engines.event_sourcing.errors import DeadLetterUnknown

PREFIX = b"dead/"
DIGITS = 20
ERROR_LIMIT = 2_000  # characters


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Be an event that was given up.

    id:       what it is replayed or dropped by
    handler:  or process
    position, event_id, type, aggregate_id: of the event; time_ns: of the event, since the epoch
    attempts: in all, also those of replays; replays: how often it was replayed without success
    failed_ns, failed_again_ns: when it was given up first and last
    asked:    `replay`, if that is asked for and not done yet
    """

    id: str
    handler: str
    position: int
    event_id: str
    type: str
    aggregate_id: str
    time_ns: int
    error: str
    attempts: int
    failed_ns: int
    failed_again_ns: int
    replays: int = 0
    asked: str = ""

    def failed(self, error: str, now_ns: int) -> DeadLetter:
        """Return it after a replay without success."""
        return msgspec.structs.replace(
            self,
            error=error[:ERROR_LIMIT],
            attempts=self.attempts + 1,
            failed_again_ns=now_ns,
            replays=self.replays + 1,
        )


def new_letter(handler: str, event: Event, error: str, attempts: int, now_ns: int) -> DeadLetter:
    """Return the letter of an event that is given up."""
    return DeadLetter(
        id=f"{handler}:{event.position}",
        handler=handler,
        position=event.position,
        event_id=str(event.id),
        type=event.type,
        aggregate_id=event.stream,
        time_ns=event.time_ns,
        error=error[:ERROR_LIMIT],
        attempts=attempts,
        failed_ns=now_ns,
        failed_again_ns=now_ns,
    )


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeadLetter).decode


def parted_id(id: str) -> tuple[str, int]:
    """Return handler and position of a letter's id; raise DeadLetterUnknown."""
    handler, _, position = id.rpartition(":")
    if not handler or not position.isascii() or not position.isdigit() or len(position) > DIGITS:
        raise DeadLetterUnknown(f"there is no dead letter {id!r}: an id is a name and a position, NAME:17")
    return handler, int(position)


def place_of(position: int) -> str:
    """Return a position so that names sort as positions do."""
    return f"{position:0{DIGITS}}"


def letter_key(handler: str, position: int) -> bytes:
    """Return the state key of a letter."""
    return PREFIX + f"{handler}/{place_of(position)}".encode()


def put(letter: DeadLetter) -> tuple[bytes, bytes]:
    """Return the state that puts a letter on the list, or anew."""
    return letter_key(letter.handler, letter.position), _encode(letter)


def read_letter(log: EventLog, handler: str, position: int) -> DeadLetter | None:
    """Return a letter; None: it is not on the list."""
    data = log.get_state(letter_key(handler, position))
    return None if data is None else _decode(data)


def read_letters(log: EventLog, handler: str, after: str, limit: int) -> list[DeadLetter]:
    """Return letters by handler and position, from the one after the id `after` on.

    handler: or empty, for those of all
    """
    prefix = PREFIX + (f"{handler}/".encode() if handler else b"")
    begin = letter_key(*parted_id(after)) if after else b""
    return [_decode(data) for _, data in log.scan_state(prefix, begin, limit)]
