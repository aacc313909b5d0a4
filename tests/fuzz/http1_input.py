"""One input of the HTTP/1.x fuzz target: a letter for the parser, a digit for its limits, the message."""

from tests.oracles.agreement import check_chunked, check_head, check_path

GET, HEAD = 1, 2
HEAD_LIMITS = ((8192, 32768, 128), (30, 60, 3), (20, 150, 2), (100, 300, 10))
CHUNKED_LIMITS = ((4096, 8192), (20, 40), (0, 0), (5, 100))


def check(data: bytes) -> None:
    """Check one input."""
    kind, digit, message = data[:1], sum(data[1:2]), data[2:]
    if kind == b"q":
        check_head(message, limits=HEAD_LIMITS[digit % 4])
    elif kind == b"r":
        check_head(message, GET, HEAD_LIMITS[digit % 4])
    elif kind == b"h":
        check_head(message, HEAD, HEAD_LIMITS[digit % 4])
    elif kind == b"c":
        step = 1 + digit // 4
        check_chunked(message, range(step, len(message), step), *CHUNKED_LIMITS[digit % 4])
    else:
        check_path(message)
