"""Start a story teller under strace, with harm to come at its children's calls; have it act stories out.

The tests use it. NOTE: without strace, or without leave to trace, they fail: nothing else shows this.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.crash.story import ROOM, Action
from tests.crash.story_teller import CALLS, FUSE

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds for one story
Outcomes = list[list[str]]


@dataclass
class Told:
    """What a child said: for each action its attempts, and how the child ended (negative: by that signal)."""

    outcomes: list[Outcomes]
    status: int
    child: int

    @property
    def done(self) -> int:
        """Return how many actions were acknowledged."""
        return sum(1 for attempts in self.outcomes if attempts[-1][0] == "done")


def strace(harm: str = "", *options: str) -> list[str]:
    """Return the beginning of a command line: of a program that comes to harm at each FUSE-th call."""
    found = shutil.which("strace")
    assert found, "these tests need strace (Debian: apt-get install strace)"
    command = [found, "-f", "-qq"]
    if harm:
        command += ["-o", "/dev/null", "-e", f"trace={','.join(CALLS)}"]
        command += ["-e", f"inject={','.join(CALLS)}:{harm}:when={FUSE}"]
    return [*command, *options]


class Theatre:
    """Run a story teller under strace; `harm` is as in ``error=EIO`` or ``signal=SIGKILL``."""

    def __init__(self, *, harm: str = "", options: tuple[str, ...] = ()) -> None:
        teller = [sys.executable, "-m", "tests.crash.story_teller"]
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.settimeout(PATIENCE)
        with theirs:
            self.process = subprocess.Popen(
                [*strace(harm, *options), *teller, str(theirs.fileno())],
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ours.close()
        self.process.wait(PATIENCE)

    def tell(
        self, path: Path, actions: list[Action], *, call: str = "", nth: int = 1, room: int = ROOM
    ) -> Told:
        """Have a story acted out, with harm at the n-th call of a kind."""
        story = {"path": str(path), "actions": actions, "call": call, "nth": nth, "room": room}
        self.ours.send(json.dumps(story).encode())
        outcomes: list[Outcomes] = []
        while isinstance(message := json.loads(self.ours.recv(1 << 20)), list):
            outcomes.append(message)
        return Told(outcomes, message["status"], message["child"])
