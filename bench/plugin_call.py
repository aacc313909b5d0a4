"""What a plugin costs an exchange, in nanoseconds: `python -m bench.plugin_call [--json]`.

Whole exchanges, without sockets but with the parser, the router and the real phase loop, run with and without
the plugin in turn (core/testing.py).
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from core._fast.record import RecordBuffer
from core.decode import Decoder
from core.exchange import Exchange
from core.plugins import builtin_plugins
from core.testing import cost_of, site_for

URL = "http://api.example.test/markets/17?side=buy"
HEADERS = {"user-agent": "bench/1.0", "accept": "*/*", "accept-encoding": "gzip"}
CALLS = 10  # of the method that does nothing, in one exchange
BUFFER = 64 << 20  # bytes for the records of one case


class Nothing:
    """Does nothing."""

    def request(self, exchange: Exchange) -> None:
        """Do nothing."""


class Header:
    """Sets a header."""

    def request(self, exchange: Exchange) -> None:
        """Set a header of the request."""
        exchange.request.headers.set(b"x-plugin", b"was here")


def built_in(use: str, **options: Any) -> Any:
    """Return a built-in plugin with these options."""
    plugin: Any = builtin_plugins()[use]
    config = Decoder().decode(options, plugin.Config)
    return plugin(config, site_for(route="market", parameters=("id",)))


def request_log() -> tuple[Any, Callable[[], None]]:
    """Return the request-log plugin on a buffer that no thread writes to disk, and what empties it."""
    plugin, buffer = built_in("request-log"), RecordBuffer(BUFFER)
    plugin.attach(buffer)
    return plugin, lambda: buffer.recycle(buffer.take())


def cases() -> tuple[dict[str, list[Any]], Callable[[], None]]:
    """Return the plugins of each case, and what to do between cases."""
    logged, empty = request_log()
    usual = [
        built_in("request-id"),
        built_in("trace"),
        built_in("rate-limit", limit="1000000/second"),
        logged,
    ]
    return {
        "a Python method that does nothing": [Nothing() for _ in range(CALLS)],
        "(a Python method that sets a header)": [Header()],
        "(request-id)": usual[:1],
        "(trace)": usual[1:2],
        "(rate-limit by ip)": usual[2:3],
        "(rate-limit by ip, without headers)": [
            built_in("rate-limit", limit="1000000/second", headers="none")
        ],
        "(rate-limit by ip and header, two windows)": [
            built_in("rate-limit", limit=["1000000/second", "1000000000/hour"], by="ip+header:user-agent")
        ],
        "(request-log)": [logged],
        "(request-id, trace, rate-limit by ip, request-log)": usual,
        "(headers, two fixed and one with a variable)": [
            built_in("headers", request={"set": {"x-a": "1", "x-b": "2", "x-client": "{client}"}})
        ],
        "(rewrite, one prefix for another)": [built_in("rewrite", strip_prefix="/markets", add_prefix="/v2")],
        "(rewrite by a pattern)": [built_in("rewrite", pattern="^/markets/(.*)", replacement=r"/v2/\1")],
        "(size-limit)": [built_in("size-limit", request="1MiB", uri="4KiB", headers="16KiB")],
        "(ip-filter, a known address)": [
            built_in("ip-filter", allow=["192.0.2.0/24"], deny=["192.0.2.128/25"])
        ],
        "(timeout)": [built_in("timeout", first_byte="5s", idle="5s")],
    }, empty


def measure() -> dict[str, float]:
    """Return the nanoseconds that each case adds to an exchange."""
    chosen, empty = cases()
    costs = {}
    for label, plugins in chosen.items():
        shared = len(plugins) if label.startswith("a ") else 1
        cost = cost_of(*plugins, url=URL, path="/markets/{id}", headers=HEADERS)
        costs[label] = round(cost / shared, 1)
        empty()
    return costs


def main() -> None:
    """Print one line a case, or JSON with --json."""
    costs = measure()
    if "--json" in sys.argv[1:]:
        print(json.dumps(costs))
        return
    for label, nanoseconds in costs.items():
        print(f"{label:52} {nanoseconds:8.1f} ns")


if __name__ == "__main__":
    main()
