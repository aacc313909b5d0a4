"""A small HTTP service that stands behind the gateway: markets, orders and a stream of trades, in memory.

`make run` starts it on 127.0.0.1:9000. Alone: `.venv/bin/python examples/markets_service.py`.
"""

import asyncio
import itertools
import json
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

HOST, PORT = "127.0.0.1", 9000


@dataclass
class Market:
    """A question whose answer people trade on."""

    id: int
    question: str
    price: int  # of YES, in cents: what the market thinks the chance is, in percent


MARKETS = {
    1: Market(1, "Will it rain in Hamburg tomorrow?", 63),
    2: Market(2, "Will the next release ship this month?", 41),
}
ORDER_NUMBERS = itertools.count(1)


async def list_markets(_: Request) -> Response:
    """Return all markets."""
    return JSONResponse([asdict(market) for market in MARKETS.values()])


async def show_market(request: Request) -> Response:
    """Return one market."""
    market = MARKETS.get(request.path_params["id"])
    if market is None:
        return JSONResponse({"error": "no such market"}, status_code=404)
    return JSONResponse(asdict(market))


async def place_order(request: Request) -> Response:
    """Take an order, ``{"side": "yes", "price": 60}``; an order above the price moves it."""
    market = MARKETS.get(request.path_params["id"])
    try:
        order = json.loads(await request.body())
        side, price = order["side"], order["price"]
        valid = side in ("yes", "no") and isinstance(price, int) and 0 < price < 100
    except (ValueError, KeyError, TypeError):
        valid = False
    if market is None:
        return JSONResponse({"error": "no such market"}, status_code=404)
    if not valid:
        return JSONResponse(
            {"error": 'an order is {"side": "yes" or "no", "price": 1 to 99}'}, status_code=422
        )
    market.price = max(market.price, price) if side == "yes" else min(market.price, 100 - price)
    return JSONResponse({"order": next(ORDER_NUMBERS), "market": asdict(market)}, status_code=201)


async def stream_prices(request: Request) -> Response:
    """Send a market's price every second, as server-sent events, for as long as somebody listens."""
    market = MARKETS.get(request.path_params["id"])
    if market is None:
        return JSONResponse({"error": "no such market"}, status_code=404)

    async def events() -> AsyncIterator[str]:
        while True:
            yield f"data: {json.dumps(asdict(market))}\n\n"
            await asyncio.sleep(1)

    return StreamingResponse(events(), media_type="text/event-stream")


app = Starlette(
    routes=[
        Route("/markets", list_markets),
        Route("/markets/{id:int}", show_market),
        Route("/markets/{id:int}/orders", place_order, methods=["POST"]),
        Route("/markets/{id:int}/prices", stream_prices),
    ]
)


def main() -> None:
    """Serve until told to stop; the line printed says that connections are accepted from now on."""
    try:
        listener = socket.create_server((HOST, PORT))
    except OSError as error:
        sys.exit(f"the example service cannot listen on {HOST}:{PORT}: {error.strerror}")
    print(f"The example service listens on http://{HOST}:{PORT}", flush=True)
    settings = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(settings).run(sockets=[listener])


if __name__ == "__main__":
    main()
