"""The size-limit plugin: how large requests and answers may be."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from core._fast.size_gate import SizeGate
from core.plugin import Plugin, PluginConfig
from core.site import Site
from core.units import Size


class SizeLimit(SizeGate, Plugin):
    """Refuse requests and answers that are too large.

    A body that announces its length is refused at once, any other when it has grown too large; an answer that
    has begun by then is cut off. On a route, a limit takes the place of the server's for bodies; for heads
    both hold.
    """

    class Config(PluginConfig, frozen=True):
        """Options of size-limit; 0: no limit of its own."""

        request: Annotated[Size, Meta(description="largest request body; more is 413")] = Size(0)
        response: Annotated[Size, Meta(description="largest answer from the target; more is 502")] = Size(0)
        uri: Annotated[Size, Meta(description="longest path with query; more is 414")] = Size(0)
        query: Annotated[Size, Meta(description="longest query; more is 414")] = Size(0)
        headers: Annotated[Size, Meta(description="all names and values of headers; more is 431")] = Size(0)
        header: Annotated[Size, Meta(description="one header's name and value; more is 431")] = Size(0)
        header_count: Annotated[int, Meta(ge=0, le=65535, description="most header fields; more is 431")] = 0

    def __init__(self, config: Config, site: Site) -> None:
        super().__init__(
            request_body=config.request,
            response_body=config.response,
            uri=config.uri,
            query=config.query,
            headers=config.headers,
            header=config.header,
            header_count=config.header_count,
        )
        if not config.response:
            self.unused = frozenset({"response"})
