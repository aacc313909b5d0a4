"""A server under measurement: started on one core, ready when it answers, stopped with all its children.

Everything it writes goes into its own temporary directory, which disappears with it. Only processes
started here are ever signalled. Called by upstream, measure, idle and large_body.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

GATEWAY_CORE = 0
LOAD_CORE = 1
START_DEADLINE = 20.0  # seconds until a server must answer
STOP_DEADLINE = 5.0  # seconds between SIGTERM and SIGKILL


class ServerFailed(RuntimeError):
    """A server died, or did not answer in time; the message ends with its own last words."""


@dataclass(frozen=True)
class Server:
    """A running server: its root process, its address and its directory."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    directory: Path

    @property
    def url(self) -> str:
        """Return the address of the server, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def pids(self) -> list[int]:
        """Return the ids of the root process and all its descendants, sorted."""
        root = psutil.Process(self.process.pid)
        return sorted([root.pid, *(child.pid for child in root.children(recursive=True))])

    def last_words(self) -> str:
        """Return the end of what the server printed."""
        return (self.directory / "output.log").read_text(errors="replace")[-2000:]


def resident_bytes(pids: Iterable[int]) -> int:
    """Return the resident memory of the processes (pages shared between them count more than once)."""
    return sum(psutil.Process(pid).memory_info().rss for pid in pids)


def free_port() -> int:
    """Return a TCP port on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(port: int, path: str, timeout: float = 2.0) -> tuple[int, bytes]:
    """Return status and body of one GET."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@contextlib.contextmanager
def running(
    name: str, command: Callable[[Path, int], list[str]], core: int | None, ready_path: str = "/"
) -> Iterator[Server]:
    """Run the server that `command(directory, port)` describes on one core, or on all; stop it at the end.

    `command` writes what the server needs into the directory and returns its argv. The server is ready when
    `ready_path` answers 200. Raises ServerFailed.
    """
    with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as text:
        directory, port = Path(text), free_port()
        argv = command(directory, port)
        cores = {core} if core is not None else set(range(os.cpu_count() or 1))
        with (directory / "output.log").open("wb") as output:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )
        server = Server(name, process, port, directory)
        try:
            _wait_until_ready(server, ready_path)
            yield server
        finally:
            _stop(server)


def _wait_until_ready(server: Server, path: str) -> None:
    deadline = time.monotonic() + START_DEADLINE
    answer = "no answer"
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            status, _ = fetch(server.port, path)
        except OSError as error:
            answer = str(error)
        else:
            if status == 200:
                return
            answer = f"status {status}"
        time.sleep(0.02)
    raise ServerFailed(f"{server.name} is not ready: {answer}\n{server.last_words()}")


def _stop(server: Server) -> None:
    """End the root process and whatever it started, politely first."""
    if server.process.poll() is not None:
        return
    family = [psutil.Process(pid) for pid in server.pids()]
    server.process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=STOP_DEADLINE)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    server.process.wait()
