"""What the command bus asks of a domain: pure functions over the states of streams.

    names = streams_of(command)                    which streams the decision reads
    states = {name: fold of the stream `name`}     initial(name), then evolve(state, fact) for each event
    decision = decide(command, states, now)        a receipt and writes, or an AgoraError and nothing

`decide` changes no state; `evolve` may change the one it is given. Joined with the bus in gateway/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Command(Protocol):
    """Have an id: asked twice under one id, a command is done once."""

    @property
    def id(self) -> str:
        """Return 1 to 128 characters."""


class Write(Protocol):
    """Be facts for one stream; `checked`: only if the stream is still as it was read."""

    @property
    def stream(self) -> str:
        """Return the stream's name."""

    @property
    def events(self) -> Sequence[Any]:
        """Return the facts, in order."""

    @property
    def checked(self) -> bool:
        """Tell whether the facts depend on what the stream's state was."""


class Decision(Protocol):
    """Be what comes of a command: the answer, and writes that are appended all or not at all."""

    @property
    def receipt(self) -> Any:
        """Return the answer."""

    @property
    def writes(self) -> Sequence[Write]:
        """Return the writes; none: the streams themselves remember that it was done."""


class Domain(Protocol):
    """Decide commands and evolve states."""

    @property
    def name(self) -> str:
        """Return the domain's name; command ids are kept apart by it."""

    @property
    def prefixes(self) -> Sequence[str]:
        """Return how the names of its streams begin; no other domain's begin so."""

    @property
    def schema(self) -> str:
        """Return what changes whenever states are laid out otherwise (`schema_of`): snapshots are dropped."""

    def read_command(self, data: bytes, /) -> Any:
        """Return the command in JSON bytes; raise an AgoraError that names the field which is wrong."""

    def streams_of(self, command: Any, /) -> Sequence[str]:
        """Return the names of the streams that a decision reads."""

    def initial(self, stream: str, /) -> Any:
        """Return the state of a stream without events."""

    def decide(self, command: Any, states: Mapping[str, Any], now: int, /) -> Decision:
        """Return what comes of a command at `now`, ns since the epoch; raise an AgoraError to refuse it."""

    def evolve(self, state: Any, fact: Any, /) -> Any:
        """Return the state after a fact."""

    def encode_event(self, fact: Any, /) -> bytes:
        """Return a fact as MessagePack; its type's name is the event's type."""

    def decode_event(self, data: bytes, /) -> Any:
        """Return the fact of an event's data."""

    def encode_receipt(self, receipt: Any, /) -> bytes:
        """Return an answer as bytes."""

    def decode_receipt(self, data: bytes, /) -> Any:
        """Return the answer of such bytes."""

    def snapshot(self, state: Any, /) -> bytes:
        """Return the image of a state, as MessagePack of plain values."""

    def restore(self, stream: str, image: bytes, /) -> Any:
        """Return the state of an image; raise any exception if it is none."""
