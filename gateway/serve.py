"""Start the gateway: `agora serve FILE`.

The rule it guards: everything that can be known to fail fails before the first connection is accepted.
"""

from __future__ import annotations

import logging
import signal
from contextlib import closing
from pathlib import Path

import uvloop

from gateway.banner import print_banner
from gateway.config import load
from gateway.data_plane import worker_count
from gateway.identity import admin_token, lock_data_dir
from gateway.listeners import open_listeners
from gateway.logs import configure_logs
from gateway.meters import open_metrics
from gateway.supervisor import Supervisor
from gateway.watch import WatchedFile
from gateway.worker import Worker, raise_file_limit

log = logging.getLogger("agora")


def run(path: str | Path) -> int:
    """Serve a configuration file until SIGTERM or SIGINT; return the exit code."""
    # NOTE: a reload that is asked for too early waits; it would end the process.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    file = Path(path)
    watched = WatchedFile(file)
    config = load(file)
    configure_logs()
    raise_file_limit()
    data_dir = Path(config.server.data_dir)
    workers = worker_count(config.server)
    # NOTE: the metrics of an earlier run end here; held open, they outlive the workers that count in them.
    with lock_data_dir(data_dir), closing(open_metrics(data_dir, workers, fresh=True)):
        token, is_new = admin_token(config.admin, data_dir)
        listeners = open_listeners(config.server.listen, workers)

        def banner() -> None:
            print_banner(config, listeners[0], token if is_new else None)
            log.info("serving")

        async def serve() -> int:
            if len(listeners) > 1:
                return await Supervisor(file, config, listeners, watched).run(banner)
            await Worker(file, config, listeners[0], watched=watched).run(banner)
            return 0

        code = uvloop.run(serve())
    log.info("stopped")
    return code
