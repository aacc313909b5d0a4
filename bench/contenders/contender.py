"""What every contender is: a name, the scenarios it can play, and the command that serves each of them.

A contender only writes files and returns an argv; it starts nothing. One worker or thread each,
keep-alive to clients and upstream, TCP_NODELAY, no access log but where the scenario has one. Called by
measure.
"""

import enum
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

BODY = b'{"id":42,"name":"rain in Berlin tomorrow","open":true,"price":0.63,"volume":18204,"currency":"EUR"}'
UPSTREAM_CONNECTIONS = 128
PATH = "/markets/42"


class Scenario(enum.StrEnum):
    """What a gateway does with a request in one measurement."""

    PROXIED = "proxied"  # forwarded, nothing else
    PLUGINS = "plugins"  # forwarded with request id, trace, rate limit by address, request log, metrics
    FIXED = "fixed"  # answered by the gateway itself
    IDLE = "idle"  # many connections, forwarded once each, then nothing
    LARGE_BODY = "large-body"  # forwarded without buffering or a limit on bodies


TRAFFIC = (Scenario.PROXIED, Scenario.PLUGINS, Scenario.FIXED)  # those under full load


class Contender(ABC):
    """A gateway that can be measured."""

    name: ClassVar[str]
    binaries: ClassVar[tuple[str, ...]] = ()
    scenarios: ClassVar[frozenset[Scenario]] = frozenset(Scenario)
    ready_path: ClassVar[str] = PATH

    @abstractmethod
    def command(self, scenario: Scenario, directory: Path, port: int, upstream: int) -> list[str]:
        """Write what the scenario needs into `directory`; return the argv serving it on 127.0.0.1:`port`.

        `upstream` is the port of the upstream on 127.0.0.1. No path in `directory` outlives the measurement.
        """

    @abstractmethod
    def version(self) -> str:
        """Return the version of what is measured, in its own words."""

    @staticmethod
    def first_line(argv: list[str]) -> str:
        """Return the first line that a command prints on stdout or stderr."""
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
        return (done.stdout + done.stderr).strip().splitlines()[0]
