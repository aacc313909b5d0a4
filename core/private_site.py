"""A site whose rates and metrics no other process sees: for trying plugins without serving."""

from __future__ import annotations

import mmap
import tempfile
from functools import cache
from pathlib import Path

from core._fast.limiter import Limiter, table_size
from core.metrics import Metrics, open_region
from core.site import Site


def private_site(data_dir: Path, rates: int = 4096) -> Site:
    """Return a site with a table of ``rates`` keys of its own; this process's private sites share metrics."""
    limiter = Limiter(mmap.mmap(-1, table_size(rates)), bytes(16))
    return Site(data_dir=data_dir, name="test", worker=0, limiter=limiter, metrics=_metrics())


@cache
def _metrics() -> Metrics:
    with tempfile.TemporaryDirectory() as folder:
        region = open_region(Path(folder), slots=1, cells=4096)
        region.unlink()
        return Metrics(region)
