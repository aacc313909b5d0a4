"""Whose turn it is to decide commands, among processes that share a log.

The rule it guards: many may decide at the same time, side by side; who has been overtaken may ask to decide
alone, and gets that after those who are at it. So whoever was overtaken once is not overtaken again, however
busy the others are. The locks are files in the log's directory: they free themselves when their holder dies.

NOTE: this is for progress alone. What keeps decisions right are the versions in the log. So who has waited
too long, for a process that hangs in its turn, goes on without. A waiter looks again every millisecond; it
holds the gate meanwhile, so that nobody new gets ahead of it.
"""

from __future__ import annotations

import asyncio
import os
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock
from pathlib import Path

LOOK_SECONDS = 0.001
LOOKS = 500  # before a waiter goes on without


class Turns:
    """Take turns with the buses of one domain, in this process and in others.

    looks: for a lock, a millisecond apart, before it is done without
    """

    def __init__(self, directory: Path, domain: str, looks: int = LOOKS) -> None:
        self._looks = looks
        self._paths = directory / f"commands-{domain}.gate", directory / f"commands-{domain}.turn"
        self._gate = self._turn = -1

    async def take(self, *, alone: bool) -> None:
        """Return when it is this bus's turn, or has not been for too long.

        Raises OSError if the files cannot be opened.
        """
        if self._turn < 0:
            self._gate, self._turn = (
                os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for path in self._paths
            )
        kind = LOCK_EX if alone else LOCK_SH
        await lock(self._gate, kind, self._looks)
        try:
            await lock(self._turn, kind, self._looks)
        finally:
            flock(self._gate, LOCK_UN)

    def give_back(self) -> None:
        """End the turn; harmless if there was none."""
        if self._turn >= 0:
            flock(self._turn, LOCK_UN)

    def close(self) -> None:
        """Let go of the files."""
        if self._turn >= 0:
            os.close(self._gate)
            os.close(self._turn)
            self._gate = self._turn = -1


async def lock(descriptor: int, kind: int, looks: int) -> None:
    """Return when a lock is had, or after so many looks."""
    for _ in range(looks):
        try:
            return flock(descriptor, kind | LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(LOOK_SECONDS)
    return None
