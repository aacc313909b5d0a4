"""The memory of large bodies: 1 GiB up and 1 GiB down through the gateway, the receiver stalling at first.

The receiver reads nothing for a while, then trickles, then reads at full speed; meanwhile the sender
pushes. A gateway with backpressure stays flat, one that buffers grows. Each direction goes with
Content-Length and chunked; the result is the peak growth of resident memory over a warmed-up baseline.
The two peers are in bench.bulk_peer. Called by `python -m bench`.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.bulk_peer import (
    FULL_SPEED,
    SLOW_START,
    Framing,
    Pace,
    TransferFailed,
    bulk_upstream,
    download,
    upload,
)
from bench.contenders import Contender, Scenario
from bench.process import GATEWAY_CORE, Server, resident_bytes, running

SIZE = 1 << 30
WARM_UP_SIZE = 4 << 20
SAMPLE_EVERY = 0.01  # seconds


@dataclass(frozen=True)
class LargeBodyResult:
    """The growth of one gateway's memory in one direction and framing."""

    direction: str
    framing: Framing
    size: int
    growth_bytes: int
    seconds: float


def measure_large_bodies(contender: Contender, size: int = SIZE) -> list[LargeBodyResult]:
    """Send large bodies both ways in both framings; return the growth of each against the same baseline."""
    with bulk_upstream() as upstream:

        def command(directory: Path, port: int) -> list[str]:
            return contender.command(Scenario.LARGE_BODY, directory, port, upstream.port)

        with running(contender.name, command, GATEWAY_CORE, contender.ready_path) as server:
            for framing in Framing:
                _transfer(server, "up", framing, WARM_UP_SIZE, FULL_SPEED)
                _transfer(server, "down", framing, WARM_UP_SIZE, FULL_SPEED)
            baseline = resident_bytes(server.pids())
            results = []
            for direction in ("up", "down"):
                for framing in Framing:
                    with peak_rss(server) as peak:
                        seconds = _transfer(server, direction, framing, size, SLOW_START)
                    growth = max(0, peak.value - baseline)
                    results.append(LargeBodyResult(direction, framing, size, growth, seconds))
            return results


def _transfer(server: Server, direction: str, framing: Framing, size: int, pace: Pace) -> float:
    move = upload if direction == "up" else download
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            return move(connection, size, framing, pace)
    except (OSError, ValueError, TransferFailed) as error:
        raise TransferFailed(
            f"{server.name}, {size} bytes {direction}, {framing}: {error}\n{server.last_words()}"
        ) from error


class Peak:
    """The highest value seen so far."""

    def __init__(self) -> None:
        self.value = 0

    def see(self, value: int) -> None:
        """Take a value into account."""
        self.value = max(self.value, value)


@contextmanager
def peak_rss(server: Server) -> Iterator[Peak]:
    """Watch the server's resident memory in a thread for as long as the block runs."""
    peak, stop, pids = Peak(), threading.Event(), server.pids()

    def watch() -> None:
        while not stop.wait(SAMPLE_EVERY):
            peak.see(resident_bytes(pids))

    thread = threading.Thread(target=watch, name="peak-rss")
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()
    peak.see(resident_bytes(pids))
