"""Notice that the configuration file has changed.

The rule it guards: editors that replace a file are followed as well as those that write into it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from watchfiles import awatch


async def watch_file(file: Path, changed: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Call ``changed`` after each change of the file's content, until ``stop`` is set."""
    wanted = await asyncio.to_thread(file.resolve)
    before = await asyncio.to_thread(wanted.read_bytes)
    # NOTE: the folder is watched: a file that is replaced would be lost otherwise.
    watcher = awatch(wanted.parent, stop_event=stop, recursive=False, step=50, debounce=400)
    async for changes in watcher:
        if not any(Path(path) == wanted for _, path in changes):
            continue
        try:
            content = await asyncio.to_thread(wanted.read_bytes)
        except OSError:
            continue  # an editor is replacing it: its next event comes
        if content != before:
            before = content
            await changed()
