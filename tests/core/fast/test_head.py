"""Request and response heads: what is understood, what is refused and with which code."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core._fast import head as head_module
from core._fast.head import PROBLEMS, Method, ParseProblem, find_ends, read_request, read_response
from tests.core.fast import messages
from tests.oracles.agreement import DEFAULT, check_head

P = ParseProblem
TIGHT = st.sampled_from((DEFAULT, DEFAULT, (30, 60, 3), (20, 150, 2)))
more_examples = settings(max_examples=400, deadline=None)


def request(
    *lines: bytes, start: bytes = b"GET / HTTP/1.1", host: bytes | None = b"Host: example.test"
) -> bytes:
    """Return a request head with these lines."""
    return b"\r\n".join([start, *([] if host is None else [host]), *lines, b"", b""])


def response(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """Return a response head with these lines."""
    return b"\r\n".join([start, *lines, b"", b""])


def refusal(data: bytes) -> str:
    """Return the slug of the problem for which a request is refused, by parser and oracle alike."""
    verdict = check_head(data)
    assert verdict < 0
    return PROBLEMS[-verdict][1]


def found(data: bytes) -> dict[str, Any]:
    """Return what an accepted request says."""
    assert check_head(data) > 0
    return read_request(data)[1]


def answered(data: bytes, method: int = Method.M_GET) -> dict[str, Any]:
    """Return what an accepted response says."""
    assert check_head(data, method) > 0
    return read_response(data, method)[1]


def test_the_compiled_module_is_the_one_loaded() -> None:
    assert head_module.__file__.endswith(".so")


def test_every_problem_has_a_status_a_slug_and_a_title_of_its_own() -> None:
    codes = set(P) - {P.P_NONE, P.P_COUNT}
    assert set(PROBLEMS) == codes
    assert len({slug for _, slug, _ in PROBLEMS.values()}) == len(codes)
    assert len({title for _, _, title in PROBLEMS.values()}) == len(codes)
    assert all(400 <= status <= 505 for status, _, _ in PROBLEMS.values())


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (P.P_REQUEST_LINE_TOO_LONG, 414),
        (P.P_HEADERS_TOO_LARGE, 431),
        (P.P_HEADERS_TOO_MANY, 431),
        (P.P_VERSION_UNSUPPORTED, 505),
        (P.P_EXPECTATION_UNKNOWN, 417),
        (P.P_TRANSFER_ENCODING_UNKNOWN, 501),
        (P.P_FRAMING_AMBIGUOUS, 400),
    ],
)
def test_problems_have_the_status_of_their_rfc(code: ParseProblem, status: int) -> None:
    assert PROBLEMS[code][0] == status


@more_examples
@given(messages.requests(), TIGHT)
def test_well_formed_requests_mean_what_the_oracle_says(data: bytes, limits: tuple[int, int, int]) -> None:
    check_head(data, limits=limits)


@more_examples
@given(messages.broken(messages.requests()), TIGHT)
def test_broken_requests_are_judged_as_the_oracle_does(data: bytes, limits: tuple[int, int, int]) -> None:
    check_head(data, limits=limits)


@more_examples
@given(messages.responses(), st.sampled_from((Method.M_GET, Method.M_HEAD, Method.M_CONNECT)))
def test_well_formed_responses_mean_what_the_oracle_says(data: bytes, method: Method) -> None:
    check_head(data, method)


@more_examples
@given(messages.broken(messages.responses()), st.sampled_from((Method.M_GET, Method.M_HEAD)), TIGHT)
def test_broken_responses_are_judged_as_the_oracle_does(
    data: bytes, method: Method, limits: tuple[int, int, int]
) -> None:
    check_head(data, method, limits)


@more_examples
@given(messages.hosts())
def test_hosts_are_judged_as_the_oracle_does(host: bytes) -> None:
    check_head(request(b"Host: " + host, host=None))


@pytest.mark.parametrize(
    "template",
    [
        b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /@ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a@/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.@\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1@\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r@Host: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nFo@o: bar\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n@Foo: bar, a value of more than sixteen bytes\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA-Name-Longer-Than-Sixteen@: bar\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nFoo: a value of more@ than sixteen bytes\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1@2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked@\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r@",
    ],
)
def test_every_byte_in_every_place_is_judged_as_the_oracle_does(template: bytes) -> None:
    for byte in range(256):
        check_head(template.replace(b"@", bytes([byte])))


# What went wrong elsewhere: each line was accepted by some server or proxy, and became a way in.
ATTACKS = [
    ("both lengths", request(b"Content-Length: 6", b"Transfer-Encoding: chunked"), "framing-ambiguous"),
    (
        "both lengths, other order",
        request(b"Transfer-Encoding: chunked", b"Content-Length: 6"),
        "framing-ambiguous",
    ),
    ("chunked with a vertical tab", request(b"Transfer-Encoding: \x0bchunked"), "header-value-character"),
    ("chunked with a form feed", request(b"Transfer-Encoding: chunked\x0c"), "header-value-character"),
    ("chunked with NUL", request(b"Transfer-Encoding: chunked\0"), "header-value-character"),
    (
        "chunked in a list with nothing",
        request(b"Transfer-Encoding: ,chunked"),
        "transfer-encoding-malformed",
    ),
    ("chunked, nothing", request(b"Transfer-Encoding: chunked,"), "transfer-encoding-malformed"),
    ("xchunked", request(b"Transfer-Encoding: xchunked"), "transfer-encoding-malformed"),
    ("chunked twice in one", request(b"Transfer-Encoding: chunked, chunked"), "transfer-encoding-malformed"),
    (
        "chunked in two fields",
        request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        "transfer-encoding-repeated",
    ),
    ("chunked not last", request(b"Transfer-Encoding: chunked, gzip"), "transfer-encoding-malformed"),
    ("identity", request(b"Transfer-Encoding: identity"), "transfer-encoding-malformed"),
    ("identity, chunked", request(b"Transfer-Encoding: identity, chunked"), "transfer-encoding-malformed"),
    ("gzip, chunked", request(b"Transfer-Encoding: gzip, chunked"), "transfer-encoding-unknown"),
    ("gzip alone", request(b"Transfer-Encoding: gzip"), "transfer-encoding-malformed"),
    ("chunked with a parameter", request(b"Transfer-Encoding: chunked;q=1"), "transfer-encoding-malformed"),
    ("quoted chunked", request(b'Transfer-Encoding: "chunked"'), "transfer-encoding-malformed"),
    ("empty coding", request(b"Transfer-Encoding:"), "transfer-encoding-malformed"),
    ("coding in brackets of NBSP", request(b"Transfer-Encoding: \xa0chunked"), "transfer-encoding-malformed"),
    ("space before colon", request(b"Transfer-Encoding : chunked"), "header-name-space"),
    ("tab before colon", request(b"Content-Length\t: 5"), "header-name-space"),
    ("folded coding", request(b"Transfer-Encoding:", b" chunked"), "transfer-encoding-malformed"),
    ("folded with a tab", request(b"X-A: b", b"\tTransfer-Encoding: chunked"), "header-folded"),
    (
        "coding in 1.0",
        request(b"Transfer-Encoding: chunked", start=b"GET / HTTP/1.0"),
        "transfer-encoding-version",
    ),
    ("plus", request(b"Content-Length: +5"), "content-length-malformed"),
    ("minus", request(b"Content-Length: -5"), "content-length-malformed"),
    ("minus zero", request(b"Content-Length: -0"), "content-length-malformed"),
    ("underscore", request(b"Content-Length: 1_000"), "content-length-malformed"),
    ("hexadecimal", request(b"Content-Length: 0x5"), "content-length-malformed"),
    ("octal", request(b"Content-Length: 0o5"), "content-length-malformed"),
    ("trailing letter", request(b"Content-Length: 1Z"), "content-length-malformed"),
    ("fraction", request(b"Content-Length: 5.0"), "content-length-malformed"),
    ("inner space", request(b"Content-Length: 5 6"), "content-length-malformed"),
    ("empty length", request(b"Content-Length:"), "content-length-malformed"),
    ("blank length", request(b"Content-Length: \t "), "content-length-malformed"),
    ("list of lengths", request(b"Content-Length: 5, 5"), "content-length-malformed"),
    ("list with a difference", request(b"Content-Length: 5, 6"), "content-length-malformed"),
    ("superscript digit", request(b"Content-Length: \xb2"), "content-length-malformed"),
    ("arabic digits", request("Content-Length: ٥".encode()), "content-length-malformed"),
    ("2 ** 63", request(b"Content-Length: 9223372036854775808"), "content-length-overflow"),
    ("2 ** 64 + 5", request(b"Content-Length: 18446744073709551621"), "content-length-overflow"),
    ("differing lengths", request(b"Content-Length: 5", b"Content-Length: 6"), "content-length-conflict"),
    ("empty name", request(b": x"), "header-name-empty"),
    ("no colon", request(b"Transfer-Encoding chunked"), "header-name-space"),
    ("no colon at all", request(b"chunked"), "header-no-colon"),
    ("NUL in a name", request(b"Content-Length\0: 5"), "header-name-malformed"),
    ("NEL at the end of a name", request(b"Content-Length\x85: 5"), "header-name-malformed"),
    ("NBSP at the start of a name", request(b"\xa0Content-Length: 5"), "header-name-malformed"),
    ("name in quotes", request(b'"Host": a'), "header-name-malformed"),
    ("leading space", request(start=b"GET / HTTP/1.1\r\n X: y"), "headers-leading-space"),
    ("bare LF in a line", request(b"X-A: b\nTransfer-Encoding: chunked"), "bare-lf"),
    ("bare CR in a line", request(b"X-A: b\rTransfer-Encoding: chunked"), "bare-cr"),
    ("bare LF for all", request().replace(b"\r", b""), "bare-lf"),
    ("bare CR for all", request().replace(b"\n", b""), "bare-cr"),
    ("CR CR LF", request(b"X: y\r"), "bare-cr"),
    ("bare LF for the blank line", request()[:-2] + b"\n", "bare-lf"),
    ("NUL in a value", request(b"X: a\0b"), "header-value-character"),
    ("escape in a value", request(b"X: \x1b[2J"), "header-value-character"),
    ("DEL in a value", request(b"X: a\x7f"), "header-value-character"),
    ("no host", request(host=None), "host-missing"),
    ("two hosts", request(b"Host: example.test"), "host-repeated"),
    ("two different hosts", request(b"hOST: other.test"), "host-repeated"),
    ("list of hosts", request(host=b"Host: a.test, b.test"), "host-malformed"),
    ("list of hosts without space", request(host=b"Host: a.test,b.test"), "host-malformed"),
    ("empty host", request(host=b"Host:"), "host-malformed"),
    ("user in the host", request(host=b"Host: user@a.test"), "host-malformed"),
    ("path in the host", request(host=b"Host: a.test/x"), "host-malformed"),
    ("query in the host", request(host=b"Host: a.test?x"), "host-malformed"),
    ("escape in the host", request(host=b"Host: a%2etest"), "host-malformed"),
    ("port with a letter", request(host=b"Host: a.test:8o"), "host-malformed"),
    ("port too large", request(host=b"Host: a.test:65536"), "host-malformed"),
    ("port of six digits", request(host=b"Host: a.test:000080"), "host-malformed"),
    ("port zero", request(host=b"Host: a.test:0"), "host-malformed"),
    ("port empty", request(host=b"Host: a.test:"), "host-malformed"),
    ("two ports", request(host=b"Host: a.test:80:80"), "host-malformed"),
    ("IPv6 without brackets", request(host=b"Host: ::1"), "host-malformed"),
    ("IPv6 with a zone", request(host=b"Host: [fe80::1%25eth0]"), "host-malformed"),
    ("brackets around a name", request(host=b"Host: [a.test]"), "host-malformed"),
    ("text after brackets", request(host=b"Host: [::1]x"), "host-malformed"),
    ("host too long", request(host=b"Host: " + b"a" * 256), "host-malformed"),
    ("other host than the target's", request(start=b"GET http://b.test/ HTTP/1.1"), "host-mismatch"),
    ("other host of the same length", request(start=b"GET http://example.tesu/ HTTP/1.1"), "host-mismatch"),
    ("other port than the target's", request(start=b"GET http://example.test:80/ HTTP/1.1"), "host-mismatch"),
    ("user in the target", request(start=b"GET http://u@example.test/ HTTP/1.1"), "target-authority"),
    (
        "backslash in the authority",
        request(start=b"GET http://example.test\\@b/ HTTP/1.1"),
        "target-authority",
    ),
    ("no authority", request(start=b"GET http:///x HTTP/1.1"), "target-authority"),
    ("foreign scheme", request(start=b"GET file:///etc/passwd HTTP/1.1"), "target-scheme"),
    ("javascript", request(start=b"GET javascript:alert HTTP/1.1"), "target-form"),
    ("no slash", request(start=b"GET admin HTTP/1.1"), "target-form"),
    ("query only", request(start=b"GET ?a HTTP/1.1"), "target-form"),
    ("at sign first", request(start=b"GET @b.test/x HTTP/1.1"), "target-form"),
    ("fragment", request(start=b"GET /a#b HTTP/1.1"), "target-fragment"),
    ("control in the target", request(start=b"GET /a\x01 HTTP/1.1"), "target-character"),
    ("tab in the target", request(start=b"GET /a\tb HTTP/1.1"), "target-character"),
    ("UTF-8 in the target", request(start=b"GET /\xc3\xa9 HTTP/1.1"), "target-character"),
    ("space in the target", request(start=b"GET /a b HTTP/1.1"), "version-malformed"),
    ("two spaces", request(start=b"GET  / HTTP/1.1"), "target-missing"),
    ("two spaces before the version", request(start=b"GET /  HTTP/1.1"), "version-malformed"),
    ("tab for a space", request(start=b"GET\t/ HTTP/1.1"), "method-malformed"),
    ("asterisk with GET", request(start=b"GET * HTTP/1.1"), "target-asterisk"),
    ("CONNECT to a path", request(start=b"CONNECT / HTTP/1.1"), "target-authority"),
    ("CONNECT without a port", request(start=b"CONNECT example.test HTTP/1.1"), "target-authority"),
    ("CONNECT to an address without a port", request(start=b"CONNECT [::1] HTTP/1.1"), "target-authority"),
    ("no version", request(start=b"GET /"), "version-missing"),
    ("HTTP/0.9", request(start=b"GET / HTTP/0.9"), "version-unsupported"),
    ("HTTP/1.2", request(start=b"GET / HTTP/1.2"), "version-unsupported"),
    ("HTTP/2.0", request(start=b"GET / HTTP/2.0"), "version-unsupported"),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "target-asterisk"),
    ("lower-case version", request(start=b"GET / http/1.1"), "version-malformed"),
    ("short version", request(start=b"GET / HTTP/1"), "version-malformed"),
    ("long version", request(start=b"GET / HTTP/1.10"), "version-malformed"),
    ("version with a space", request(start=b"GET / HTTP/1.1 "), "version-malformed"),
    ("other protocol", request(start=b"GET / RTSP/1.0"), "version-malformed"),
    ("leading space in the line", request(start=b" GET / HTTP/1.1"), "method-malformed"),
    ("method with a colon", request(start=b"GE:T / HTTP/1.1"), "method-malformed"),
    ("TLS to a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "method-malformed"),
    ("LF first", b"\n" + request(), "bare-lf"),
    ("two empty lines first", b"\r\n\r\n" + request(), "empty-lines"),
    ("unknown expectation", request(b"Expect: 200-ok"), "expectation-unknown"),
    ("expectation with more", request(b"Expect: 100-continue, x"), "expectation-unknown"),
    ("Connection that names too much", request(b"Connection: " + b"a," * 65), "connection-options"),
]


@pytest.mark.parametrize(("data", "slug"), [case[1:] for case in ATTACKS], ids=[case[0] for case in ATTACKS])
def test_refuses_what_others_let_through(data: bytes, slug: str) -> None:
    assert refusal(data) == slug


def test_reads_an_ordinary_request() -> None:
    data = request(b"Accept:*/*", b"X-Empty:", b"X-Spaces: \t a  b\t ", start=b"GET /a/b?c=d HTTP/1.1")
    verdict, said, headers = read_request(data + b"GET /next")
    assert verdict == len(data)
    assert said["method"] == b"GET"
    assert (said["target"], said["path"], said["query"]) == (b"/a/b?c=d", b"/a/b", b"c=d")
    assert (said["host"], said["minor"], said["content_length"]) == (b"example.test", 1, -1)
    assert said["keep_alive"] is True
    assert headers.items() == [
        (b"Host", b"example.test"),
        (b"Accept", b"*/*"),
        (b"X-Empty", b""),
        (b"X-Spaces", b"a  b"),
    ]


def test_skips_one_empty_line_before_a_request() -> None:
    assert read_request(b"\r\n" + request())[0] == len(request()) + 2


def test_tells_an_empty_query_from_none() -> None:
    assert found(request(start=b"GET /? HTTP/1.1"))["query"] == b""
    assert found(request(start=b"GET / HTTP/1.1"))["query"] is None


@pytest.mark.parametrize(
    ("start", "path", "query"),
    [
        (b"GET http://example.test HTTP/1.1", b"/", None),
        (b"GET HTTPS://EXAMPLE.test/a?b HTTP/1.1", b"/a", b"b"),
        (b"GET http://example.test?b HTTP/1.1", b"/", b"b"),
        (b"OPTIONS http://example.test HTTP/1.1", b"*", None),
        (b"OPTIONS * HTTP/1.1", b"*", None),
        (b"GET /http://other.test/ HTTP/1.1", b"/http://other.test/", None),
    ],
)
def test_takes_path_and_query_from_each_form_of_target(
    start: bytes, path: bytes, query: bytes | None
) -> None:
    said = found(request(start=start))
    assert (said["path"], said["query"]) == (path, query)
    assert said["host"].lower() == b"example.test"


def test_an_authority_form_target_has_a_host_and_no_path() -> None:
    said = found(request(start=b"CONNECT example.test:443 HTTP/1.1", host=b"Host: example.test:443"))
    assert (said["host"], said["path"]) == (b"example.test:443", None)


def test_http_1_0_may_come_without_a_host() -> None:
    assert found(request(start=b"GET / HTTP/1.0", host=None))["host"] is None


@pytest.mark.parametrize(
    ("version", "lines", "lives"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"Connection: close"], False),
        (b"1.1", [b"Connection: keep-alive", b"Connection: x, CLOSE"], False),
        (b"1.0", [], False),
        (b"1.0", [b"Connection: Keep-Alive"], True),
        (b"1.0", [b"Connection: keep-alive, close"], False),
        (b"1.0", [b"Proxy-Connection: keep-alive"], False),
    ],
)
def test_persistence_follows_version_and_connection(version: bytes, lines: list[bytes], lives: bool) -> None:
    assert found(request(*lines, start=b"GET / HTTP/" + version))["keep_alive"] is lives


@pytest.mark.parametrize(
    ("version", "lines", "upgrades"),
    [
        (b"1.1", [b"Connection: Upgrade", b"Upgrade: websocket"], True),
        (b"1.1", [b"Connection: keep-alive, upgrade", b"Upgrade: websocket"], True),
        (b"1.1", [b"Upgrade: websocket"], False),
        (b"1.1", [b"Connection: upgrade"], False),
        (b"1.1", [b"Connection: upgrade", b"Upgrade:"], False),
        (b"1.0", [b"Connection: upgrade", b"Upgrade: websocket"], False),
    ],
)
def test_an_upgrade_needs_both_fields_and_http_1_1(
    version: bytes, lines: list[bytes], upgrades: bool
) -> None:
    assert found(request(*lines, start=b"GET / HTTP/" + version))["upgrade"] is upgrades


def test_an_expectation_counts_from_http_1_1_on() -> None:
    assert found(request(b"Expect: 100-Continue"))["expect_continue"] is True
    assert found(request(b"Expect: 100-continue", start=b"GET / HTTP/1.0"))["expect_continue"] is False


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(b"trailers", True), (b"gzip;q=0.5, Trailers", True), (b"gzip", False), (b"trailers2", False)],
)
def test_te_says_whether_trailers_are_wanted(value: bytes, wanted: bool) -> None:
    assert found(request(b"TE: " + value))["te_trailers"] is wanted


def test_equal_lengths_may_be_repeated_and_have_leading_zeros() -> None:
    assert found(request(b"Content-Length: 5", b"Content-Length: 05"))["content_length"] == 5


def test_the_largest_length_is_2_to_the_63_minus_1() -> None:
    assert found(request(b"Content-Length: 9223372036854775807"))["content_length"] == 2**63 - 1


def test_fields_that_connection_names_are_hop_by_hop() -> None:
    headers = read_request(request(b"Connection: x-secret, close", b"X-Secret: 1", b"X-Other: 2"))[2]
    assert headers.flags(b"x-secret") & 1
    assert not headers.flags(b"x-other") & 1


@pytest.mark.parametrize(
    "name",
    [
        b"Host",
        b"Content-Length",
        b"Authorization",
        b"Cookie",
        b"Via",
        b"Forwarded",
        b"X-Forwarded-For",
        b"X-Real-IP",
        b"X-Forwarded-Custom",
        b"X-Consumer-Name",
        b"X-Userinfo",
        b"X_Forwarded_For",
        b"Traceparent",
    ],
)
def test_connection_cannot_make_a_protected_field_hop_by_hop(name: bytes) -> None:
    value = b"5" if name == b"Content-Length" else b"example.test"
    lines = [] if name == b"Host" else [name + b": " + value]
    headers = read_request(request(b"Connection: close, " + name, *lines))[2]
    assert name in headers
    assert not headers.flags(name) & 1


class TestLimits:
    def test_a_request_line_may_be_as_long_as_the_limit(self) -> None:
        line = b"GET /" + b"a" * 86 + b" HTTP/1.1"
        assert check_head(request(start=line), limits=(len(line), 1000, 10)) > 0
        assert check_head(request(start=line), limits=(len(line) - 1, 1000, 10)) == -P.P_REQUEST_LINE_TOO_LONG

    def test_a_request_line_without_end_is_refused_once_it_is_too_long(self) -> None:
        assert read_request(b"G" * 102, request_line=100)[0] == 0
        assert read_request(b"G" * 103, request_line=100)[0] == -P.P_REQUEST_LINE_TOO_LONG
        assert find_ends(b"G" * 103, [102, 103], request_line=100) == [0, -P.P_REQUEST_LINE_TOO_LONG]

    def test_a_header_block_may_be_as_large_as_the_limit(self) -> None:
        data = request(b"X: " + b"y" * 50)
        size = len(data) - len(b"GET / HTTP/1.1\r\n")
        assert check_head(data, limits=(100, size, 10)) > 0
        assert check_head(data, limits=(100, size - 1, 10)) == -P.P_HEADERS_TOO_LARGE

    def test_a_header_block_without_end_is_refused_once_it_is_too_large(self) -> None:
        data = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1000
        assert check_head(data, limits=(100, 500, 10)) == -P.P_HEADERS_TOO_LARGE

    def test_there_may_be_as_many_fields_as_the_limit(self) -> None:
        assert check_head(request(b"A: b"), limits=(100, 1000, 2)) > 0
        assert check_head(request(b"A: b"), limits=(100, 1000, 1)) == -P.P_HEADERS_TOO_MANY

    def test_more_fields_than_first_fit_are_all_kept(self) -> None:
        lines = [b"X-%d: %d" % (i, i) for i in range(100)]
        assert len(read_request(request(*lines))[2]) == 101

    def test_the_search_goes_over_each_byte_once(self) -> None:
        with pytest.raises(ValueError, match="sizes must grow"):
            find_ends(b"GET / HTTP/1.1\r\n", [10, 5])
