"""The trace plugin: W3C Trace Context (traceparent, tracestate)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from core._fast.trace import Traces
from core.config import HeaderName
from core.plugin import Plugin, PluginConfig
from core.site import Site
from core.units import Size


class Trace(Traces, Plugin):
    """Continue the client's W3C trace or begin one, and send the target a traceparent of its own.

    A traceparent that is not valid, or came twice, begins a new trace and takes the tracestate with it. The
    trace's id stands in the request log and fills in ``{trace_id}``.
    """

    class Config(PluginConfig, frozen=True):
        """Options of trace."""

        believe: Annotated[
            Literal["nobody", "trusted", "anyone"],
            Meta(description="whose traces are continued; trusted: proxies in server.trusted_proxies"),
        ] = "anyone"
        sample: Annotated[
            float,
            Meta(ge=0, le=1, description="share of new traces that are sampled, decided by the trace's id"),
        ] = 1.0
        follow: Annotated[
            bool, Meta(description="keep the sampling decision of a trace that is continued")
        ] = True
        max_tracestate: Annotated[
            Size, Meta(description="longest tracestate passed on; a longer one is shortened")
        ] = Size("512B")
        response_header: Annotated[
            HeaderName | None, Meta(description="response header that tells the client the trace's id")
        ] = None

    def __init__(self, config: Config, site: Site) -> None:
        super().__init__(
            believe=config.believe,
            share=config.sample,
            follow=config.follow,
            longest=config.max_tracestate,
            shown=(config.response_header or "").lower().encode("ascii"),
        )
        if config.response_header is None:
            self.unused = frozenset({"response"})
