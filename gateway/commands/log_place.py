"""Which event log a command means, and how it opens it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.config import EventLogConfig
from gateway.commands.arguments import read_config

if TYPE_CHECKING:
    from core._fast.event_store import EventStore
    from core.event_log.log import EventLog

LogPlace = Annotated[
    Path,
    typer.Argument(
        metavar="LOG", help="Directory of the event log, a data directory, or the gateway's configuration."
    ),
]


def log_directory(place: Path) -> Path:
    """Return the directory of the log that is meant, be it there or not; raise ConfigInvalid."""
    if place.is_file():
        config = read_config(place)
        return config.server.data_dir / (config.event_log or EventLogConfig()).path
    inside = place / EventLogConfig().path
    return inside if (inside / "data.mdb").exists() and not (place / "data.mdb").exists() else place


def open_log(place: Path) -> EventLog:
    """Open a log to read it, whoever else has it open; raise LogMissing and LogUnreadable."""
    from core.event_log.log import EventLog

    return EventLog(log_directory(place), read_only=True, make=False)


def open_store(place: Path, *, write: bool = False, make: bool = False) -> EventStore:
    """Open a log's store; raise LogMissing and LogUnreadable."""
    from core._fast.event_store import EventStore

    return EventStore(str(log_directory(place)), read_only=not write, make=make)


def confirm(question: str, yes: bool) -> None:
    """Ask before something that cannot be undone, unless `--yes` was given."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here; give --yes")
    typer.confirm(question, abort=True)
