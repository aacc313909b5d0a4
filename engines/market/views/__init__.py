"""Tables to query, each a pure fold of the market's events. A new one is one file and one line here."""

from engines.market.views.depth import Depth
from engines.market.views.leaders import Leaders
from engines.market.views.markets import Markets
from engines.market.views.portfolio import Portfolios
from engines.market.views.prices import Prices
from engines.market.views.trades import Trades
from engines.market.views.view import View, view_image, view_of_image, view_of_pieces, view_pieces

VIEWS: dict[str, type[View]] = {
    "markets": Markets,
    "depth": Depth,
    "prices": Prices,
    "portfolios": Portfolios,
    "trades": Trades,
    "leaders": Leaders,
}

__all__ = [
    "VIEWS",
    "Depth",
    "Leaders",
    "Markets",
    "Portfolios",
    "Prices",
    "Trades",
    "View",
    "view_image",
    "view_of_image",
    "view_of_pieces",
    "view_pieces",
]
