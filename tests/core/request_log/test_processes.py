"""One request log, several processes: they interleave, are killed, and see each other."""

from __future__ import annotations

import itertools
import json
import time
from contextlib import ExitStack
from pathlib import Path

from core.request_log import RequestLog, RequestLogOptions, RequestLogReader, RequestQuery
from tests.core.request_log.traffic import append, numbers, output, process, read_all, tell, write

TRAFFIC = "tests.core.request_log.traffic"
COUNT = 3000


def test_two_writers_interleave_without_gaps_and_lose_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        children = [stack.enter_context(process(TRAFFIC, tmp_path, worker, COUNT)) for worker in (0, 1)]
        for child in children:
            tell(child)
        assert [json.loads(output(child).readline()) for child in children] == [{"dropped": 0}] * 2
    page = read_all(tmp_path)
    assert [record.sequence for record in page.records] == list(range(1, 2 * COUNT + 1))
    for worker in (0, 1):
        own = [record for record in page.records if record.worker == worker]
        assert numbers(own) == list(range(COUNT))
    workers = [record.worker for record in page.records]
    assert sum(a != b for a, b in itertools.pairwise(workers)) > 2


def test_a_writer_killed_at_any_moment_leaves_whole_blocks(tmp_path: Path) -> None:
    """Kill it while it writes, again and again; each time a new one goes on where the log ends."""
    previous = 0
    for round_ in range(4):
        with process(TRAFFIC, tmp_path, round_, 0) as child, RequestLogReader.open(tmp_path) as reader:
            tell(child)
            for page in reader.follow(after=previous):
                if page.after > previous + 500 * (round_ + 1):
                    break
            child.kill()
            child.wait()
        page = read_all(tmp_path)
        assert [record.sequence for record in page.records] == list(range(1, page.after + 1))
        assert page.damaged == []
        own = numbers([record for record in page.records if record.worker == round_])
        assert own == list(range(len(own)))
        assert len(own) > 500 * round_
        previous = page.after
    write(tmp_path, 1)
    assert read_all(tmp_path).after == previous + 1


def test_a_killed_writer_does_not_stop_the_others(tmp_path: Path) -> None:
    with process(TRAFFIC, tmp_path, 0, 0) as doomed, process(TRAFFIC, tmp_path, 1, COUNT) as other:
        tell(doomed)
        tell(other)
        with RequestLogReader.open(tmp_path) as reader:
            next(iter(reader.follow(after=0)))
        doomed.kill()
        assert json.loads(output(other).readline()) == {"dropped": 0}
    page = read_all(tmp_path)
    assert numbers([record for record in page.records if record.worker == 1]) == list(range(COUNT))
    assert [record.sequence for record in page.records] == list(range(1, page.after + 1))


def test_followers_see_what_another_process_writes_within_a_fifth_of_a_second(tmp_path: Path) -> None:
    write(tmp_path, 3)
    with process(TRAFFIC, tmp_path, 1, 200) as child, RequestLogReader.open(tmp_path) as reader:
        seen: list[int] = []
        delays = []
        pages = reader.follow(RequestQuery(path_prefix="/exchange/"), after=reader.range()[1])
        tell(child)
        while len(seen) < 200:
            records = next(pages).records
            delays += [time.time_ns() - record.time_ns for record in records]
            seen += numbers(records)
    assert seen == list(range(200))
    assert sorted(delays)[len(delays) // 2] < 200_000_000


def test_follows_from_now_on_by_default(tmp_path: Path) -> None:
    write(tmp_path, 5)
    request_log = RequestLog.open(tmp_path, RequestLogOptions(flush_interval=0.01))
    following = request_log.reader.follow(after=request_log.reader.range()[1])
    append(request_log.buffer, 77)
    assert numbers(next(following).records) == [77]
    request_log.close()


def test_a_reader_sees_growth_far_beyond_the_size_it_opened(tmp_path: Path) -> None:
    write(tmp_path, 1)
    with RequestLogReader.open(tmp_path) as reader, process(TRAFFIC, tmp_path, 1, 30_000) as child:
        tell(child)
        assert json.loads(output(child).readline()) == {"dropped": 0}
        assert reader.read(limit=100_000).after == 30_001


def test_a_bound_holds_for_all_writers_together(tmp_path: Path) -> None:
    options = json.dumps({"max_records": 3000})
    with ExitStack() as stack:
        children = [stack.enter_context(process(TRAFFIC, tmp_path, w, COUNT, options)) for w in (0, 1)]
        for child in children:
            tell(child)
        for child in children:
            output(child).readline()
    page = read_all(tmp_path)
    assert 0 < len(page.records) <= 3000
    assert page.records[-1].sequence == 2 * COUNT
    assert page.records[0].sequence == 2 * COUNT - len(page.records) + 1
