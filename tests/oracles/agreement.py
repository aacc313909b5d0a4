"""What must hold for any bytes at all: the compiled parsers agree with their oracles however the bytes come.

For each parser: the verdict and everything found are the oracle's; nothing outside the buffer is read; the
verdict for every prefix is "more" or the final one; the search for a head's end never holds a verdict back;
what was accepted means the same once it is written out and parsed again. Called by the tests of the parsers
and by the fuzz target.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from core._fast.chunked import ChunkedDecoder
from core._fast.head import find_ends, read_request, read_response
from core._fast.headers import FieldFlag, Headers
from core._fast.path import normalise
from tests.oracles import chunked as chunked_oracle
from tests.oracles import head as head_oracle
from tests.oracles import path as path_oracle
from tests.oracles.guarded import GuardedMemory

Limits = tuple[int, int, int]  # bytes of the start line, bytes of the header block, number of fields
DEFAULT: Limits = (8192, 32768, 128)
Found = dict[str, Any]  # what a head says, by name
guarded = GuardedMemory()


def parse(data: bytes | memoryview, response_to: int | None, limits: Limits) -> tuple[int, Found, Headers]:
    """Run the compiled parser: on a response to that method, or on a request."""
    line, block, count = limits
    if response_to is None:
        return read_request(data, request_line=line, header_block=block, header_count=count)
    return read_response(data, response_to, request_line=line, header_block=block, header_count=count)


def expect(data: bytes, response_to: int | None, limits: Limits) -> head_oracle.Result | int:
    """Run the oracle; return 0 or a negated problem as the compiled parser does."""
    try:
        if response_to is None:
            return head_oracle.read_request(data, limits)
        return head_oracle.read_response(data, response_to, limits)
    except head_oracle.RefusedError as refused:
        return -refused.problem
    except head_oracle.MoreNeededError:
        return 0


def check_head(data: bytes, response_to: int | None = None, limits: Limits = DEFAULT) -> int:
    """Check everything about a head (and what may follow it); return the verdict."""
    verdict, found, headers = parse(guarded.before_the_end(data), response_to, limits)
    items = headers.items()
    expected = expect(data, response_to, limits)
    if isinstance(expected, int):
        assert verdict == expected, f"verdict {verdict}, oracle {expected}: {data!r}"
    else:
        assert verdict == expected.consumed, f"verdict {verdict}, oracle accepts: {data!r}"
        assert items == expected.fields
        wanted = asdict(expected)
        for inside in ("fields", "options", "consumed"):
            del wanted[inside]
        assert found == wanted
        check_flags(headers, expected)
        check_written_anew(found, items, response_to, limits)
    again, found_again, headers_again = parse(guarded.after_the_start(data), response_to, limits)
    assert (again, found_again) == (verdict, found)
    assert verdict <= 0 or headers_again.items() == items
    check_prefixes(data, verdict, response_to, limits)
    check_search(data, verdict, response_to, limits)
    return verdict


def check_flags(headers: Headers, expected: head_oracle.Result) -> None:
    """Check what is said about each field."""
    for name, _ in expected.fields:
        flags = headers.flags(name)
        hop = name.lower() in head_oracle.HOP_BY_HOP or head_oracle.is_named_by_connection(name, expected)
        assert bool(flags & FieldFlag.FIELD_HOP_BY_HOP) == hop, name
        assert bool(flags & FieldFlag.FIELD_UNDERSCORE) == (b"_" in name), name
        framing = name.lower() in (b"content-length", b"transfer-encoding")
        assert bool(flags & FieldFlag.FIELD_FRAMING) == framing, name


def check_written_anew(
    found: Found, items: list[tuple[bytes, bytes]], response_to: int | None, limits: Limits
) -> None:
    """Check that an accepted head, written out, is read as the same message."""
    if response_to is None:
        start = b"%b %b HTTP/1.%d\r\n" % (found["method"], found["target"], found["minor"])
    else:
        reason = b"" if found["reason"] is None else b" " + found["reason"]
        start = b"HTTP/1.%d %d%b\r\n" % (found["minor"], found["status"], reason)
    written = start + b"".join(b"%b: %b\r\n" % pair for pair in items) + b"\r\n"
    # A space after each colon may not have been there, so the block may be larger than the limit allowed.
    roomy = (limits[0], limits[1] + len(items), limits[2])
    verdict, found_again, headers = parse(written, response_to, roomy)
    assert verdict == len(written)
    assert found_again == found
    assert headers.items() == items


def check_prefixes(data: bytes, verdict: int, response_to: int | None, limits: Limits) -> None:
    """Check that a verdict never changes when more bytes come."""
    decided = False
    for size in prefix_sizes(len(data)):
        early = parse(data[:size], response_to, limits)[0]
        assert early in ((verdict,) if decided else (0, verdict)), (
            f"{early} after {size} bytes, then {verdict}"
        )
        decided = decided or early != 0


def check_search(data: bytes, verdict: int, response_to: int | None, limits: Limits) -> None:
    """Check that the search for the head's end finds it, and is never silent when the parser has to speak."""
    line, block, count = limits
    sizes = list(prefix_sizes(len(data)))
    if verdict > 0 and verdict not in sizes:
        sizes = sorted([*sizes, verdict])
    ends = find_ends(data, sizes, request_line=line, header_block=block, header_count=count)
    for size, end in zip(sizes, ends, strict=True):
        if end:
            assert parse(data[:size], response_to, limits)[0] == verdict != 0
            assert verdict < 0 or end == verdict
            break
        assert verdict <= 0 or size < verdict


def prefix_sizes(size: int, most: int = 600) -> Iterable[int]:
    """Return all sizes of a prefix, or the first and last ones of long data."""
    return range(size + 1) if size <= most else [*range(most // 2), *range(size - most // 2, size + 1)]


def check_chunked(
    data: bytes, cuts: Iterable[int] = (), extension_bytes: int = 4096, trailer_bytes: int = 8192
) -> int:
    """Check a body in one piece, cut at these places, and byte by byte; return the verdict."""
    expected = chunked_oracle.decode(data, extension_bytes, trailer_bytes)
    places = sorted({cut for cut in cuts if 0 < cut < len(data)})
    for edges in ([], places, list(range(1, len(data)))):
        decoder = ChunkedDecoder(extension_bytes, trailer_bytes)
        body = b""
        consumed, problem, done = 0, None, False
        for start, end in zip([0, *edges], [*edges, len(data)], strict=True):
            piece, verdict, done = decoder.decode(guarded.before_the_end(data[start:end]))
            body += piece
            if verdict < 0:
                problem = -verdict
                break
            consumed += verdict
            if done:
                break
        assert problem == expected.problem, data
        assert done == expected.done
        assert body == bytes(expected.body)
        if problem is None:
            assert consumed == expected.consumed
        trailers = decoder.fields
        assert (trailers.items() if trailers is not None else []) == expected.trailers
    return -expected.problem if expected.problem is not None else expected.consumed


def check_path(path: bytes) -> bytes | int:
    """Check the normal form of a path; return it or the problem."""
    normal = normalise(guarded.before_the_end(path))
    problems = path_oracle.problems(path)
    if isinstance(normal, int):
        assert normal in problems, f"refused for {normal}, oracle {problems}: {path!r}"
        return normal
    assert not problems, f"accepted, oracle {problems}: {path!r}"
    assert normal == path_oracle.normalise(path)
    assert len(normal) <= len(path)
    assert normalise(normal) == normal
    return normal
