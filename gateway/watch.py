"""Notice that the configuration file has changed.

The rule it guards: files that are written into are followed, and files that are replaced, and links that come
to lead elsewhere; where the system tells of no changes, the file is looked at from time to time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

from watchfiles import awatch

LOOK = 5_000  # milliseconds after which the file is read even if nothing was noticed

log = logging.getLogger("agora")


async def watch_file(file: Path, changed: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Call ``changed`` after each change of the file's content, until ``stop`` is set."""
    before = await asyncio.to_thread(_content, file)
    while not stop.is_set():
        folders = await asyncio.to_thread(_folders, file)
        watcher = awatch(
            *folders,
            watch_filter=None,
            stop_event=stop,
            recursive=False,
            step=50,
            debounce=400,
            rust_timeout=LOOK,
            yield_on_timeout=True,
        )
        try:
            async with aclosing(watcher):
                async for _ in watcher:
                    content = await asyncio.to_thread(_content, file)
                    if content and content != before:
                        before = content
                        await changed()
                    if await asyncio.to_thread(_folders, file) != folders:
                        break
        except OSError as error:
            log.error("cannot watch %s any more, SIGHUP reloads it: %s", file, error)
            return


def _content(file: Path) -> bytes:
    """Return what the file says; nothing while an editor replaces it, or has emptied it to write it anew."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _folders(file: Path) -> set[Path]:
    """Return the folders where a change can show: the file's own, and that of what it is a link to.

    NOTE: folders, since a file that is replaced would be lost.
    """
    return {folder for folder in (file.absolute().parent, file.resolve().parent) if folder.is_dir()}
