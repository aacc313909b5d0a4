"""What the engine tells of itself. Made by the engine, shown by its API."""

from __future__ import annotations

import msgspec

from engines.event_sourcing.command_bus import CommandBus
from engines.event_sourcing.event import Event
from engines.event_sourcing.handler_runner import HandlerStatus
from engines.event_sourcing.process_runner import ProcessStatus
from engines.event_sourcing.projection_runner import ProjectionStatus


class DomainStatus(msgspec.Struct, frozen=True):
    """Say what became of a domain's commands since the engine was started, in this process.

    done, repeated, refused: commands; overtaken: batches that were decided again
    waiting:    commands that are not answered yet
    kept:       states in memory
    snapshots_ignored: did not fit and were left aside; snapshots_wrong: did not agree with a replay
    """

    name: str
    prefixes: list[str]
    done: int
    repeated: int
    refused: int
    overtaken: int
    waiting: int
    kept: int
    snapshots_ignored: int
    snapshots_wrong: int


class EngineStatus(msgspec.Struct, frozen=True):
    """Say how the engine is.

    position: of the log's last event
    runs:     tells whether this process is the one that runs handlers and processes and saves tables
    """

    running: bool
    position: int = 0
    runs: bool = False
    domains: list[DomainStatus] = []
    projections: list[ProjectionStatus] = []
    handlers: list[HandlerStatus] = []
    processes: list[ProcessStatus] = []


class Dashboard(msgspec.Struct, frozen=True):
    """Be what a dashboard shows: the status, and the latest events, newest first."""

    status: EngineStatus
    events: list[Event]


def domain_status(bus: CommandBus) -> DomainStatus:
    """Return what a command bus has done."""
    aggregates = bus.aggregates
    return DomainStatus(
        name=bus.domain.name,
        prefixes=list(bus.domain.prefixes),
        done=bus.done,
        repeated=bus.repeated,
        refused=bus.refused,
        overtaken=bus.overtaken,
        waiting=bus.waiting,
        kept=len(aggregates),
        snapshots_ignored=aggregates.snapshots.ignored,
        snapshots_wrong=aggregates.mismatches,
    )
