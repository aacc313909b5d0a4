"""Set the gateway's own log up: one line an event on stderr."""

from __future__ import annotations

import logging
import sys

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def configure_logs(level: int = logging.INFO) -> None:
    """Write the log of this process to stderr."""
    logging.basicConfig(stream=sys.stderr, level=level, format=FORMAT, force=True)
    # NOTE: refused requests are counted, and logged at a level that an attacker cannot fill a disk with.
    logging.getLogger("agora.client").setLevel(logging.INFO)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
