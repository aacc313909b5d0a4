"""What an event leads to in a process, as records: the pure part between `react` and the log.

The rule it guards: what is recorded is plain data, the same in memory as what is read back after a crash.
Called by ProcessRunner.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engines.event_sourcing.clock import SECOND
from engines.event_sourcing.event import Event
from engines.event_sourcing.process import Complete, Deadline, Fail, Process, Remember, Step
from engines.event_sourcing.process_instance import (
    CompensationStarted,
    Instance,
    ProcessReacted,
    ProcessStarted,
    Record,
    Todo,
    evolve,
)
from engines.event_sourcing.retry import told


def plain(value: Any) -> Any:
    """Return a value as it is when it was stored; raise TypeError if it cannot be."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value))


def plain_command(command: Any) -> Any:
    """Return a command as plain data without its id; raise TypeError if it cannot be."""
    if command is None:
        return None
    data = msgspec.json.decode(msgspec.json.encode(command))
    if not isinstance(data, dict):
        raise TypeError(f"a command is a struct or a mapping, not {type(command).__name__}")
    return {name: value for name, value in data.items() if name != "id"}


def begin(process: Process, key: str, event: Event) -> ProcessStarted:
    """Return the record that begins an instance: what follows is part of what its event is part of."""
    return ProcessStarted(process.name, key, event.correlation_id or event.event_id)


def react(process: Process, instance: Instance, event: Event) -> ProcessReacted | None:
    """Return what an event leads to; None: to nothing. Raises what the definition raises."""
    queued: list[Todo] = []
    data, deadline_ns, reason = None, None, ""
    for action in process.react(instance, event):
        match action:
            case Step():
                queued.append(
                    Step(
                        action.name, plain_command(action.command), plain_command(action.undo), action.domain
                    )
                )
            case Complete() | Fail():
                queued.append(action)
            case Remember():
                data = plain(action.data)
            case Deadline():
                deadline_ns, reason = event.time + round(action.seconds * SECOND), action.reason
            case _:
                raise TypeError(f"no action of a process: {action!r}")
    if not queued and data is None and deadline_ns is None:
        return None
    return ProcessReacted(event.position, tuple(queued), data, deadline_ns, reason)


def reaction(process: Process, instance: Instance | None, key: str, event: Event) -> list[Record]:
    """Return the records that an event makes; none: it changes nothing.

    instance: that it belongs to, and that has not ended; None: there is none yet
    Raises what the definition raises, if there is none yet.
    """
    if instance is None:
        started = begin(process, key, event)
        reacted = react(process, evolve(None, started), event)
        return [started] if reacted is None else [started, reacted]
    if instance.status != "running":
        return []
    try:
        reacted = react(process, instance, event)
    except Exception as error:
        return [CompensationStarted(f"{event.type} at {event.position}: {told(error)}", event.position)]
    return [] if reacted is None else [reacted]
