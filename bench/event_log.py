"""Time awaited appends beside other event stores, in events a second: `python -m bench.event_log`.

CALLERS at once append one event of 200 bytes each to a stream of their own, and wait until it is on disk.
The stores take turns. Agora runs in this process; UmaDB as its own server, called by its own client, in
threads; `eventsourcing` on SQLite with full sync in this process, in threads.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import uvloop

from bench.process import free_port
from core._fast.envelope import Draft
from core.event_log.log import EventLog

CALLERS = 256
DATA = b"x" * 200
TYPE = "OrderPlaced"
STREAM = "account-{}".format
ROUNDS = 5
Result = tuple[int, list[float]]  # events, latencies in seconds
Turn = Callable[[float], Result]  # seconds -> what was done


async def append_for(log: EventLog, seconds: float) -> Result:
    """Append with CALLERS coroutines for so long."""
    latencies: list[float] = []
    until = time.perf_counter() + seconds

    async def call(number: int) -> None:
        stream = STREAM(number)
        while (begin := time.perf_counter()) < until:
            await log.append(stream, (Draft(TYPE, DATA),))
            latencies.append(time.perf_counter() - begin)

    await asyncio.gather(*[call(number) for number in range(CALLERS)])
    return len(latencies), latencies


@contextmanager
def agora(folder: Path) -> Iterator[Turn]:
    """Be Agora's log."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        async def opened() -> EventLog:
            return EventLog(folder / "agora")

        log = runner.run(opened())
        yield lambda seconds: runner.run(append_for(log, seconds))
        runner.run(log.close())


def in_threads(append: Callable[[int, int], object], seconds: float) -> Result:
    """Call `append(caller, turn)` in CALLERS threads for so long."""
    latencies: list[list[float]] = [[] for _ in range(CALLERS)]
    until = time.perf_counter() + seconds

    def call(number: int) -> None:
        for turn in itertools.count():
            begin = time.perf_counter()
            if begin >= until:
                return
            append(number, turn)
            latencies[number].append(time.perf_counter() - begin)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = list(itertools.chain.from_iterable(latencies))
    return len(every), every


@contextmanager
def umadb(folder: Path) -> Iterator[Turn]:
    """Be UmaDB: its server, and its client."""
    import umadb as peer

    port = free_port()
    server = Path(sys.executable).parent / "umadb"
    data = folder / "umadb"
    data.mkdir()
    process = subprocess.Popen(
        [server, "--listen", f"127.0.0.1:{port}", "--db-path", data], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        client = connected(f"http://127.0.0.1:{port}")

        def append(number: int, _: int) -> None:
            client.append([peer.Event(TYPE, DATA, tags=[STREAM(number)])])

        yield lambda seconds: in_threads(append, seconds)
        client.close()
    finally:
        process.terminate()
        process.wait()


def connected(url: str) -> Any:
    """Return a client of a server that was just started."""
    import umadb as peer

    until = time.monotonic() + 30
    while True:
        try:
            client = peer.Client(url)
            client.head()
            return client
        except Exception:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


@contextmanager
def eventsourcing(folder: Path) -> Iterator[Turn]:
    """Be the `eventsourcing` package on SQLite, which syncs each commit as it comes."""
    from eventsourcing.persistence import StoredEvent
    from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

    store = SQLiteDatastore(str(folder / "eventsourcing.db"), pool_size=5, pool_timeout=60, lock_timeout=60)
    recorder = SQLiteApplicationRecorder(store)
    recorder.create_table()
    streams = [uuid.uuid4() for _ in range(CALLERS)]
    versions = [itertools.count(1) for _ in range(CALLERS)]

    def append(number: int, _: int) -> None:
        recorder.insert_events([StoredEvent(streams[number], next(versions[number]), TYPE, DATA)])

    yield lambda seconds: in_threads(append, seconds)
    store.close()


STORES = {"agora": agora, "umadb": umadb, "eventsourcing, SQLite": eventsourcing}


def measure(seconds: float, rounds: int) -> dict[str, float]:
    """Let the stores take turns; return events a second of each, and Agora's p99 in ms."""
    rates: dict[str, list[float]] = {name: [] for name in STORES}
    p99s: dict[str, list[float]] = {name: [] for name in STORES}
    with (
        tempfile.TemporaryDirectory(dir=".") as folder,  # NOTE: not in /tmp, which may be memory
        ExitStack() as stack,
    ):
        turns = {name: stack.enter_context(store(Path(folder))) for name, store in STORES.items()}
        for _ in range(rounds):
            for name, turn in turns.items():
                begin = time.perf_counter()
                events, latencies = turn(seconds)
                rates[name].append(events / (time.perf_counter() - begin))
                p99s[name].append(sorted(latencies)[int(0.99 * len(latencies))] * 1000)
    results = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    return results | {
        f"({name}, p99, ms)": round(statistics.median(values), 2) for name, values in p99s.items()
    }


def main() -> None:
    """Print one line a store, or JSON with --json."""
    parser = argparse.ArgumentParser(prog="python -m bench.event_log", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=1, help="of a turn (default 1)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of turns (default {ROUNDS})")
    options = parser.parse_args()
    results = measure(options.seconds, options.rounds)
    if options.json:
        print(json.dumps(results))
        return
    for name, value in results.items():
        print(f"{name:40} {value:12,.1f}")


if __name__ == "__main__":
    main()
