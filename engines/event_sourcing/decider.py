"""A decider of one stream at a time, as a domain of the command bus.

    bank = Decider(
        name="bank",
        commands=(Deposit, Withdraw),
        events=(Deposited, Withdrawn),
        state=Account,
        stream=lambda command: f"bank-{command.account}",
        initial=lambda stream: Account(),
        decide=decide,          # (command, state) -> events, or an AgoraError
        evolve=evolve,          # (state, event) -> state
    )

The rule it guards: commands, events and states are msgspec structs, so that all of them are validated, stored
and compared without a line of their own. Its events are appended only at the version that was decided on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

import msgspec

from engines.event_sourcing.errors import CommandInvalid
from engines.event_sourcing.schema import schema_of


class OneWrite(msgspec.Struct, frozen=True):
    """Be the events of a decision."""

    stream: str
    events: tuple[Any, ...]
    checked: bool = True


class OneDecision(msgspec.Struct, frozen=True):
    """Be what a decider answers; its receipt says which stream, and how many events."""

    receipt: Any
    writes: tuple[OneWrite, ...]


class Decider:
    """Be a domain made of three pure functions.

    name:    of the domain; its streams begin with it and a dash
    events:  structs with `tag=True`; their names are the events' types
    state:   the struct that a stream folds to
    receipt: what a command is answered with, from the command and its events; None: the events' types
    `decide` changes no state; `evolve` may change the one that it is given.
    """

    def __init__(
        self,
        *,
        name: str,
        commands: Sequence[type[Any]],
        events: Sequence[type[Any]],
        state: type[Any],
        stream: Callable[[Any], str],
        initial: Callable[[str], Any],
        decide: Callable[[Any, Any], Sequence[Any]],
        evolve: Callable[[Any, Any], Any],
        receipt: Callable[[Any, Sequence[Any]], Any] | None = None,
    ) -> None:
        self.name = name
        self.prefixes = (f"{name}-",)
        self.schema = schema_of(state)
        self.evolve = evolve
        self.initial = initial
        self._stream = stream
        self._decide = decide
        self._receipt = receipt
        self._commands = msgspec.json.Decoder(union_of(commands), strict=True)
        self._facts = msgspec.msgpack.Decoder(union_of(events))
        self._states = msgspec.msgpack.Decoder(state)
        encode = msgspec.msgpack.Encoder().encode
        self.encode_event = self.encode_receipt = self.snapshot = encode
        self.decode_receipt = msgspec.msgpack.Decoder().decode

    def read_command(self, data: bytes) -> Any:
        """Return the command in JSON bytes, told apart by `type`; raise CommandInvalid."""
        try:
            return self._commands.decode(data)
        except msgspec.MsgspecError as error:
            raise CommandInvalid(str(error)) from None

    def streams_of(self, command: Any) -> tuple[str, ...]:
        """Return the name of the stream that a command is about."""
        return (self._stream(command),)

    def decide(self, command: Any, states: Mapping[str, Any], now: int) -> OneDecision:
        """Return what comes of a command; raise what the decider raises."""
        stream = self._stream(command)
        events = tuple(self._decide(command, states[stream]))
        if self._receipt is None:
            receipt: Any = [type(event).__name__ for event in events]
        else:
            receipt = msgspec.to_builtins(self._receipt(command, events))
        return OneDecision(receipt, (OneWrite(stream, events),) if events else ())

    def decode_event(self, data: bytes) -> Any:
        """Return the event in MessagePack bytes; raise msgspec.ValidationError if there is none."""
        return self._facts.decode(data)

    def restore(self, stream: str, image: bytes) -> Any:
        """Return the state of an image; raise msgspec.ValidationError if it is none."""
        return self._states.decode(image)


def union_of(kinds: Sequence[type[Any]]) -> Any:
    """Return the type of a value that is of one of some types."""
    return Union[tuple(kinds)]  # noqa: UP007 - they are not known before
