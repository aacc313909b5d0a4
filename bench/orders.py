"""Time order commands over HTTP through the gateway: ``python -m bench.orders [--json]``.

`agora serve` with one worker serves examples/market.toml with its plugins, its log on disk; CONNECTIONS
connections each place an order, wait until it is answered, which is when it is durable, and place the next:
limit orders around a wandering price, one in six immediate, by USERS users in one market. wrk makes the load,
on the other core. Orders a second, the slowest in a hundred, and the gateway's processor time.
"""

import asyncio
import json
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from bench.contenders.agora import find_agora
from bench.load import run_load
from bench.process import Server, running
from bench.process_cost import cpu_nanoseconds
from gateway.demo.connection import Address, Connection
from gateway.demo.market_api import MarketApi

EXAMPLE = Path(__file__).parents[1] / "examples" / "market.toml"
CONNECTIONS = 64
USERS = 500
MARKET = "m"
RICH = 10**12  # cents
WINDOW = 3  # seconds
WINDOWS = 5

# NOTE: wrk has one thread here, so that a count makes ids that nobody else has.
REQUESTS = """
local count, middle = 0, 50
local headers = {["Content-Type"] = "application/json"}
math.randomseed(%d)
request = function()
  count = count + 1
  middle = math.min(math.max(middle + (math.random() - 0.5) * 0.2, 20), 80)
  local yes = math.random(2) == 1
  local price = middle + (math.random() * 6 - 4) * (yes and 1 or -1)
  price = math.floor(math.min(math.max(price, 1), 99) + 0.5)
  return wrk.format("POST", "/market/orders", headers, string.format(
    '{"id":"%s-%%d","market":"m","user":"u%%d","side":"buy","share":"%%s","price":%%d,"size":%%d,"kind":"%%s"}',
    count, math.random(%d), yes and "yes" or "no", yes and price or 100 - price, math.random(100),
    math.random() < 0.17 and "ioc" or "limit"))
end
"""


def command(folder: Path, data_dir: Path, port: int) -> list[str]:
    """Return the argv of the gateway on the example's configuration; without its route to another example."""
    config: dict[str, Any] = tomllib.loads(EXAMPLE.read_text())
    config["server"] |= {"listen": f"127.0.0.1:{port}", "data_dir": str(data_dir), "workers": 1}
    config["route"] = [route for route in config["route"] if route["name"] == "market"]
    file = folder / "market.json"
    file.write_text(json.dumps(config))
    return [find_agora(), "serve", str(file)]


async def furnish(port: int) -> None:
    """Make a market, and users with money."""

    async def add(api: MarketApi, users: Iterable[int]) -> None:
        for number in users:
            await api.register(f"u{number}", f"User {number}")
            await api.deposit(f"u{number}", RICH)

    apis = [MarketApi(Connection(Address("127.0.0.1", port, "/market"))) for _ in range(CONNECTIONS)]
    await apis[0].create_market(MARKET, "Which?", fee=100, window=0)
    left = iter(range(1, USERS + 1))
    await asyncio.gather(*[add(api, left) for api in apis])
    for api in apis:
        api.connection.close()


def window(server: Server, number: int) -> dict[str, float]:
    """Return the figures of one window of load."""
    before, begin = cpu_nanoseconds(server.pids()), time.perf_counter()
    result = run_load(server.url, WINDOW, CONNECTIONS, REQUESTS % (number, f"w{number}", USERS))
    spent, seconds = cpu_nanoseconds(server.pids()) - before, time.perf_counter() - begin
    return {
        "orders": result.requests / result.seconds,
        "(p50, ms)": result.p50_us / 1000,
        "(p99, ms)": result.p99_us / 1000,
        "(processor us, an order)": spent / 1000 / result.requests,
        "(cores in use)": spent / 1e9 / seconds,
    }


def run() -> dict[str, float]:
    """Return label to figure: the medians of the windows after the first, which warms up."""
    # NOTE: not in /tmp, which may be memory.
    with (
        tempfile.TemporaryDirectory(dir=".") as data_dir,
        running(
            "agora", lambda folder, port: command(folder, Path(data_dir).resolve(), port), None, "/healthz"
        ) as server,
    ):
        asyncio.run(furnish(server.port))
        windows = [window(server, number) for number in range(WINDOWS + 1)][1:]
    return {label: round(median(one[label] for one in windows), 2) for label in windows[0]}


def main() -> None:
    """Print one line a figure, or JSON with --json."""
    figures = run()
    if "--json" in sys.argv[1:]:
        print(json.dumps(figures))
        return
    for label, value in figures.items():
        print(f"orders over HTTP, {label:30} {value:12,.2f}")


if __name__ == "__main__":
    main()
