"""One contender in one scenario: started, checked, warmed up, then measured in windows of load.

The cost of a request is the processor time that all processes of the contender used over the window
divided by the requests answered in it. A process that comes or goes within the window would falsify it
and is an error. Called by rounds.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bench.contenders import BODY, PATH, Contender, Scenario
from bench.load import LoadFailed, run_load
from bench.process import GATEWAY_CORE, Server, ServerFailed, fetch, resident_bytes, running
from bench.process_cost import cpu_nanoseconds

CONNECTIONS = 64
WARM_UP = 1.0  # seconds


@dataclass(frozen=True)
class Sample:
    """The result of one turn."""

    cpu_us: float  # processor microseconds of the gateway for each request
    requests_per_second: float
    p50_us: float
    p99_us: float
    rss_bytes: int
    core_busy: float  # share of the gateway's core in use, 0..1
    requests: int

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return asdict(self)


@contextlib.contextmanager
def warm(contender: Contender, scenario: Scenario, upstream: Server) -> Iterator[Server]:
    """Run `contender` in `scenario`, ready to be measured."""

    def command(directory: Any, port: int) -> list[str]:
        return contender.command(scenario, directory, port, upstream.port)

    with running(contender.name, command, GATEWAY_CORE, contender.ready_path) as server:
        check_answer(server)
        run_load(server.url + PATH, WARM_UP, CONNECTIONS)
        yield server


def check_answer(server: Server) -> None:
    """Raise LoadFailed unless the server answers with the expected status and body."""
    status, body = fetch(server.port, PATH)
    if (status, body) != (200, BODY):
        raise LoadFailed(f"{server.name} answered {status} {body[:200]!r}\n{server.last_words()}")


def measure_window(server: Server, seconds: float) -> Sample:
    """Put load on a warm server for about `seconds` and return what it cost."""
    pids = server.pids()
    before = cpu_nanoseconds(pids)
    result = run_load(server.url + PATH, seconds, CONNECTIONS)
    used = cpu_nanoseconds(pids) - before
    if server.pids() != pids:
        raise ServerFailed(
            f"{server.name} changed its processes while it was measured\n{server.last_words()}"
        )
    return Sample(
        cpu_us=used / 1000 / result.requests,
        requests_per_second=result.requests / result.seconds,
        p50_us=result.p50_us,
        p99_us=result.p99_us,
        rss_bytes=resident_bytes(pids),
        core_busy=used / 1e9 / result.seconds,
        requests=result.requests,
    )
