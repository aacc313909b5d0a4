"""The figures that Agora must reach, and whether a run of the benchmark reached them.

A figure whose measurements were not made is not judged; it never passes by absence. Called by `python -m
bench`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.code import Costs, judged
from bench.contenders import Scenario
from bench.idle import IdleResult
from bench.large_body import LargeBodyResult
from bench.rounds import Results

AGORA = "agora"
FIXED_REQUESTS_PER_SECOND = 85_984
SAME_COST = 1.25  # so many times the cost of 10 routes still counts as the same: the noise of timing
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Figure:
    """One thing that must be reached."""

    what: str
    bound: float
    at_least: bool
    unit: str
    value: float | None  # None: not measured

    @property
    def reached(self) -> bool | None:
        """Tell whether the value is within the bound; None if it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def must_reach(self) -> str:
        """Return the bound in words."""
        return f"at {'least' if self.at_least else 'most'} {self.bound:,.10g} {self.unit}"

    def as_dict(self) -> dict[str, Any]:
        """Return the figure for JSON."""
        return {
            "what": self.what,
            "must_reach": self.must_reach,
            "value": self.value,
            "reached": self.reached,
        }


def at_most(what: str, bound: float, unit: str, value: float | None) -> Figure:
    """Return a figure with an upper bound."""
    return Figure(what, bound, False, unit, value)


def traffic_figures(results: Results) -> list[Figure]:
    """Judge the scenarios under full load: ratios of processor time for each request."""
    proxied, plugins, fixed = ((s, AGORA) for s in (Scenario.PROXIED, Scenario.PLUGINS, Scenario.FIXED))
    ratio = results.cost_ratio
    rate = results.median(*fixed, "requests_per_second")
    return [
        at_most("proxied, no plugins", 0.95, "x nginx", ratio(proxied, (Scenario.PROXIED, "nginx"))),
        at_most("proxied with plugins", 1.1, "x bare nginx", ratio(plugins, (Scenario.PROXIED, "nginx"))),
        at_most(
            "proxied with plugins",
            0.4,
            "x Envoy with limit and log",
            ratio(plugins, (Scenario.PLUGINS, "envoy")),
        ),
        Figure("fixed answer", FIXED_REQUESTS_PER_SECOND, True, "req/s", rate),
        at_most("fixed answer", 1.0, "x nginx return 200", ratio(fixed, (Scenario.FIXED, "nginx"))),
    ]


TABLES = ("services", "flat", "hosts")  # of bench/route_match.py


def code_figures(costs: Costs) -> list[Figure]:
    """Judge the benches of single pieces by their dearest case."""

    def worst(module: str) -> float | None:
        return max(judged(costs[module]).values()) / 1000 if module in costs else None

    match, matching = costs.get("route_match", {}), worst("matching")
    growth = max(
        (match[f"{table}, 10 of 10000 routes"] / match[f"{table}, 10 routes"] for table in TABLES if match),
        default=None,
    )
    return [
        at_most("a plugin's method that does nothing", 0.3, "us", worst("plugin_call")),
        at_most("route match with parameters", 0.5, "us", worst("route_match")),
        at_most("route match, 10 of 10,000 routes", SAME_COST, "x 10 routes", growth),
        at_most("rate-limit decision", 0.2, "us", worst("rate_limit")),
        Figure("matching engine alone", 200_000, True, "orders/s", 1e6 / matching if matching else None),
    ]


def rate_figures(rates: Costs) -> list[Figure]:
    """Judge the event log, beside a bare LMDB and other stores, and what is folded from it."""
    batches, awaited = rates.get("event_store", {}), rates.get("event_log", {})
    rebuilt, orders = judged(rates.get("projection_rebuild", {})), rates.get("orders", {})

    def beside(name: str) -> float | None:
        return awaited["agora"] / awaited[name] if awaited else None

    return [
        Figure("batched append", 0.6, True, "x bare LMDB putmulti", batches.get("(ratio)")),
        Figure("read back and decode", 1_000_000, True, "events/s", batches.get("read and decode")),
        Figure("256 awaited appends at once", 100_000, True, "events/s", awaited.get("agora")),
        at_most("256 awaited appends at once, p99", 20, "ms", awaited.get("(agora, p99, ms)")),
        Figure("256 awaited appends at once", 3, True, "x umadb", beside("umadb")),
        Figure("256 awaited appends at once", 10, True, "x eventsourcing", beside("eventsourcing, SQLite")),
        Figure("projection rebuild", 200_000, True, "events/s", min(rebuilt.values(), default=None)),
        Figure("orders over HTTP, durable, 64 connections", 5_000, True, "orders/s", orders.get("orders")),
        at_most("orders over HTTP, durable, p99", 40, "ms", orders.get("(p99, ms)")),
    ]


def memory_figures(
    idle: Mapping[str, IdleResult], large: Mapping[str, list[LargeBodyResult]]
) -> list[Figure]:
    """Judge the memory of idle connections and of large bodies."""
    each = idle[AGORA].bytes_each / 1000 if AGORA in idle else None
    growth = max(r.growth_bytes for r in large[AGORA]) / MEGABYTE if AGORA in large else None
    return [
        at_most("10,000 idle keep-alive connections", 5, "KB each", each),
        at_most("1 GiB up and down, slow peer: growth", 16, "MB", growth),
    ]
