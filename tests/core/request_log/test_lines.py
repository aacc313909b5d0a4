"""Records as JSON lines to a file or a pipe."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from core.request_log import Record, RequestLog, RequestLogOptions, lines
from core.request_log.lines import LineWriter
from core.request_log.record import json_line
from tests.core.request_log.traffic import append, process, read_all, tell

RECORD = Record(5, 1_700_000_000_123_456_789, 1, 200, 3_000, None, 0, 2, 0, method="GET", path='/"\n')
MARKER = Record(0, 0, 0, 204, 0, None, 0, 0, 0)


def decoded(data: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in data.splitlines()]


def test_a_line_begins_with_the_time_and_leaves_out_what_is_unknown() -> None:
    line = json_line(RECORD)
    assert line.startswith(b'{"time":"2023-11-14T22:13:20.123456Z","sequence":5,')
    assert b"\n" not in line
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.123456Z",
        "sequence": 5,
        "time_ns": 1_700_000_000_123_456_789,
        "worker": 1,
        "status": 200,
        "duration_ns": 3_000,
        "upstream_ns": None,
        "bytes_in": 0,
        "bytes_out": 2,
        "attempts": 0,
        "method": "GET",
        "path": '/"\n',
    }


def test_a_record_that_is_not_stored_yet_has_no_sequence_number() -> None:
    assert json.loads(json_line(MARKER))["status"] == 204
    assert "sequence" not in json.loads(json_line(MARKER))


def test_appends_to_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text("before\n")
    path.unlink()
    writer = LineWriter(str(path))
    writer.write([RECORD, RECORD])
    writer.write([MARKER])
    writer.close()
    assert [line["status"] for line in decoded(path.read_bytes())] == [200, 200, 204]
    assert path.stat().st_mode & 0o777 == 0o600


def test_opens_a_file_anew_that_was_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    writer = LineWriter(str(path))
    writer.write([RECORD])
    path.rename(tmp_path / "requests.jsonl.1")
    writer.write([MARKER])
    writer.close()
    assert len(decoded((tmp_path / "requests.jsonl.1").read_bytes())) == 1
    assert len(decoded(path.read_bytes())) == 1


@pytest.fixture
def pipe(tmp_path: Path) -> tuple[str, int]:
    """Return the path of a named pipe and the descriptor that it is read from."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return str(path), os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def drain(descriptor: int) -> bytes:
    data = b""
    while True:
        try:
            piece = os.read(descriptor, 1 << 20)
        except BlockingIOError:
            return data
        if not piece:
            return data
        data += piece


def test_waits_for_no_reader_and_drops_whole_lines(
    pipe: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "PATIENCE", 0.001)
    monkeypatch.setattr(lines, "PENDING_LIMIT", 100_000)
    path, reading = pipe
    writer = LineWriter(path)
    for _ in range(40):
        writer.write([RECORD] * 100)
    assert writer.dropped > 0
    received = b""
    while data := drain(reading):
        received += data
        writer.write([])
    writer.write([MARKER])
    received += drain(reading)
    writer.close()
    os.close(reading)
    found = decoded(received)
    assert len(found) == 4000 - writer.dropped + 1
    assert found[-1]["status"] == 204


def test_a_line_longer_than_a_pipe_takes_at_once_arrives_whole(pipe: tuple[str, int]) -> None:
    path, reading = pipe
    writer = LineWriter(path)
    writer.write([Record(1, 0, 0, 200, 0, None, 0, 0, 0, path="/" + "\x01" * 1023, query="\x01" * 1024)])
    writer.close()
    assert len(decoded(drain(reading))) == 1
    os.close(reading)


def test_counts_what_still_waits_when_it_is_closed(
    pipe: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "PATIENCE", 0.001)
    path, reading = pipe
    writer = LineWriter(path)
    writer.write([RECORD] * 1000)
    writer.close()
    assert len(drain(reading).splitlines()) + writer.dropped == 1000
    os.close(reading)


def test_the_log_writes_lines_besides(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    log = RequestLog.open(tmp_path / "requests", RequestLogOptions(flush_interval=0.01, lines=str(path)))
    for number in range(1000):
        append(log.buffer, number)
    log.close()
    assert [line["path"] for line in decoded(path.read_bytes())] == [f"/exchange/{n}" for n in range(1000)]
    assert len(read_all(tmp_path / "requests").records) == 1000


def test_the_log_writes_lines_to_standard_output(tmp_path: Path) -> None:
    module = "tests.core.request_log.traffic"
    with process(module, tmp_path, 0, 20, json.dumps({"lines": "stdout"})) as child:
        tell(child)
        printed = child.communicate()[0].splitlines()
    assert [json.loads(line).get("path") for line in printed[:-1]] == [f"/exchange/{n}" for n in range(20)]
    assert json.loads(printed[-1]) == {"dropped": 0}


def test_a_destination_that_cannot_be_written_does_not_stop_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = RequestLogOptions(flush_interval=0.01, lines=str(tmp_path / "missing" / "lines"))
    log = RequestLog.open(tmp_path / "requests", options)
    append(log.buffer, 1)
    log.close()
    assert len(read_all(tmp_path / "requests").records) == 1
    assert log.stats().lines_dropped == 1
    assert "No such file or directory" in caplog.text
