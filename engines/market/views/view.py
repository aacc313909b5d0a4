"""What a view is: a table folded from the market's events, one event at a time, in the log's order.

A view holds nothing but what its events say, so it can be dropped and folded anew, and its image (bytes)
can be kept beside the position it has come to. A new view is one file and one line in __init__. Called by
projections.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from engines.market.events import Fact

Fold = Callable[[Any, Any], None]
ViewType = TypeVar("ViewType", bound="View")


class View(msgspec.Struct):
    """Be the root of every view; `folds` says which events it takes, and how."""

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
    return msgspec.msgpack.encode(view)


def view_of_image(kind: type[ViewType], image: bytes) -> ViewType:
    """Return the view of an image; raise msgspec.ValidationError if it is none of that kind."""
    return msgspec.msgpack.decode(image, type=kind)
