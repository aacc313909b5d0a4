"""Model a disk that loses power: what was synced is there, of what was not any part may be, in any order.

Rule: the unit that is written whole is a sector of 512 bytes. Each sector that was written since the last
sync may hold what was there before, or any of what was written to it since.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

from tests.crash.recording import Answer, KeepEntry, Name, Step, Sync, Write

PAGE = 4096
SECTOR = 512
ALL_SUBSETS_OF = 8  # unsynced pages at most; of more, a choice of subsets
DRAWN = 12  # subsets, and as many torn pages, that are drawn


@dataclass
class Disk:
    """A file's synced bytes, and the pages that were written since, in order."""

    synced: bytearray = field(default_factory=bytearray)
    unsynced: list[Write] = field(default_factory=list)

    def write(self, write: Write) -> None:
        """Write a piece, page by page."""
        offset = write.offset
        while offset < write.offset + len(write.data):
            end = min(offset // PAGE * PAGE + PAGE, write.offset + len(write.data))
            self.unsynced.append(Write(offset, write.data[offset - write.offset : end - write.offset]))
            offset = end

    def sync(self) -> None:
        """Bring all that was written to the disk."""
        put(self.synced, self.unsynced)
        self.unsynced = []

    def images(self, chance: random.Random) -> Iterator[bytes]:
        """Return files that may be found after a loss of power at this moment."""
        for chosen in subsets(len(self.unsynced), chance):
            kept = [write for write, there in zip(self.unsynced, chosen, strict=True) if there]
            yield self.image(kept)
            if kept and len(kept) < len(self.unsynced):
                yield self.image(kept).ljust(self.size(), b"\0")  # the length is there, the bytes are not
        for _ in range(min(DRAWN, len(self.unsynced) * 3)):
            torn = [tear(write, chance) for write in self.unsynced if chance.random() < 0.8]
            yield self.image([piece for pieces in torn for piece in pieces])

    def size(self) -> int:
        """Return the file's length if all that was written is there."""
        return max([len(self.synced), *(write.offset + len(write.data) for write in self.unsynced)])

    def image(self, writes: Iterable[Write]) -> bytes:
        """Return the file with some of what was not synced."""
        made = bytearray(self.synced)
        put(made, writes)
        return bytes(made)


def put(file: bytearray, writes: Iterable[Write]) -> None:
    for write in writes:
        end = write.offset + len(write.data)
        file.extend(bytes(max(end - len(file), 0)))
        file[write.offset : end] = write.data


def subsets(count: int, chance: random.Random) -> Iterator[tuple[bool, ...]]:
    """Return which of the writes are there: all ways, or of many the telling ones and some that are drawn."""
    if count <= ALL_SUBSETS_OF:
        yield from product((False, True), repeat=count)
        return
    yield (False,) * count
    yield (True,) * count
    for one in range(count):
        yield tuple(index == one for index in range(count))
        yield tuple(index != one for index in range(count))
    for _ in range(DRAWN):
        yield tuple(chance.random() < 0.5 for _ in range(count))


def tear(write: Write, chance: random.Random) -> list[Write]:
    """Return the sectors of a write that are there: the first ones, the last ones or any."""
    starts = list(range(write.offset // SECTOR * SECTOR, write.offset + len(write.data), SECTOR))
    cut = chance.randint(0, len(starts))
    chosen = chance.choice([starts[:cut], starts[cut:], [start for start in starts if chance.random() < 0.5]])
    pieces = []
    for start in chosen:
        first, end = max(start, write.offset), min(start + SECTOR, write.offset + len(write.data))
        pieces.append(Write(first, write.data[first - write.offset : end - write.offset]))
    return pieces


def crashes(
    steps: Iterable[Step], chance: random.Random, disk: Disk | None = None
) -> Iterator[tuple[int, bytes | None]]:
    """Return how many actions were acknowledged, and a file that may then be found, for each legal crash.

    None: there is no file.

    NOTE: it is enough to look just before each sync is over: whatever may be found earlier since the sync
    before is among these, and as many or more actions were acknowledged.
    """
    disk = disk or Disk()
    done, named = 0, False
    for step in steps:
        if not named:
            yield done, None
        if isinstance(step, Name):
            named = True
        elif not named:
            make(disk, step)
        elif isinstance(step, Write):
            disk.write(step)
            if step.durable:
                yield from ((done, image) for image in disk.images(chance))
                put(disk.synced, [step])
                disk.unsynced = [write for write in disk.unsynced if not covers(step, write)]
        elif isinstance(step, Sync):
            yield from ((done, image) for image in disk.images(chance))
            disk.sync()
        elif isinstance(step, Answer):
            done += 1
        else:
            assert isinstance(step, KeepEntry)
    yield from ((done, image) for image in disk.images(chance))


def covers(step: Write, write: Write) -> bool:
    return step.offset <= write.offset and write.offset + len(write.data) <= step.offset + len(step.data)


def make(disk: Disk, step: Step) -> None:
    """Take a step on a file that nobody finds yet."""
    if isinstance(step, Write):
        disk.write(step)
        if step.durable:
            put(disk.synced, [step])
            disk.unsynced = [write for write in disk.unsynced if not covers(step, write)]
    elif isinstance(step, Sync):
        disk.sync()
