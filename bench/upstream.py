"""The upstream behind every contender: nginx with one worker answering a small JSON body, on the load core.

Called by measure and idle.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contenders.nginx import FIXED, nginx_command
from bench.process import LOAD_CORE, Server, running


@contextmanager
def small_json_upstream() -> Iterator[Server]:
    """Run the upstream; every path answers BODY."""

    def command(directory: Path, port: int) -> list[str]:
        return nginx_command(directory, port, http="", location=FIXED)

    with running("upstream", command, LOAD_CORE) as server:
        yield server
