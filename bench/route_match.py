"""Time one route match among 10, 1000 and 10,000 routes with parameters: ``python -m bench.route_match``.

Ten thousand different requests, in random order, ask each table in turn: reading them costs the same whatever
the table's size, and the nearest caches do not hold what is needed.
Where only ten of the ten thousand routes are asked for, their part of the table stays in the caches: what
remains of the difference to a table of ten is the algorithm's.
Judged is the C face, which the native door pays; beside it paths that no route has, the Python face with
decoded parameters, and building. Medians; ``--json`` writes one object, label to nanoseconds.
"""

import json
import random
import sys
import time
from collections.abc import Sequence
from statistics import median

from core._fast.router import Pattern, Router

Request = tuple[bytes, bytes, bytes]

COUNTS = (10, 1000, 10_000)
WINDOWS = 5
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


def measure(name: str, count: int) -> dict[str, float]:
    """Build a table of `count` routes and time it; return label -> nanoseconds."""
    patterns = TABLES[name](count)
    begin = time.process_time_ns()
    router = Router(patterns)
    built = time.process_time_ns() - begin
    requests = requests_for(router, patterns, range(count))
    misses = [(host, method, path + b"/x/x/x") for host, method, path in requests]
    label = f"{name}, {count} routes"
    few = COUNTS[0]
    asked = requests_for(router, patterns, random.Random(2).sample(range(count), few))
    hot = median(router.measure(asked, ROUNDS) for _ in range(WINDOWS))
    return {
        label: median(router.measure(requests, ROUNDS) for _ in range(WINDOWS)),
        f"({label}: no match)": median(router.measure(misses, ROUNDS) for _ in range(WINDOWS)),
        f"({label}: Python face)": median(
            time_python(router, requests, ROUNDS // 10) for _ in range(WINDOWS)
        ),
        f"({label}: building, a route)": built / count,
    } | ({f"{name}, {few} of {count} routes": hot} if count > few else {})


def main() -> None:
    """Measure all tables and print them."""
    results: dict[str, float] = {}
    for name in TABLES:
        for count in COUNTS:
            results |= measure(name, count)
    if "--json" in sys.argv:
        print(json.dumps(results))
        return
    for label, nanoseconds in results.items():
        print(f"{label:<45}{nanoseconds:9.0f} ns")


if __name__ == "__main__":
    main()
