"""The commands `agora log ...`, as a person or a script runs them."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from core._fast.envelope import BYTES, ENCRYPTED, MSGPACK, Draft
from core._fast.event_append import ANY, Append
from core._fast.event_store import DAY_NS, EventStore
from core.event_log.subjects import Subjects
from core.event_log.verification import verify
from tests.core.event_log.small_log import START, read_everything, write_small_log
from tests.oracles.lmdb_pages import LmdbFile

AGORA = str(Path(sys.executable).with_name("agora"))
WIDE = os.environ | {"COLUMNS": "200", "TERM": "dumb"}


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]


def agora(*arguments: object, given: bytes = b"") -> Result:
    done = subprocess.run(
        [AGORA, "log", *map(str, arguments)], input=given, capture_output=True, env=WIDE, check=False
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def append(path: Path, count: int, first: int = 0, stream: str = "orders") -> None:
    with EventStore(str(path)) as store:
        for number in range(first, first + count):
            draft = Draft(
                "Placed" if number % 2 else "Cancelled",
                msgspec.msgpack.encode({"number": number}),
                tags=(f"t:{number % 3}",),
                actor="user:1",
            )
            store.commit([Append([(f"{stream}-{number % 2}", ANY, [draft])])], START + number * 10**9)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    append(tmp_path / "var" / "events", 30)
    return tmp_path / "var" / "events"


@pytest.fixture
def held(log: Path) -> Iterator[EventStore]:
    """Hold the log open for writing, as a gateway does."""
    with EventStore(str(log)) as store:
        yield store


# -- which log -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["var/events", "var", "agora.toml"])
def test_finds_the_log_by_its_directory_the_data_directory_or_the_configuration(
    log: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "agora.toml").write_text(f'[server]\ndata_dir = "{tmp_path}/var"\n')
    facts = json.loads(agora("stat", tmp_path / place, "--json").out)
    assert (facts["path"], facts["events"]) == (str(log), 30)


@pytest.mark.parametrize(
    "arguments", [["stat"], ["tail"], ["verify"], ["show", "1"], ["export"], ["backup", "copy"], ["drop"]]
)
def test_says_that_there_is_no_log(tmp_path: Path, arguments: list[str]) -> None:
    command, *rest = arguments
    result = agora(command, tmp_path / "nothing", *rest)
    assert (result.code, result.out) == (1, "")
    assert f"there is no event log in {tmp_path}/nothing" in result.err
    assert not (tmp_path / "nothing").exists()


# -- stat ----------------------------------------------------------------------------------------------------


def test_stat_tells_what_the_log_is_made_of(held: EventStore, log: Path) -> None:
    subjects = Subjects(held)
    subjects.seal("ada", "s", "T", b"")
    subjects.seal("bob", "s", "T", b"")
    subjects.erase("ada")
    facts: dict[str, Any] = json.loads(agora("stat", log, "--json").out)
    (segment,) = facts.pop("segments")
    assert facts.pop("last_event_ns") > START
    assert facts.pop("free") > 0
    assert 0 < facts.pop("used_bytes") < facts.pop("map_bytes")
    assert facts == {
        "path": str(log),
        "format": "1",
        "lmdb": "0.9.36",
        "log_id": held.identity.hex(),
        "events": 33,
        "first_position": 1,
        "last_position": 33,
        "streams": 4,
        "types_and_tags": 7,
        "subjects": 1,
        "erased_subjects": 1,
    }
    assert (segment["number"], segment["first_position"], segment["events"]) == (1, 1, 33)


def test_stat_in_a_pipe_is_lines_of_columns(log: Path) -> None:
    rows = {row[0]: row[1:] for row in agora("stat", log).rows}
    assert rows["events"] == ["30"]
    assert rows["positions"] == ["1 to 30"]
    assert rows["last event"] == ["2023-11-14T00:00:29.000000000Z"]
    assert rows["segment"][:3] == ["1", "1", "30"]


def test_stat_of_an_empty_log(tmp_path: Path) -> None:
    EventStore(str(tmp_path)).close()
    rows = {row[0]: row[1:] for row in agora("stat", tmp_path).rows}
    assert (rows["events"], rows["positions"], rows["last event"]) == (["0"], ["-"], ["-"])


# -- tail and show -------------------------------------------------------------------------------------------


def positions(*arguments: object) -> list[int]:
    result = agora("tail", *arguments)
    assert result.code == 0, result.err
    return [int(row[0]) for row in result.rows]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], range(11, 31)),
        (["-n", 3], [28, 29, 30]),
        (["-n", 0], range(1, 31)),
        (["--after", 27], [28, 29, 30]),
        (["--after", 0, "-n", 2], [1, 2]),
        (["--after", 30], []),
        (["--type", "Pla", "-n", 2], [28, 30]),
        (["--type", "Placed", "--type", "Cancelled", "-n", 2], [29, 30]),
        (["--stream", "orders-0", "-n", 2], [27, 29]),
        (["--tag", "t:1", "--type", "Placed"], [2, 8, 14, 20, 26]),
        (["--tag", "t:1", "--tag", "t:2"], []),
        (["--since", "2023-11-14T00:00:27Z"], [28, 29, 30]),
        (["--since", "1h"], []),
    ],
)
def test_tail_shows_what_the_filters_want(
    held: EventStore, log: Path, arguments: list[object], expected: list[int]
) -> None:
    assert positions(log, *arguments) == list(expected)


def test_tail_in_a_pipe_is_lines_of_columns(log: Path) -> None:
    assert agora("tail", log, "-n", 1).rows == [
        ["30", "2023-11-14T00:00:29.000000000Z", "orders-1", "15", "Placed", "user:1", "t:2", '{"number":29}']
    ]


def test_tail_escapes_what_would_drive_a_terminal(tmp_path: Path) -> None:
    with EventStore(str(tmp_path)) as store:
        draft = Draft("\x1b[31m", b'"\x1b]0;x"', codec=2, actor="a\tb\nc")
        store.commit([Append([("s\x07", ANY, [draft])])])
    (row,) = agora("tail", tmp_path).rows
    assert row[2:6] == ["s\\x07", "1", "\\x1b[31m", "a\\tb\\nc"]
    assert "\x1b" not in "".join(row)


def test_tail_refuses_a_time_that_it_does_not_understand(log: Path) -> None:
    result = agora("tail", log, "--since", "soon")
    assert result.code == 2
    assert "how long ago" in result.err


def test_tail_follows_what_another_process_appends_until_it_is_interrupted(log: Path) -> None:
    with subprocess.Popen(
        [AGORA, "log", "tail", log, "--follow", "-n", "1", "--type", "Placed"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as tail:
        assert tail.stdout is not None
        assert tail.stdout.readline().split("\t")[0] == "30"
        append(log, 4, 30)
        assert [tail.stdout.readline().split("\t")[0] for _ in range(2)] == ["32", "34"]
        tail.send_signal(signal.SIGINT)
        assert tail.wait(10) == 130
        assert tail.stderr is not None
        assert "Traceback" not in tail.stderr.read()


def test_tail_prints_cloud_events_for_programs(log: Path) -> None:
    lines = agora("tail", log, "-n", 2, "--json").out.splitlines()
    assert [json.loads(line)["data"] for line in lines] == [{"number": 28}, {"number": 29}]


@pytest.mark.parametrize("command", [["tail", "-n", "0"], ["export"]])
def test_a_closed_pipe_is_quiet(tmp_path: Path, command: list[str]) -> None:
    with EventStore(str(tmp_path)) as store:
        store.commit([Append([("s", ANY, [Draft("T", bytes(200), codec=BYTES) for _ in range(20_000)])])])
    name, *rest = command
    with subprocess.Popen(
        [AGORA, "log", name, tmp_path, *rest], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_show_tells_everything_of_an_event(held: EventStore, log: Path) -> None:
    rows = dict(agora("show", log, 30).rows)
    event = held.read(30)[0]
    assert rows["stream"] == "orders-1"
    assert rows["id"] == str(event.id)
    assert rows["data"] == '{"number":29}'
    assert rows["hash"] == event.hash.hex()
    assert json.loads(agora("show", log, 30, "--json").out)["position"] == "30"


def test_show_says_which_positions_there_are(log: Path) -> None:
    result = agora("show", log, 31)
    assert (result.code, result.err) == (1, "agora: there is no event at position 31; it has 1 to 30\n")


# -- verify and backup ---------------------------------------------------------------------------------------


def test_verify_says_that_a_log_in_use_is_sound(held: EventStore, log: Path) -> None:
    result = agora("verify", log)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("30 events in 1 segment are sound; ")
    assert json.loads(agora("verify", log, "--json").out)["sound"] is True


def test_verify_says_what_is_damaged_and_fails(tmp_path: Path) -> None:
    write_small_log(tmp_path)
    layout = LmdbFile((tmp_path / "data.mdb").read_bytes())
    record = layout.trees["e.00000003"][0][1]
    at = layout.data.rindex(record) + 140
    with (tmp_path / "data.mdb").open("r+b") as file:
        file.seek(at)
        file.write(bytes([layout.data[at] ^ 16]))
    result = agora("verify", tmp_path)
    assert (result.code, result.out) == (1, "")
    assert "its checksum is not that of its bytes" in result.err
    assert "the log is damaged: " in result.err
    document = json.loads(agora("verify", tmp_path, "--json").out)
    assert document["sound"] is False
    assert document["findings"][0]["where"].startswith("event ")


def test_verify_refuses_what_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(bytes(100_000))
    result = agora("verify", tmp_path)
    assert result.code == 1
    assert "Traceback" not in result.err


def test_backup_of_a_log_in_use_is_a_log(held: EventStore, log: Path, tmp_path: Path) -> None:
    result = agora("backup", log, tmp_path / "copy")
    assert (result.code, result.err) == (0, "")
    assert "30 events in 1 segment are sound" in result.out
    assert positions(tmp_path / "copy", "-n", 1) == [30]
    again = agora("backup", log, tmp_path / "copy")
    assert again.code == 1
    assert "there is something in" in again.err


def test_shows_how_far_it_is_on_a_terminal_alone(log: Path) -> None:
    with EventStore(str(log)) as store:
        for _ in range(10):
            store.commit([Append([("s", ANY, [Draft("T", b"", codec=BYTES) for _ in range(20_000)])])])
    leader, follower = pty.openpty()
    environment = WIDE | {"TERM": "xterm"}
    with subprocess.Popen(
        [AGORA, "log", "verify", log], stdout=subprocess.PIPE, stderr=follower, env=environment
    ) as process:
        os.close(follower)
        shown = b""
        try:
            while text := os.read(leader, 4096):
                shown += text
        except OSError:  # the other side is closed
            pass
        os.close(leader)
        assert process.wait(30) == 0
    assert b"verifying" in shown
    assert re.search(rb"(\d{6})/\1", shown)
    assert agora("verify", log).err == ""


# -- export and import ---------------------------------------------------------------------------------------


def test_export_and_import_make_the_same_log(held: EventStore, log: Path, tmp_path: Path) -> None:
    result = agora("export", log, "-o", tmp_path / "events.jsonl")
    assert (result.code, result.out) == (0, "")
    assert "30 events" in result.err
    assert agora("export", log).out == (tmp_path / "events.jsonl").read_text()
    done = agora("import", tmp_path / "new", tmp_path / "events.jsonl")
    assert (done.code, done.out) == (0, "30 events were added, 0 were there already\n")
    assert agora("tail", tmp_path / "new").out == agora("tail", log).out
    again = agora("import", tmp_path / "new", "-", given=(tmp_path / "events.jsonl").read_bytes())
    assert again.out == "0 events were added, 30 were there already\n"
    assert verify(tmp_path / "new").events == 30


def test_import_into_a_log_in_use(held: EventStore, log: Path, tmp_path: Path) -> None:
    append(tmp_path / "other", 5, stream="other")
    lines = agora("export", tmp_path / "other").out.encode()
    assert agora("import", log, "-", given=lines).code == 0
    assert [event.stream for event in held.read(31)] == ["other-0", "other-1"] * 2 + ["other-0"]


def test_export_takes_filters(log: Path) -> None:
    lines = agora("export", log, "--after", 20, "--type", "Placed", "--tag", "t:1").out.splitlines()
    assert [json.loads(line)["position"] for line in lines] == ["26"]


def test_export_writes_over_nothing(log: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    result = agora("export", log, "-o", tmp_path / "mine")
    assert result.code == 2
    assert (tmp_path / "mine").read_text() == "mine"


def test_import_names_the_line_that_is_broken_and_how_far_it_came(log: Path, tmp_path: Path) -> None:
    lines = agora("export", log).out.splitlines()
    text = "\n".join([*lines[:7], '{"specversion": "1.0"}', *lines[7:]])
    result = agora("import", tmp_path / "new", "-", given=text.encode())
    assert (result.code, result.out) == (1, "")
    assert "line 8: it is no CloudEvent" in result.err
    assert "7 events of the lines before it are in the log" in result.err
    assert positions(tmp_path / "new") == list(range(1, 8))


def test_import_says_that_there_is_no_such_file(tmp_path: Path) -> None:
    result = agora("import", tmp_path / "new", tmp_path / "nothing")
    assert result.code == 2
    assert "No such file" in result.err
    assert not (tmp_path / "new").exists()


# -- erase and drop ------------------------------------------------------------------------------------------


def test_erase_makes_sealed_data_unreadable(held: EventStore, log: Path) -> None:
    sealed = Subjects(held).seal("ada", "people", "Renamed", msgspec.msgpack.encode("Ada"))
    held.commit([Append([("people", ANY, [Draft("Renamed", sealed, codec=MSGPACK | ENCRYPTED)])])])
    position = held.last_position()
    assert dict(agora("show", log, position).rows)["data"] == f"({len(sealed)} bytes, sealed)"
    assert dict(agora("show", log, position, "--open").rows)["data"] == '"Ada"'
    exported = json.loads(agora("export", log, "--stream", "people").out)
    assert exported["sealed"] is True
    opened = json.loads(agora("export", log, "--stream", "people", "--open").out)
    assert opened["data"] == "Ada"
    assert agora("erase", log, "ada").code == 2
    result = agora("erase", log, "ada", "--yes")
    assert result.code == 0
    assert result.out.startswith("erased: ")
    assert "sealed" in dict(agora("show", log, position, "--open").rows)["data"]
    assert "there was no key" in agora("erase", log, "ada").out
    assert agora("verify", log).code == 0


def test_drop_lets_go_of_old_segments(tmp_path: Path) -> None:
    write_small_log(tmp_path)
    assert agora("drop", tmp_path, "--days", 3000).out == "no segment ended more than 3000 days ago\n"
    assert agora("drop", tmp_path).code == 2
    result = agora("drop", tmp_path, "--yes")
    assert result.out.startswith("2 segments with ")
    assert agora("verify", tmp_path).code == 0
    events, *_ = read_everything(tmp_path)
    assert events
    with EventStore(str(tmp_path), read_only=True) as store:
        (segment,) = store.segments()
        assert segment.start_ns == START + 2 * DAY_NS
