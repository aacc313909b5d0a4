"""A command that waits for its answer, and the answer. Made by the command bus."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from engines.event_sourcing.domain import Command


class CommandResult(NamedTuple):
    """Be the answer to a command."""

    receipt: Any  # the domain's
    position: int  # of its last event in the log; 0: it made none, or it is gone
    repeated: bool  # it was done before, under the same id


class Request:
    """Be a command on its way."""

    __slots__ = ("actor", "command", "correlation_id", "future", "streams")

    def __init__(
        self,
        command: Command,
        streams: Sequence[str],
        actor: str,
        correlation_id: UUID | None,
        future: asyncio.Future[CommandResult],
    ) -> None:
        self.command = command
        self.streams = streams  # that a decision reads
        self.actor = actor
        self.correlation_id = correlation_id
        self.future = future
