"""What a view is: a table folded from the market's events, one event at a time, in the log's order.

A view holds nothing but what its events say, so it can be dropped and folded anew, and its image (bytes)
can be kept beside the position it has come to. A new view is one file and one line in __init__. Called by
projections.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from engines.market.events import Fact

Fold = Callable[[Any, Any], None]
ViewType = TypeVar("ViewType", bound="View")
PIECE = 32 << 10  # bytes of an image that are made without a break, or one entry
encode = msgspec.msgpack.Encoder().encode


class View(msgspec.Struct):
    """Be the root of every view: dicts of entries. `folds` says which events it takes, and how."""

    folds: ClassVar[Mapping[type[Fact], Fold]] = {}

    def apply(self, event: Fact) -> None:
        """Fold one event; those that the view does not take change nothing."""
        fold = self.folds.get(type(event))
        if fold is not None:
            fold(self, event)

    @classmethod
    def event_types(cls) -> tuple[str, ...]:
        """Return the names of the events that the view takes, to read only those from the log."""
        return tuple(kind.__name__ for kind in cls.folds)


def view_image(view: View) -> bytes:
    """Return a view as bytes."""
    return encode(view)


def view_of_image(kind: type[ViewType], image: bytes) -> ViewType:
    """Return the view of an image; raise msgspec.ValidationError if it is none of that kind."""
    return msgspec.msgpack.decode(image, type=kind)


def view_pieces(view: View) -> Iterator[bytes]:
    """Yield a view as bytes in pieces, each the image of a view with some of the entries.

    PERF: bench/orders.py. A piece takes a fraction of a millisecond, so that orders need not wait for all.
    """
    for name in view.__struct_fields__:
        part: dict[str, msgspec.Raw] = {}
        size = 0
        for key, value in getattr(view, name).items():
            part[key] = msgspec.Raw(encode(value))
            size += len(part[key]) + len(key)
            if size >= PIECE:
                yield encode({name: part})
                part, size = {}, 0
        if part:
            yield encode({name: part})


def view_of_pieces(kind: type[ViewType], pieces: Iterable[bytes]) -> ViewType:
    """Return the view of some pieces; raise msgspec.ValidationError if one is none of that kind."""
    view = kind()
    for piece in pieces:
        part = view_of_image(kind, piece)
        for name in kind.__struct_fields__:
            getattr(view, name).update(getattr(part, name))
    return view
