"""Hold what all workers count together: metrics and rates in shared memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path

from core._fast.limiter import Limiter, table_size
from core._fast.meter import Meter
from core.metrics import CONTENT_TYPE, Metrics, open_region
from core.shared_memory import Region

RATE_CELLS = 1 << 18  # keys with a rate at one time, over all windows; 16 bytes each
SPARE_SLOTS = 8  # workers that still drain while their successors run, and processes of the ASGI door


def open_metrics(data_dir: Path, workers: int, *, fresh: bool = False) -> Region:
    """Open the metrics of a data directory; ``fresh``: from zero, unless another process has them open."""
    return open_region(data_dir, slots=workers + SPARE_SLOTS, fresh=fresh)


class Meters:
    """Open the shared memory of a data directory for one worker."""

    def __init__(self, data_dir: Path, *, workers: int) -> None:
        self._rates = Region.open(data_dir, "rates", table_size(RATE_CELLS), f"rates 1, {RATE_CELLS} cells")
        self.limiter = Limiter(self._rates.buffer, self._rates.secret)
        self._region = open_metrics(data_dir, workers)
        self.metrics = Metrics(self._region)
        gauge = self.metrics.gauge("agora_connections", "Open client connections.")
        self.connections: Callable[[int], None] = gauge.add
        self.metrics.gauge(
            "agora_build_info", "The running version.", {"version": version("agora")}, merge="max"
        ).set(1)
        self.route = cache(self._route)

    def _route(self, name: str) -> Meter:
        return Meter(self.metrics, name)

    def refused(self, slug: str) -> None:
        """Count a request that was refused before it became an exchange."""
        self.metrics.counter(
            "agora_requests_refused_total", "Requests refused before routing, by reason.", {"reason": slug}
        ).add()

    def upstream(self, name: str, server: str) -> Callable[[str], None]:
        """Return what counts a server's failures."""

        def count(slug: str) -> None:
            self.metrics.counter(
                "agora_upstream_failures_total",
                "Failures of upstream servers, by reason.",
                {"upstream": name, "server": server, "reason": slug},
            ).add()

        return count

    def exposition(self) -> tuple[bytes, str]:
        """Return the metrics of all workers as text, and its content type."""
        return self.metrics.exposition(), CONTENT_TYPE

    def close(self) -> None:
        """Give the worker's slot back."""
        self.metrics.close()
        self._region.close()
        self._rates.close()
