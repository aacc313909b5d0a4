"""The request-id plugin: one name for an exchange in the logs of client, gateway and target."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from core._fast.request_id import RequestIds
from core.config import HeaderName
from core.plugin import Plugin, PluginConfig
from core.site import Site


class RequestId(RequestIds, Plugin):
    """Give each request an id, and tell it to the target and the client.

    The id is the client's own where it may be believed and is made of at most ``max_length`` letters, digits
    and ``-._~:+/=@``; else a new one. It stands in the request log and fills in ``{request_id}``.
    """

    class Config(PluginConfig, frozen=True):
        """Options of request-id."""

        header: Annotated[HeaderName, Meta(description="its name, both ways")] = "x-request-id"
        format: Annotated[
            Literal["uuid7", "hex"],
            Meta(description="new ids: UUIDs that sort by time, or 32 random hex digits"),
        ] = "uuid7"
        believe: Annotated[
            Literal["nobody", "trusted", "anyone"],
            Meta(description="whose own ids are kept; trusted: proxies in server.trusted_proxies"),
        ] = "trusted"
        max_length: Annotated[
            int, Meta(ge=1, le=1024, description="bytes; a longer id is replaced by a new one")
        ] = 128
        response: Annotated[bool, Meta(description="tell the client too")] = True

    def __init__(self, config: Config, site: Site) -> None:
        super().__init__(
            config.header.lower().encode("ascii"),
            format=config.format,
            believe=config.believe,
            longest=config.max_length,
        )
        if not config.response:
            self.unused = frozenset({"response"})
