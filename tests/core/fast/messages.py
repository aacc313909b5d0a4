"""Hypothesis strategies: well-formed HTTP/1.x messages and paths, and what an attacker makes of them."""

from hypothesis import strategies as st

METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"PURGE", b"get")
HOSTS = (
    b"example.test",
    b"Example.Test:8080",
    b"127.0.0.1",
    b"[::1]",
    b"[2001:db8::1]:443",
    b"a_b.test",
    b"x",
)
TARGETS = (b"/", b"/markets/17?limit=5", b"/?", b"/a//b/../c", b"/%7euser/%2F", b"*", b"/" + b"x" * 40)
NAMES = (
    b"Accept",
    b"Cookie",
    b"X-Request-Id",
    b"x-forwarded-for",
    b"X_Forwarded_For",
    b"X-Consumer-Name",
    b"Keep-Alive",
    b"TE",
    b"Upgrade",
    b"Connection",
    b"X-Custom",
    b"Another",
    b"a",
    b"If-Modified-Since",
    b"Sec-WebSocket-Extensions",
    b"Authorization",
)
VALUES = (
    b"",
    b"close",
    b"keep-alive",
    b"Upgrade, X-Custom",
    b"x-custom, another , host,content-length, x-forwarded-for",
    b"trailers, deflate;q=0.5",
    b"websocket",
    b"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
    b"\xc3\xa9t\xe9",
    b"a\tb  c",
    b"v" * 70,
)
BREAKERS = (
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b"\0",
    b" ",
    b"\t",
    b"\x0b",
    b"\x7f",
    b"\x85",
    b"\xa0",
    b":",
    b",",
    b";",
    b"_",
    b"#",
    b"?",
    b"*",
    b"/",
    b"%",
    b"\\",
    b"0",
    b"5",
    b"f",
    b"1.0",
    b"http://example.test",
    b"chunked",
    b"Host: example.test\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: +5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close, upgrade\r\n",
)

spaces = st.sampled_from((b"", b" ", b"\t", b"  \t "))
fields = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=6)
framing = st.sampled_from(
    (
        [],
        [(b"Content-Length", b"5")],
        [(b"content-length", b"0"), (b"Content-Length", b"0")],
        [(b"Transfer-Encoding", b"chunked")],
        [(b"TRANSFER-ENCODING", b"Chunked")],
        [(b"Expect", b"100-Continue"), (b"Content-Length", b"9223372036854775807")],
    )
)
rest = st.sampled_from((b"", b"hello", b"GET / HTTP/1.1\r\n\r\n", b"\r\n", b"\0" * 20))


@st.composite
def blocks(draw: st.DrawFn, first: list[tuple[bytes, bytes]]) -> bytes:
    """A header block with these fields among others, and its blank line."""
    pairs = draw(st.permutations(first + draw(framing) + draw(fields)))
    lines = [b"%b:%b%b%b\r\n" % (name, draw(spaces), value, draw(spaces)) for name, value in pairs]
    return b"".join(lines) + b"\r\n"


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request head, in any of the forms of a target, and some bytes that follow."""
    method = draw(st.sampled_from(METHODS))
    host = draw(st.sampled_from(HOSTS))
    target = draw(st.sampled_from(TARGETS))
    if draw(st.booleans()):
        target = b"http://" + draw(st.sampled_from((host, host.upper()))) + target.replace(b"*", b"")
    elif target == b"*":
        method = b"OPTIONS"
    version = draw(st.sampled_from((b"1", b"1", b"0")))
    start = draw(st.sampled_from((b"", b"", b"\r\n")))
    block = draw(blocks([(draw(st.sampled_from((b"Host", b"HOST"))), host)]))
    return start + b"%b %b HTTP/1.%b\r\n" % (method, target, version) + block + draw(rest)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """A response head and some bytes that follow."""
    status = draw(st.sampled_from((b"100", b"101", b"103", b"200", b"204", b"304", b"404", b"599")))
    reason = draw(st.sampled_from((b" OK", b" ", b"", b" Not Found \xe9")))
    version = draw(st.sampled_from((b"1", b"1", b"0")))
    return b"HTTP/1.%b %b%b\r\n" % (version, status, reason) + draw(blocks([])) + draw(rest)


@st.composite
def chunked_bodies(draw: st.DrawFn) -> bytes:
    """A chunked body with extensions and trailers, and some bytes that follow."""
    extensions = st.sampled_from((b"", b"", b";a", b';a="b c"', b"; \xe9=\t1", b";" + b"e" * 30))
    out = bytearray()
    for data in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5)):
        size = draw(st.sampled_from((b"%x", b"%X", b"00%x"))) % len(data)
        out += size + draw(extensions) + b"\r\n" + data + b"\r\n"
    out += draw(st.sampled_from((b"0", b"000"))) + draw(extensions) + b"\r\n"
    trailers = st.sampled_from(
        (b"X-Sum: 1\r\n", b"Host: a\r\n", b"Content-Length: 3\r\n", b"a_b: \r\n", b"ETag: e\r\n")
    )
    return bytes(out) + b"".join(draw(st.lists(trailers, max_size=3))) + b"\r\n" + draw(rest)


def hosts() -> st.SearchStrategy[bytes]:
    """Texts that look like a host with a port."""
    pieces = st.sampled_from(
        (
            b"[",
            b"]",
            b":",
            b"::",
            b".",
            b"1",
            b"0",
            b"255",
            b"256",
            b"ffff",
            b"fe80",
            b"a.test",
            b"80",
            b"65535",
            b"%",
        )
    )
    return st.lists(pieces, max_size=9).map(b"".join) | st.ip_addresses(v=6).map(
        lambda address: b"[%b]" % str(address).encode()
    )


def paths() -> st.SearchStrategy[bytes]:
    """Paths made of pieces that normalising cares about."""
    pieces = st.sampled_from(
        (
            b"/",
            b"//",
            b".",
            b"..",
            b"/../",
            b"/./",
            b"%2e",
            b"%2E%2e",
            b"%2f",
            b"%5C",
            b";",
            b"..;",
            b"%3b",
            b"a",
            b"Bc",
            b"%7E",
            b"%41",
            b"%c3%a9",
            b"%E2%82%AC",
            b"%F0%9F%98%80",
            b"~x",
            b"markets",
            b":",
            b"@",
        )
    )
    return st.lists(pieces, max_size=12).map(lambda parts: b"/" + b"".join(parts))


@st.composite
def broken(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """A message with a few bytes put in, taken out, replaced, or a line doubled."""
    message = draw(messages)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(message)))
        until = min(len(message), at + draw(st.integers(0, 3)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            message = message[:at] + message[until:]
        elif kind == 1:
            lines = message.split(b"\r\n")
            line = draw(st.integers(0, len(lines) - 1))
            message = b"\r\n".join([*lines[: line + 1], *lines[line:]])
        else:
            put = draw(st.one_of(st.sampled_from(BREAKERS), st.binary(min_size=1, max_size=2)))
            message = message[:at] + put + message[until if kind == 2 else at :]
    return message
