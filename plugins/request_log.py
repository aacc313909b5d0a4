"""The request-log plugin: every exchange in a durable, bounded log."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, ClassVar, Self

from msgspec import Meta

from core._fast.record import RecordBuffer
from core._fast.recorder import Recorder
from core.decode import Decoder, FieldInvalid
from core.describe import describe_value
from core.plugin import Plugin, PluginConfig
from core.request_log import RequestLog, RequestLogOptions
from core.site import Site
from core.units import Duration, Size

DIRECTORY = "requests"  # in the data directory
STANDARD_OUTPUT = "stdout"
SMALLEST_LOG, SMALLEST_BUFFER = Size("1MiB"), Size("128KiB")


class LinesTo(str):
    """Be where JSON lines go: "stdout" or a file."""

    __slots__ = ()
    noun: ClassVar[str] = "file, or stdout"
    json_schema: ClassVar[dict[str, Any]] = {"type": "string", "examples": ["stdout", "requests.jsonl"]}

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode a destination; a file's path is relative to the configuration's folder."""
        if not isinstance(value, str) or not value or "\0" in value:
            raise FieldInvalid(f'must be "stdout" or a file, not {describe_value(value)}')
        return cls(value if value == STANDARD_OUTPUT else decoder.folder / value)


class RequestLogging(Recorder, Plugin):
    """Log each exchange: in a log on disk that `agora requests` reads, and as JSON lines if asked.

    It is written in batches off the request path, and its oldest records go when it reaches a bound. All
    routes of a gateway share one log; where they set different bounds, those that were read last count. Put
    it on every route or on single ones, not on both: an exchange is logged once for each.
    """

    class Config(PluginConfig, frozen=True):
        """Options of request-log."""

        sample: Annotated[
            float, Meta(ge=0, le=1, description="share of exchanges that is logged, by the trace's id")
        ] = 1.0
        failures: Annotated[
            bool, Meta(description="log all that failed or were refused, whatever the share")
        ] = True
        queries: Annotated[
            bool, Meta(description="log queries too; they often hold tokens and personal data")
        ] = False
        max_bytes: Annotated[Size, Meta(description="disk in use, at least 1MiB")] = Size("512MiB")
        max_records: Annotated[int, Meta(ge=0, description="records kept; 0: no bound of their own")] = 0
        max_age: Annotated[Duration, Meta(description="how long records are kept; 0: for ever")] = Duration(
            "30d"
        )
        flush_interval: Annotated[
            Duration, Meta(description="longest wait for the disk, from 10ms to 60s")
        ] = Duration("200ms")
        buffer: Annotated[
            Size, Meta(description="memory for what is not yet written, at least 128KiB; more is lost")
        ] = Size("16MiB")
        lines: Annotated[LinesTo | None, Meta(description='JSON lines besides: "stdout", or a file')] = None

        def __post_init__(self) -> None:
            if self.max_bytes < SMALLEST_LOG:
                raise FieldInvalid(f"must be at least {SMALLEST_LOG}", "", "max_bytes")
            if self.buffer < SMALLEST_BUFFER:
                raise FieldInvalid(f"must be at least {SMALLEST_BUFFER}", "", "buffer")
            if not 0.01 <= self.flush_interval <= 60:
                raise FieldInvalid("must be from 10ms to 60s", "", "flush_interval")

    config: Config

    def __init__(self, config: Config, site: Site) -> None:
        self.config = config
        self.site = site
        self.request_log: RequestLog | None = None
        # NOTE: `log` is bound before open(); until then there is nothing to log into.
        self.attach(RecordBuffer(SMALLEST_BUFFER))

    def attach(self, buffer: RecordBuffer) -> None:
        """Log into a buffer from now on."""
        Recorder.__init__(self, buffer, self.config.sample, self.config.failures, queries=self.config.queries)

    async def open(self) -> None:
        """Open the log of the data directory; raise RequestLogUnwritable."""
        config = self.config
        options = RequestLogOptions(
            max_bytes=config.max_bytes,
            max_records=config.max_records,
            max_age=config.max_age,
            flush_interval=config.flush_interval,
            buffer_bytes=config.buffer,
            lines=config.lines or "",
        )
        directory = self.site.data_dir / DIRECTORY
        self.request_log = await asyncio.to_thread(
            RequestLog.open, directory, options, worker=self.site.worker
        )
        self.attach(self.request_log.buffer)

    async def close(self) -> None:
        """Give the log up; the last one to do so brings what is left to the disk."""
        if self.request_log is not None:
            log, self.request_log = self.request_log, None
            await asyncio.to_thread(log.close)
