"""`agora requests [FILE]`: show the exchanges that gateways have logged, filtered, and follow new ones.

What clients sent is shown with control characters escaped: a log must not drive the terminal of its reader.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.terminal import print_error, print_line, print_record, print_table

if TYPE_CHECKING:
    from core.request_log import Page, Record, RequestLogReader, RequestQuery

DIRECTORY = "requests"  # in the data directory
PAGE = 1000  # records read at once
HEADINGS = ("time", "status", "method", "url", "took", "route", "target", "client", "consumer", "problem")
STYLES = {0: "magenta", 4: "yellow", 5: "red"}  # by the first digit of the status


def requests(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Configuration whose data_dir holds the log.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", metavar="DIR", help="Data directory, in place of FILE.")
    ] = None,
    status: Annotated[str, typer.Option(help="404, 5xx or 400-499.")] = "",
    method: Annotated[str, typer.Option(help="GET, POST, ...")] = "",
    path: Annotated[str, typer.Option(help="What the path begins with.")] = "",
    host: Annotated[str, typer.Option(help="Host as the client named it.")] = "",
    route: Annotated[str, typer.Option(help="Name of a route.")] = "",
    upstream: Annotated[str, typer.Option(help="Name of an upstream.")] = "",
    client: Annotated[str, typer.Option(help="Address of a client.")] = "",
    consumer: Annotated[str, typer.Option(help="Name of a consumer.")] = "",
    request_id: Annotated[str, typer.Option("--request-id", "--id", help="Request id.")] = "",
    trace_id: Annotated[str, typer.Option("--trace-id", help="W3C trace id.")] = "",
    problem: Annotated[str, typer.Option(help="What went wrong, such as rate-limited.")] = "",
    slower: Annotated[
        str, typer.Option("--min-duration", "--slower", help="Least duration: 250ms, 1.5s.")
    ] = "",
    since: Annotated[str, typer.Option(help="15m, 2h, 7d ago, or a time: 2031-05-01 12:30.")] = "",
    until: Annotated[str, typer.Option(help="Like --since.")] = "",
    number: Annotated[
        int, typer.Option("--number", "-n", min=0, help="How many, the newest; 0: all there are.")
    ] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new ones as they come.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON document a line, for programs.")
    ] = False,
) -> None:
    """Show logged exchanges, oldest first; every filter that is given must fit."""
    from core.request_log import RequestLogReader

    query = _query(
        {
            "method": method.upper(), "path_prefix": path, "host": host, "route": route, "upstream": upstream,
            "client": client, "consumer": consumer, "request_id": request_id, "trace_id": trace_id,
            "problem": problem,
        },
        status, slower, since, until,
    )  # fmt: skip
    show = _show_json if as_json else _show_records if follow else _show_table
    with RequestLogReader.open(_log_directory(file, data_dir)) as reader:
        end = reader.range()[1]
        show(_report(_pages(reader, query, number, end)))
        if follow:
            show(_report(reader.follow(query, after=end)))


def _query(texts: dict[str, str], status: str, slower: str, since: str, until: str) -> RequestQuery:
    """Make the query of the words on the command line."""
    import time

    from core.request_log import QueryInvalid, RequestQuery
    from core.request_log.query import ANY_STATUS, parse_duration, parse_status, parse_time

    now_ns = time.time_ns()
    try:
        return RequestQuery(
            **texts,
            status=parse_status(status) if status else ANY_STATUS,
            min_duration_ns=parse_duration(slower) if slower else 0,
            since_ns=parse_time(since, now_ns) if since else 0,
            until_ns=parse_time(until, now_ns) if until else 0,
        )
    except QueryInvalid as error:
        raise typer.BadParameter(str(error)) from None


def _log_directory(file: Path | None, data_dir: Path | None) -> Path:
    if (file is None) == (data_dir is None):
        raise typer.BadParameter("give either FILE, the gateway's configuration, or --data-dir")
    if file is not None:
        from gateway.config import load

        data_dir = load(file).server.data_dir
    assert data_dir is not None
    return data_dir / DIRECTORY


def _pages(reader: RequestLogReader, query: RequestQuery, number: int, end: int) -> Iterator[Page]:
    """Yield the newest records up to ``end``, oldest first: so many, or with 0 all."""
    if number:
        page = reader.read(query, after=end + 1, limit=number, reverse=True)
        page.records.reverse()
        page.damaged.reverse()
        yield page
        return
    after, more = 0, True
    while more and after < end:
        page = reader.read(query, after=after, limit=PAGE)
        page.records = [record for record in page.records if record.sequence <= end]
        after, more = page.after, page.more
        yield page


def _report(pages: Iterator[Page]) -> Iterator[list[Record]]:
    """Yield the records of pages; say on stderr what is missing from them."""
    for page in pages:
        for damage in page.damaged:
            first = f"{damage.first} to " if damage.first else "up to "
            print_error(f"records {first}{damage.last} are damaged: their block {damage.reason}")
        if page.dropped:
            print_error(f"{page.dropped} records were not logged here: the disk did not keep up")
        yield page.records


def _show_json(pages: Iterator[list[Record]]) -> None:
    from core.request_log.record import json_line

    for records in pages:
        sys.stdout.buffer.write(b"".join(json_line(record) + b"\n" for record in records))
        sys.stdout.buffer.flush()


def _show_table(pages: Iterator[list[Record]]) -> None:
    """Print a table on a terminal, else lines as they are read."""
    if sys.stdout.isatty():
        print_table(HEADINGS, [_cells(record) for records in pages for record in records])
    else:
        _show_records(pages)


def _show_records(pages: Iterator[list[Record]]) -> None:
    """Print a line for each record at once."""
    for records in pages:
        for record in records:
            if sys.stdout.isatty():
                print_line(_line(record), STYLES.get(record.status // 100, ""))
            else:
                print_record(_columns(record))
        sys.stdout.flush()


def _cells(record: Record) -> tuple[str, ...]:
    """Return what a person sees of a record, in the order of HEADINGS."""
    time = record.time.astimezone().isoformat(sep=" ", timespec="milliseconds")[:23]
    url = record.host + record.path + "?" * bool(record.query) + record.query
    texts = (record.route, record.target, record.client, record.consumer, record.problem)
    cells = (
        time,
        str(record.status or "-"),
        record.method,
        url,
        f"{record.duration_ns / 1e6:.2f} ms",
        *texts,
    )
    return tuple(map(printable, cells))


def _line(record: Record) -> str:
    time, status, method, url, took, *rest = _cells(record)
    return f"{time} {status:>3} {method:<7} {took:>10}  {url}  {' '.join(filter(None, rest))}"


def _columns(record: Record) -> tuple[str, ...]:
    """Return the columns of a line in a pipe; "-" stands for what is unknown."""
    upstream_ns = record.upstream_ns
    columns = (
        record.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        str(record.status),
        record.method,
        record.host,
        record.path,
        record.query,
        f"{record.duration_ns / 1e6:.3f}",
        "" if upstream_ns is None else f"{upstream_ns / 1e6:.3f}",
        str(record.bytes_in),
        str(record.bytes_out),
        record.route,
        record.target,
        record.client,
        record.consumer,
        record.request_id,
        record.problem,
    )
    return tuple(printable(column) or "-" for column in columns)


def printable(text: str) -> str:
    """Return a text with everything escaped that is not printed as itself."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
