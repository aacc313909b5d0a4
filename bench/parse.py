"""Time the parsers on typical input, in nanoseconds a call: `python -m bench.parse`."""

import json
import sys
import time
from collections.abc import Callable

from core._fast.chunked import decode_repeatedly
from core._fast.head import parse_repeatedly
from core._fast.headers import Headers
from core._fast.path import normalise_repeatedly

SHORT_REQUEST = (
    b"GET /markets/17 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n"
)
BROWSER_REQUEST = (
    b"GET /markets/17/orders?limit=50&side=buy HTTP/1.1\r\n"
    b"Host: markets.example.test\r\n"
    b"Connection: keep-alive\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\n"
    b"Accept-Language: en-GB,en;q=0.9\r\n"
    b"Referer: https://markets.example.test/markets\r\n"
    b"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
    b"Cache-Control: no-cache\r\n"
    b'If-None-Match: W/"5e-abcdef"\r\n\r\n'
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Mon, 01 Jan 2029 00:00:00 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: 120\r\nConnection: keep-alive\r\n\r\n"
)
CHUNKED_BODY = b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n"


def measure(call: Callable[[int], object], rounds: int = 200_000, repeats: int = 7) -> float:
    """Return the best nanoseconds a round of a loop that takes its number of rounds."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter_ns()
        call(rounds)
        best = min(best, (time.perf_counter_ns() - start) / rounds)
    return best


def set_headers(rounds: int) -> None:
    """Set one header on an empty Headers, again and again: what a plugin's `headers.set` costs."""
    name, value = b"x-greeting", b"hello"
    headers = Headers()
    for _ in range(rounds):
        headers.set(name, value)
        headers.remove(name)


def set_known_headers(rounds: int) -> None:
    """Replace a known header beside nine others."""
    headers = Headers([(b"x-other-%d" % i, b"value") for i in range(9)])
    for _ in range(rounds):
        headers.set(b"Cache-Control", b"no-store")


def get_headers(rounds: int) -> None:
    """Read a header beside nine others."""
    headers = Headers([(b"x-other-%d" % i, b"value") for i in range(9)] + [(b"Accept", b"*/*")])
    for _ in range(rounds):
        headers.get(b"accept")


CASES: dict[str, Callable[[int], object]] = {
    f"request head, {len(SHORT_REQUEST)} bytes": lambda n: parse_repeatedly(SHORT_REQUEST, n),
    f"request head, {len(BROWSER_REQUEST)} bytes, 10 fields": lambda n: parse_repeatedly(BROWSER_REQUEST, n),
    f"response head, {len(RESPONSE)} bytes": lambda n: parse_repeatedly(RESPONSE, n, response=True),
    "chunked body, one chunk of 1024": lambda n: decode_repeatedly(CHUNKED_BODY, n),
    "path already normal": lambda n: normalise_repeatedly(b"/markets/17/orders", n),
    "path with dots and escapes": lambda n: normalise_repeatedly(b"/a/../markets/%7e17/./orders", n),
    "Headers.set + remove, from Python": set_headers,
    "Headers.set, replacing among ten": set_known_headers,
    "Headers.get among ten": get_headers,
}


def main() -> None:
    """Print one line a case, or JSON with --json."""
    results = {name: round(measure(call), 1) for name, call in CASES.items()}
    if "--json" in sys.argv[1:]:
        print(json.dumps(results))
        return
    for name, nanoseconds in results.items():
        print(f"{name:45} {nanoseconds:8.1f} ns")


if __name__ == "__main__":
    main()
