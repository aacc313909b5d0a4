"""Set the gateway's own log up: one line an event on stderr, and not more than can be read.

The rule it guards: what a client can cause (refused requests, malformed answers) is logged a few times a
second and counted beyond that, so that nobody fills a disk or a core with log lines.
"""

from __future__ import annotations

import logging
import sys
import time

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
LINES_A_SECOND = 20  # of each logger that clients can make write
NOISY = ("agora.client", "agora.upstream", "agora.exchange", "agora.app")


class RateFilter(logging.Filter):
    """Let so many lines a second pass, and tell how many did not with the next one that does."""

    def __init__(self, most: int = LINES_A_SECOND) -> None:
        super().__init__()
        self._most = most
        self._second = 0
        self._passed = 0
        self._dropped = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is written."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._passed = second, 0
        if self._passed >= self._most:
            self._dropped += 1
            return False
        self._passed += 1
        if self._dropped:
            record.msg = f"{record.getMessage()} ({self._dropped} lines like it were left out)"
            record.args = None
            self._dropped = 0
        return True


def configure_logs(level: int = logging.INFO) -> None:
    """Write the log of this process to stderr."""
    logging.basicConfig(stream=sys.stderr, level=level, format=FORMAT, force=True)
    for name in NOISY:
        logging.getLogger(name).addFilter(RateFilter())
