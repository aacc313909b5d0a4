"""The load generator: wrk with one thread and keep-alive connections on the load core.

A run in which anything went wrong is not a measurement: a status from 400 up, a socket error or a
timeout raises LoadFailed. Status and body are compared once before the load by measure, which calls
this.
"""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.binaries import find_binary
from bench.process import LOAD_CORE

MARK = "@@ "

# NOTE: only done() is defined: a Lua function for each response would make the load generator the bottleneck.
REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '@@ {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "max": %d, ' ..
    '"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""
# NOTE: 2 s by default, which the slowest contender exceeds without failing.
TIMEOUT = ("--timeout", "15s")
ERRORS = ("connect", "read", "write", "status", "timeout")


class LoadFailed(RuntimeError):
    """The load did not get a good answer to each request."""


@dataclass(frozen=True)
class LoadResult:
    """What one run of the load generator saw."""

    requests: int
    seconds: float
    p50_us: int
    p99_us: int


def run_load(url: str, seconds: float, connections: int, requests: str = "") -> LoadResult:
    """Send requests to `url` as fast as they are answered; raise LoadFailed on any error.

    requests: what is sent, a script in Lua; GETs if it is left out
    wrk counts whole seconds, so `seconds` is rounded up.
    """
    with tempfile.TemporaryDirectory(prefix="bench-load-") as directory:
        script = Path(directory) / "report.lua"
        script.write_text(requests + REPORT)
        duration = max(1, round(seconds + 0.499))
        done = subprocess.run(
            [
                find_binary("wrk"),
                "-t1",
                f"-c{connections}",
                f"-d{duration}s",
                *TIMEOUT,
                "-s",
                str(script),
                url,
            ],
            capture_output=True,
            text=True,
            timeout=duration + 30,
            preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}),
        )
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode != 0 or len(lines) != 1:
        raise LoadFailed(f"wrk failed on {url}: {done.stdout}{done.stderr}")
    return parse_report(lines[0].removeprefix(MARK), url)


def parse_report(text: str, url: str) -> LoadResult:
    """Turn the line printed by REPORT into a result; raise LoadFailed if it tells of errors."""
    report = json.loads(text)
    errors = {kind: report[kind] for kind in ERRORS if report[kind]}
    if errors:
        raise LoadFailed(f"errors on {url} among {report['requests']} requests: {errors}")
    if not report["requests"]:
        raise LoadFailed(f"no request was answered on {url}")
    return LoadResult(report["requests"], report["microseconds"] / 1e6, report["p50"], report["p99"])
