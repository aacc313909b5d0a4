"""What a plugin is given besides its options: the services of the process that it runs in.

Built in gateway/site.py; tests build one with what they need. A plugin keeps what it wants of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from core.authentication.consumers import Consumers

if TYPE_CHECKING:
    from core._fast.limiter import Limiter
    from core.metrics import Metrics


@dataclass(frozen=True, kw_only=True)
class Site:
    """Hold the services of one worker process; shared by all its plugins, across reloads."""

    data_dir: Path  # where durable things live
    name: str  # the gateway's name, as in Via
    worker: int  # this process's number, from 0
    limiter: Limiter  # rates, shared by all workers
    metrics: Metrics  # counters, merged over all workers when scraped
    consumers: Consumers = field(default_factory=Consumers)  # whom requests may speak for
    route: str = ""  # the route that the plugin stands on; empty: on every route
    parameters: tuple[str, ...] | None = None  # names of that route's path parameters; None: on every route
    # What plugins of this worker share under a key, over routes and reloads, while one of them holds it.
    shared: WeakValueDictionary[Any, Any] = field(default_factory=WeakValueDictionary)
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("agora.plugin"))
    on_close: Callable[[Callable[[], None]], None] = lambda _: None  # run something when the worker ends
