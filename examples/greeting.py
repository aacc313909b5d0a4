"""The smallest useful plugin: quickstart.toml uses it as `greeting:Greeting`."""

from core._fast.exchange import Exchange
from core.plugin import PluginConfig
from core.site import Site


class Greeting:
    """Add a greeting header to every answer."""

    class Config(PluginConfig, frozen=True):
        """Options of the greeting."""

        text: str = "hello"  # value of the x-greeting response header

    def __init__(self, config: Config, site: Site) -> None:
        self.text = config.text.encode()

    def response(self, exchange: Exchange) -> None:
        """Set the header, just before the answer goes to the client."""
        exchange.response.headers.set(b"x-greeting", self.text)
