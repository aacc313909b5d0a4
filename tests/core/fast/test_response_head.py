"""Response heads: what is understood, what is refused and with which code."""

import pytest

from core._fast.head import PROBLEMS, Method
from tests.core.fast.test_head import answered, response
from tests.oracles.agreement import check_head


class TestResponses:
    @pytest.mark.parametrize(
        ("data", "slug"),
        [
            (b"HTTP/1.1 99 X\r\n\r\n", "status-code-invalid"),
            (b"HTTP/1.1 600 X\r\n\r\n", "status-code-invalid"),
            (b"HTTP/1.1 099 X\r\n\r\n", "status-code-invalid"),
            (b"HTTP/1.1 2000 X\r\n\r\n", "status-code-invalid"),
            (b"HTTP/1.1 +20 X\r\n\r\n", "status-code-invalid"),
            (b"HTTP/1.1  200 OK\r\n\r\n", "status-code-invalid"),
            (b"HTTP/1.1 200OK\r\n\r\n", "status-line-malformed"),
            (b"HTTP/1.1\r\n\r\n", "status-line-malformed"),
            (b"HTTP/2 200\r\n\r\n", "status-line-malformed"),
            (b"HTTP/2.0 200\r\n\r\n", "version-unsupported"),
            (b"ICY 200 OK\r\n\r\n", "status-line-malformed"),
            (b"\r\nHTTP/1.1 200 OK\r\n\r\n", "status-line-malformed"),
            (b"HTTP/1.1 200 O\0K\r\n\r\n", "reason-character"),
            (b"HTTP/1.1 200 OK\n\r\n", "bare-lf"),
            (b"HTTP/1.1 200 OK\rX: y\r\n\r\n", "bare-cr"),
            (response(b" Folded: x"), "headers-leading-space"),
            (response(b"X : y"), "header-name-space"),
            (response(b"Content-Length: 5", b"Transfer-Encoding: chunked"), "framing-ambiguous"),
            (response(b"Content-Length: 5", b"Content-Length: 6"), "content-length-conflict"),
            (response(b"Transfer-Encoding: chunked, gzip"), "transfer-encoding-malformed"),
            (response(b"Transfer-Encoding: chunked", start=b"HTTP/1.0 200 OK"), "transfer-encoding-version"),
            (response(b"X: y", start=b"HTTP/1.1 200 " + b"x" * 8192), "status-line-too-long"),
        ],
    )
    def test_refuses_malformed_answers(self, data: bytes, slug: str) -> None:
        verdict = check_head(data, Method.M_GET)
        assert verdict < 0
        assert PROBLEMS[-verdict][1] == slug

    def test_reads_an_ordinary_answer(self) -> None:
        said = answered(response(b"Content-Length: 5", b"Host: ignored, here", b"Expect: anything"))
        assert (said["status"], said["reason"], said["content_length"]) == (200, b"OK", 5)
        assert said["keep_alive"] is True
        assert said["close_delimited"] is False

    @pytest.mark.parametrize("start", [b"HTTP/1.1 200", b"HTTP/1.1 200 "])
    def test_the_reason_may_be_missing(self, start: bytes) -> None:
        assert not answered(response(start=start))["reason"]

    def test_an_answer_without_lengths_lasts_until_the_end_of_the_connection(self) -> None:
        said = answered(response(b"Connection: keep-alive"))
        assert said["close_delimited"] is True
        assert said["keep_alive"] is False

    @pytest.mark.parametrize(
        ("status", "method"),
        [
            (100, Method.M_GET),
            (103, Method.M_POST),
            (204, Method.M_GET),
            (304, Method.M_GET),
            (200, Method.M_HEAD),
        ],
    )
    def test_some_answers_never_have_a_body(self, status: int, method: Method) -> None:
        said = answered(response(start=b"HTTP/1.1 %d X" % status), method)
        assert (said["bodiless"], said["close_delimited"], said["keep_alive"]) == (True, False, True)

    def test_an_answer_to_head_keeps_the_length_it_declares(self) -> None:
        said = answered(response(b"Content-Length: 5"), Method.M_HEAD)
        assert (said["bodiless"], said["content_length"], said["keep_alive"]) == (True, 5, True)

    @pytest.mark.parametrize("line", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
    def test_a_connection_is_not_reused_when_an_empty_answer_announces_a_body(self, line: bytes) -> None:
        said = answered(response(line, start=b"HTTP/1.1 204 X"))
        assert (said["bodiless"], said["chunked"], said["keep_alive"]) == (True, False, False)
