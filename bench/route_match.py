"""Time one route match among 10, 1000 and 10,000 routes with parameters: ``python -m bench.route_match``.

Ten thousand different requests, in random order, ask each table in turn: reading them costs the same whatever
the table's size, and the nearest caches do not hold what is needed.
Where only ten of the ten thousand routes are asked for, their part of the table stays in the caches: what
remains of the difference to a table of ten is the algorithm's.
Judged is the C face, which the native door pays; beside it paths that no route has, the Python face with
decoded parameters, and building. The least of several windows counts, which the tables have in turn.
``--json`` writes one object, label to nanoseconds.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Sequence

from core._fast.router import Pattern, Router

Request = tuple[bytes, bytes, bytes]

COUNTS = (10, 1000, 10_000)
FEW = COUNTS[0]
WINDOWS = 9
REQUESTS = 10_000  # different ones, spread over the routes
ROUNDS = 20  # of them in one window
HOST = b"api.example.test"


def service_routes(count: int) -> list[Pattern]:
    """Return routes as a gateway has them: a service, its collections, items, and what belongs to an item."""
    ends = ("", "/{id}", "/{id:int}/history", "/{id}/parts", "/{id}/parts/{part}")
    methods = (frozenset({"GET"}), frozenset({"POST", "PUT"}))
    return [
        Pattern(f"/api/service-{number // 10}/items{ends[number // 2 % 5]}", methods[number % 2])
        for number in range(count)
    ]


def flat_routes(count: int) -> list[Pattern]:
    """Return routes that share nothing: each has two literals and two parameters of its own."""
    return [Pattern(f"/resource{number}/{{id}}/part{number}/{{part}}") for number in range(count)]


def host_routes(count: int) -> list[Pattern]:
    """Return routes of many hosts: half of them exact, half of them wildcards."""
    return [
        Pattern("/items/{id}", hosts=(f"{'*.' if number % 2 else ''}host{number}.example.test",))
        for number in range(count)
    ]


TABLES = {"services": service_routes, "flat": flat_routes, "hosts": host_routes}


def request_for(number: int, pattern: Pattern) -> Request:
    """Return a request that the pattern takes."""
    path = pattern.path.replace("{id}", f"{number * 7919:x}").replace("{id:int}", str(number * 7919))
    host = pattern.hosts[0].replace("*", "eu").encode() if pattern.hosts else HOST
    return host, min(pattern.methods or {"GET"}).encode(), path.replace("{part}", f"p{number}").encode()


def requests_for(router: Router, patterns: list[Pattern], routes: Sequence[int]) -> list[Request]:
    """Return different requests for some of the routes, in random order; each is known to find its own."""
    requests = []
    for number in range(REQUESTS):
        route = routes[number % len(routes)]
        requests.append(request_for(number, patterns[route]))
        result = router.match(*requests[-1])
        if not isinstance(result, tuple) or result[0] != route:
            raise AssertionError(f"{requests[-1]} matched {result}, not {route}")
    random.Random(1).shuffle(requests)
    return requests


def time_python(router: Router, requests: list[Request], rounds: int) -> float:
    """Return the nanoseconds of one match() from Python, the loop included."""
    match = router.match
    begin = time.perf_counter_ns()
    for _ in range(rounds):
        for host, method, path in requests:
            match(host, method, path)
    return (time.perf_counter_ns() - begin) / (rounds * len(requests))


def cases_of(name: str, count: int) -> dict[str, Callable[[], float]]:
    """Build a table of `count` routes; return label -> what times one window of it, in ns a match."""
    patterns = TABLES[name](count)
    begin = time.process_time_ns()
    router = Router(patterns)
    built = (time.process_time_ns() - begin) / count
    requests = requests_for(router, patterns, range(count))
    misses = [(host, method, path + b"/x/x/x") for host, method, path in requests]
    label = f"{name}, {count} routes"
    cases = {
        label: lambda: router.measure(requests, ROUNDS),
        f"({label}: no match)": lambda: router.measure(misses, ROUNDS),
        f"({label}: Python face)": lambda: time_python(router, requests, ROUNDS // 10),
        f"({label}: building, a route)": lambda: built,
    }
    if count > FEW:
        few = requests_for(router, patterns, random.Random(2).sample(range(count), FEW))
        cases[f"{name}, {FEW} of {count} routes"] = lambda: router.measure(few, ROUNDS)
    return cases


def measure(name: str) -> dict[str, float]:
    """Time the tables of one kind, in turn; return label -> nanoseconds."""
    cases: dict[str, Callable[[], float]] = {}
    for count in COUNTS:
        cases |= cases_of(name, count)
    windows = [{label: run() for label, run in cases.items()} for _ in range(WINDOWS)]
    return {label: min(window[label] for window in windows) for label in cases}


def main() -> None:
    """Measure all tables and print them."""
    results: dict[str, float] = {}
    for name in TABLES:
        results |= measure(name)
    if "--json" in sys.argv:
        print(json.dumps(results))
        return
    for label, nanoseconds in results.items():
        print(f"{label:<45}{nanoseconds:9.0f} ns")


if __name__ == "__main__":
    main()
