"""The command `agora requests`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from core.request_log import RequestLog, RequestLogMissing, RequestLogOptions
from gateway.commands.requests import printable, requests
from tests.core.request_log.traffic import append

AGELESS = RequestLogOptions(flush_interval=0.01, max_age=0)
START = 1_700_000_000_000_000_000  # 2023-11-14 22:13:20 UTC
PROGRAM = [
    sys.executable,
    "-c",
    "import typer; from gateway.commands.requests import requests; typer.run(requests)",
]

app = typer.Typer()
app.command()(requests)


def log_exchanges(data_dir: Path, start: int = 0, count: int = 6) -> None:
    log = RequestLog.open(data_dir / "requests", AGELESS)
    for number in range(start, start + count):
        append(
            log.buffer,
            number,
            time_ns=START + number * 10**9,
            duration_ns=number * 100_000_000,
            status=503 if number == 4 else 200,
            method=b"POST" if number % 2 else b"GET",
            host=b"api.example.test",
            client=b"192.0.2.%d" % number,
            request_id=b"id-%d" % number,
        )
    log.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    log_exchanges(tmp_path)
    return tmp_path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def shown(*arguments: object) -> list[int]:
    """Return which exchanges are shown."""
    return [
        int(json.loads(line)["path"].rpartition("/")[2]) for line in run(*arguments, "--json").splitlines()
    ]


def test_prints_a_line_with_columns_for_each_in_a_pipe(data_dir: Path) -> None:
    lines = run("--data-dir", data_dir).splitlines()
    assert len(lines) == 6
    assert lines[4].split("\t") == [
        "2023-11-14T22:13:24.000Z", "503", "GET", "api.example.test", "/exchange/4", "-", "400.000", "-",
        "0", "0", "exchange", "-", "192.0.2.4", "-", "id-4", "-",
    ]  # fmt: skip


def test_prints_a_json_document_a_line(data_dir: Path) -> None:
    first, *rest = run("--data-dir", data_dir, "--json").splitlines()
    assert json.loads(first)["time"] == "2023-11-14T22:13:20.000000Z"
    assert len(rest) == 5


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], [0, 1, 2, 3, 4, 5]),
        (["-n", "2"], [4, 5]),
        (["--number", "0"], [0, 1, 2, 3, 4, 5]),
        (["--status", "5xx"], [4]),
        (["--method", "post"], [1, 3, 5]),
        (["--method", "POST", "-n", "1"], [5]),
        (["--path", "/exchange/3"], [3]),
        (["--path", "/other"], []),
        (["--client", "192.0.2.2"], [2]),
        (["--request-id", "id-1"], [1]),
        (["--min-duration", "300ms"], [3, 4, 5]),
        (["--since", "2023-11-14T22:13:22Z", "--until", "2023-11-14T22:13:24Z"], [2, 3]),
        (["--since", "1h"], []),
        (["--route", "exchange", "--status", "200-299", "-n", "0"], [0, 1, 2, 3, 5]),
    ],
)
def test_shows_what_the_filters_want(data_dir: Path, arguments: list[str], expected: list[int]) -> None:
    assert shown("--data-dir", data_dir, *arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--status", "6yy"], "404, 5xx or 400-499"),
        (["--since", "soon"], "how long ago"),
        (["--min-duration", "5"], "250ms"),
    ],
)
def test_refuses_a_filter_it_does_not_understand(data_dir: Path, arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["--data-dir", str(data_dir), *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize("arguments", [[], ["agora.toml", "--data-dir", "var"]])
def test_wants_one_place_to_look(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "either FILE" in result.stderr


def test_finds_the_log_by_the_configuration(tmp_path: Path) -> None:
    log_exchanges(tmp_path / "state", count=1)
    (tmp_path / "agora.toml").write_text('[server]\ndata_dir = "state"\n')
    assert shown(tmp_path / "agora.toml") == [0]


def test_says_that_there_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(RequestLogMissing, match="there is no request log"):
        run("--data-dir", tmp_path)


def test_reports_damaged_blocks_and_shows_the_rest(tmp_path: Path) -> None:
    log_exchanges(tmp_path, count=2)
    log_exchanges(tmp_path, start=2, count=1)
    path = tmp_path / "requests" / "data.mdb"
    path.write_bytes(path.read_bytes().replace(b"id-0", b"id-9"))
    result = CliRunner().invoke(app, ["--data-dir", str(tmp_path), "--json"], catch_exceptions=False)
    assert "up to 2 are damaged" in result.stderr
    assert [json.loads(line)["request_id"] for line in result.stdout.splitlines()] == ["id-2"]


def test_follows_what_is_logged_after_what_it_has_shown(data_dir: Path) -> None:
    command = [*PROGRAM, "--data-dir", str(data_dir), "-n", "2", "--follow", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        seen = [json.loads(child.stdout.readline())["request_id"] for _ in range(2)]
        log_exchanges(data_dir, start=6, count=3)
        seen += [json.loads(child.stdout.readline())["request_id"] for _ in range(3)]
        child.kill()
    assert seen == ["id-4", "id-5", "id-6", "id-7", "id-8"]


def on_a_terminal(*arguments: str) -> str:
    """Run the command on a pseudo-terminal and return what it shows."""
    master, slave = os.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "160"}
    with subprocess.Popen([*PROGRAM, *arguments], stdout=slave, stderr=slave, env=environment):
        os.close(slave)
        shown = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # the other end is closed
                break
            shown += piece
    os.close(master)
    return shown.decode()


def test_shows_a_table_on_a_terminal(data_dir: Path) -> None:
    shown = on_a_terminal("--data-dir", str(data_dir))
    assert "status" in shown
    assert "\x1b[" in shown
    assert "api.example.test/exchange/4" in shown
    assert "400.00 ms" in shown


def test_escapes_what_would_drive_the_terminal(tmp_path: Path) -> None:
    log = RequestLog.open(tmp_path / "requests", AGELESS)
    append(log.buffer, 0, path=b"/\x1b[2J\r\n\xe2\x80\xae\xff")
    log.close()
    for shown in (run("--data-dir", tmp_path), on_a_terminal("--data-dir", str(tmp_path))):
        assert "/\\x1b[2J\\r\\n\\u202e\\xff" in shown


@pytest.mark.parametrize("text", ["", "plain", "\u00e9\u4e2d"])
def test_leaves_what_is_printable_as_it_is(text: str) -> None:
    assert printable(text) == text
