"""Join the engines of one worker: what runs, on which log, with what installed.

The rule it guards: this is the only place where engines meet. They start before the first exchange and stop
after the last one; what they cannot start with is told, and the gateway does not start. gateway/data_plane
holds one.
"""

from __future__ import annotations

import asyncio
import logging

from core.config import Config
from core.errors import AgoraError
from core.event_log.log import EventLog
from engines.api_gateway import advanced_api_gateway
from engines.event_sourcing import event_sourcing_engine
from gateway.config_rules import imported
from gateway.retention import Retention

log = logging.getLogger("agora")


class EngineTaken(AgoraError):
    """Refuse to start an engine that another event loop of this process runs."""

    slug = "engine-taken"
    title = "The engine runs already"


class Engines:
    """Start and stop what a configuration asks for."""

    def __init__(self, config: Config) -> None:
        self.event_sourcing = event_sourcing_engine
        self.api_gateway = advanced_api_gateway
        self._config = config
        self.log: EventLog | None = None
        self._retention: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the event log and start the event sourcing engine on it, if the configuration has a log.

        Raises EngineTaken, and what opening a log raises.
        """
        settings, installed = self._config.event_log, self._config.event_sourcing
        if settings is None:
            return
        if self.event_sourcing.status().running:
            raise EngineTaken("[event_log] works in one event loop of a process, and another one has it")
        self.event_sourcing.unregister_all()
        for path in installed.install:
            imported(path)(self.event_sourcing)
        self.log = EventLog(
            self._config.server.data_dir / settings.path,
            map_size=int(settings.map_size),
            segment_days=settings.segment_days,
        )
        await self.event_sourcing.start_event_sourcing_engine(
            self.log,
            snapshot_every=installed.snapshot_every,
            verify_snapshots=installed.verify_snapshots,
            kept=installed.kept,
        )
        retention = Retention(self.event_sourcing, settings.retention_days)
        self._retention = asyncio.get_running_loop().create_task(retention.run())
        log.info("the event log in %s is at position %d", self.log.path, self.log.last_position())

    async def close(self) -> None:
        """Stop what was started; harmless if nothing was."""
        opened, self.log = self.log, None
        if opened is None:
            return
        if self._retention is not None:
            self._retention.cancel()
            await asyncio.wait([self._retention])
        try:
            await self.api_gateway.stop_gateway()
            await self.event_sourcing.stop_event_sourcing_engine()
        finally:
            await opened.close()
            self.event_sourcing.unregister_all()
