"""The image of a state as bytes, to go on from instead of its first event; and its hash, to compare states.

The image is MessagePack of integers and texts, so it is the same on every machine and every version of
Python. A state made of its image is equal to the one it was made from, and evolves alike. Called through
domain.
"""

import hashlib
from typing import Any, TypeVar

import msgspec

from engines.market.account import Account
from engines.market.book import Book, Order
from engines.market.decision import Receipt, Receipts
from engines.market.market import Market
from engines.market.payment import Payment

State = Account | Market | Payment
StateType = TypeVar("StateType", bound=State)


def _to_plain(value: Any) -> Any:
    if isinstance(value, Book):
        return value.image()
    if isinstance(value, Receipts):
        return list(value)
    raise NotImplementedError(f"{type(value).__name__} has no place in a state")


def _from_plain(kind: type, value: Any) -> Any:
    if kind is Book:
        return Book(msgspec.convert(value, list[Order]))
    if kind is Receipts:
        return Receipts(msgspec.convert(value, list[tuple[str, Receipt]]))
    raise NotImplementedError(f"{kind.__name__} has no place in a state")


_image = msgspec.msgpack.Encoder(enc_hook=_to_plain)
_sorted_image = msgspec.msgpack.Encoder(enc_hook=_to_plain, order="deterministic")


def snapshot(state: State) -> bytes:
    """Return the image of a state."""
    return _image.encode(state)


def restore(kind: type[StateType], image: bytes) -> StateType:
    """Return the state of an image; raise msgspec.ValidationError if it is none of that kind."""
    return msgspec.msgpack.decode(image, type=kind, dec_hook=_from_plain)


def state_hash(state: State) -> str:
    """Return the hash of a state in hex: equal for equal states, wherever they were folded."""
    return hashlib.blake2b(_sorted_image.encode(state), digest_size=32).hexdigest()
