"""Read what strace recorded of a child: each write to a log's file, each sync, each answer.

NOTE: LMDB writes one page with pwrite64, several with lseek and writev, and the meta page over a second
descriptor, which was opened with O_DSYNC: such a write is on the disk when it returns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

OPTIONS = ("-v", "-xx", "-s", "99999999", "-e", "signal=none")
TRACED = (
    "openat",
    "lseek",
    "pwrite64",
    "pwritev",
    "write",
    "writev",
    "ftruncate",
    "fdatasync",
    "fsync",
    "msync",
    "link",
    "linkat",
)
ANSWERS = "sendto"  # what a child acknowledged
LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)", re.DOTALL)
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True)
class Write:
    """Bytes for a place in the file; `durable`: on the disk when the call returns."""

    offset: int
    data: bytes
    durable: bool = False


@dataclass(frozen=True)
class Sync:
    """Bring what was written to the file to the disk."""


@dataclass(frozen=True)
class Answer:
    """Acknowledge an action."""

    text: bytes


@dataclass(frozen=True)
class KeepEntry:
    """Bring a directory's entries to the disk."""

    path: str


@dataclass(frozen=True)
class Name:
    """Give the file its name: before that nobody finds it."""


Step = Write | Sync | Answer | KeepEntry | Name


@dataclass
class Recording:
    """The steps of one child on one file, in order."""

    steps: list[Step] = field(default_factory=list)

    @property
    def answers(self) -> int:
        """Return how many actions were acknowledged."""
        return sum(1 for step in self.steps if isinstance(step, Answer))


def options(to: Path) -> tuple[str, ...]:
    """Return strace's options for a recording."""
    return (*OPTIONS, "-o", str(to), "-e", f"trace={','.join((*TRACED, ANSWERS))}")


def unescape(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def read_recording(file: Path, child: int, data: Path) -> Recording:
    """Read the steps of a child on the file ``data``."""
    reader = Reader(str(data))
    for line in file.read_text().splitlines():
        found = LINE.match(line)
        if found and int(found[1]) == child and int(found[4]) >= 0:
            reader.take(found[2], found[3], int(found[4]))
    return reader.recording


class Reader:
    """Turn calls into steps; knows what each descriptor stands for."""

    def __init__(self, data: str) -> None:
        self.data = data
        self.making = ""  # the file before it has its name
        self.recording = Recording()
        self.files: dict[int, tuple[str, bool]] = {}
        self.places: dict[int, int] = {}

    def take(self, call: str, arguments: str, result: int) -> None:
        """Add a call's steps."""
        steps = self.recording.steps
        texts = [unescape(text) for text in TEXT.findall(arguments)]
        if call == "openat":
            self.files[result] = (texts[0].decode(), "O_DSYNC" in arguments)
            return
        if call in ("link", "linkat"):
            assert [text.decode() for text in texts] == [self.making, self.data]
            steps.append(Name())
            return
        numbers = [int(number) for number in re.findall(r"(?:^|, )(-?\d+)", TEXT.sub("", arguments))]
        descriptor = numbers[0]
        path, durable = self.files.get(descriptor, ("", False))
        if is_made(path, self.data):
            self.making, path = path, self.data
        if call == ANSWERS:
            steps.append(Answer(texts[0]))
        elif call == "fsync" and path != self.data:
            steps.append(KeepEntry(path))
        elif path != self.data:
            return
        elif call in ("fdatasync", "fsync"):
            steps.append(Sync())
        elif call == "lseek":
            self.places[descriptor] = result
        elif call in ("pwrite64", "writev"):
            offset = self.places[descriptor] if call == "writev" else numbers[-1]
            data = b"".join(texts)
            assert len(data) == result, f"a short {call}"
            steps.append(Write(offset, data, durable))
            self.places[descriptor] = offset + result
        else:
            raise AssertionError(f"{call} on the log's file is not part of this model")


def is_made(path: str, data: str) -> bool:
    """Tell whether a path is that of the file while it is made."""
    return Path(path).name == Path(data).name and Path(path).parent.parent == Path(data).parent
