import json

import pytest

from bench.load import LoadFailed, parse_report

REPORT = {
    "requests": 1000, "microseconds": 2_000_000, "p50": 300, "p99": 900, "max": 1000,
    "connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0,
}  # fmt: skip


def test_reads_requests_seconds_and_latencies() -> None:
    result = parse_report(json.dumps(REPORT), "http://here")
    assert (result.requests, result.seconds, result.p50_us, result.p99_us) == (1000, 2.0, 300, 900)


@pytest.mark.parametrize("kind", ["connect", "read", "write", "status", "timeout"])
def test_fails_on_a_single_error_of_any_kind(kind: str) -> None:
    with pytest.raises(LoadFailed, match=kind):
        parse_report(json.dumps({**REPORT, kind: 1}), "http://here")


def test_fails_when_nothing_was_answered() -> None:
    with pytest.raises(LoadFailed, match="no request"):
        parse_report(json.dumps({**REPORT, "requests": 0}), "http://here")
