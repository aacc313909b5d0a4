from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core._fast.cells import BUCKET_BOUNDS
from core.metrics import NO_ROOM, Metrics, exposition, open_region
from core.series import MetricInvalid
from core.shared_memory import Region, SharedMemoryInUse

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def open_small(data_dir: Path, *, fresh: bool = False) -> Region:
    return open_region(data_dir, slots=3, cells=1024, fresh=fresh)


def parse(text: bytes) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(text: bytes, name: str, **labels: str) -> float:
    return parse(text)[name, tuple(sorted(labels.items()))]


@pytest.fixture
def region(tmp_path: Path) -> Iterator[Region]:
    region = open_small(tmp_path)
    yield region
    region.unlink()
    region.close()


class TestCounting:
    def test_counters_come_out_with_their_labels(self, region: Region) -> None:
        metrics = Metrics(region)
        metrics.counter("agora_answers_total", "Answers.", {"route": "a", "status": "2xx"}).add(3)
        metrics.counter("agora_answers_total", "Answers.", {"status": "5xx", "route": "a"}).add()
        text = metrics.exposition()
        assert value(text, "agora_answers_total", route="a", status="2xx") == 3
        assert value(text, "agora_answers_total", route="a", status="5xx") == 1
        assert b"# HELP agora_answers_total Answers.\n# TYPE agora_answers_total counter\n" in text

    def test_the_same_name_and_labels_give_the_same_counter(self, region: Region) -> None:
        metrics = Metrics(region)
        first = metrics.counter("agora_answers_total", "Answers.", {"a": "1", "b": "2"})
        assert metrics.counter("agora_answers_total", "Said otherwise.", {"b": "2", "a": "1"}) is first

    def test_label_values_may_hold_anything(self, region: Region) -> None:
        metrics = Metrics(region)
        odd = 'quote " backslash \\ line\n ünï €'
        metrics.counter("agora_answers_total", "Answers.", {"route": odd}).add()
        assert value(metrics.exposition(), "agora_answers_total", route=odd) == 1

    def test_label_values_that_are_no_unicode_are_made_so(self, region: Region) -> None:
        metrics = Metrics(region)
        metrics.counter("agora_answers_total", "Answers.", {"route": "a\udcffb"}).add()
        assert value(metrics.exposition(), "agora_answers_total", route="a?b") == 1

    def test_texts_and_values_that_look_like_a_template_stay_as_they_are(self, region: Region) -> None:
        metrics = Metrics(region)
        labels = {"a": "%(b)s %s", "b": "\0a\0 {a} \x0b \u2028"}
        metrics.counter("agora_answers_total", "100 % of\u2028answers \\ {a}.", labels).add(3)
        text = metrics.exposition()
        assert value(text, "agora_answers_total", **labels) == 3
        assert "# HELP agora_answers_total 100 % of\u2028answers \\\\ {a}.\n".encode() in text

    def test_a_scale_turns_counted_units_into_exposed_ones(self, region: Region) -> None:
        metrics = Metrics(region)
        metrics.counter("agora_cpu_seconds_total", "Time.", scale=1e-9).add(2_500_000_000)
        metrics.gauge("agora_weight", "Share.", scale=0.01).set(25)
        text = metrics.exposition()
        assert value(text, "agora_cpu_seconds_total") == 2.5
        assert value(text, "agora_weight") == 0.25

    def test_a_constant_gauge_makes_an_info_metric(self, region: Region) -> None:
        for slot in range(2):
            Metrics(region, slot).gauge("agora_build_info", "Build.", {"version": "1"}, merge="max").set(1)
        assert value(exposition(region), "agora_build_info", version="1") == 1

    def test_histograms_come_out_cumulative_and_in_seconds(self, region: Region) -> None:
        metrics = Metrics(region)
        histogram = metrics.histogram("agora_wait_seconds", "Time.", {"route": "a"})
        for nanoseconds in (50_000, 100_000, 3_000_000, 90_000_000_000):
            histogram.observe_ns(nanoseconds)
        samples = parse(metrics.exposition())
        buckets = {
            dict(labels)["le"]: count for (name, labels), count in samples.items() if name.endswith("_bucket")
        }
        assert len(buckets) == len(BUCKET_BOUNDS) + 1
        assert (buckets["0.0001"], buckets["0.0025"], buckets["0.005"], buckets["60.0"], buckets["+Inf"]) == (
            2,
            2,
            3,
            3,
            4,
        )
        assert list(buckets.values()) == sorted(buckets.values())
        assert samples["agora_wait_seconds_count", (("route", "a"),)] == 4
        assert samples["agora_wait_seconds_sum", (("route", "a"),)] == pytest.approx(90.00315)


class TestBounds:
    def test_label_values_over_their_bound_are_counted_as_other(self, region: Region) -> None:
        metrics = Metrics(region)
        for number in range(10):
            metrics.counter("agora_hits_total", "Hits.", {"path": f"/{number}", "kind": "x"}, bound=3).add()
        samples = {
            labels: count for (name, labels), count in parse(metrics.exposition()).items() if "hits" in name
        }
        assert {dict(labels)["path"]: count for labels, count in samples.items()} == {
            "/0": 1,
            "/1": 1,
            "/2": 1,
            "other": 7,
        }
        assert {dict(labels)["kind"] for labels in samples} == {"x"}

    def test_all_processes_agree_which_values_are_over_the_bound(self, region: Region) -> None:
        first, second = Metrics(region), Metrics(region)
        for metrics, paths in ((first, "abc"), (second, "cde"), (first, "dea")):
            for path in paths:
                metrics.counter("agora_hits_total", "Hits.", {"path": path}, bound=4).add()
        text = exposition(region)
        assert [value(text, "agora_hits_total", path=path) for path in ("a", "c", "d", "other")] == [
            2,
            2,
            2,
            2,
        ]

    def test_what_finds_no_room_is_lost_and_said_so(self, region: Region) -> None:
        metrics = Metrics(region)
        early = metrics.counter("agora_hits_total", "Hits.", {"path": "early"}, bound=10_000)
        for number in range(100):
            metrics.histogram("agora_wait_seconds", "Time.", {"path": str(number)}, bound=10_000).observe_ns(
                1
            )
        early.add()
        samples = parse(metrics.exposition())
        kept = sum(name == "agora_wait_seconds_count" for name, _ in samples)
        assert 40 < kept < 52
        assert samples[NO_ROOM, ()] == 100 - kept
        assert samples["agora_hits_total", (("path", "early"),)] == 1
        assert metrics.counter("agora_hits_total", "Hits.", {"path": "early"}, bound=10_000) is early

    def test_texts_without_end_find_no_room_either(self, region: Region) -> None:
        metrics = Metrics(region)
        for number in range(100):
            metrics.counter("agora_hits_total", "Hits.", {"path": f"{number}" * 1000}, bound=10_000).add()
        assert value(metrics.exposition(), NO_ROOM) > 20

    @pytest.mark.parametrize(
        ("kind", "name", "labels", "said"),
        [
            ("counter", "agora_hits", {}, "ending in _total"),
            ("counter", "agora hits_total", {}, "small letters"),
            ("histogram", "agora_wait_ms", {}, "ending in _seconds"),
            ("gauge", "9lives", {}, "small letters"),
            ("gauge", "agora_open", {"le": "1"}, "no label"),
            ("gauge", "agora_open", {"Bad-Label": "1"}, "no label"),
        ],
    )
    def test_refuses_names_that_break_the_guidelines(
        self, region: Region, kind: str, name: str, labels: dict[str, str], said: str
    ) -> None:
        with pytest.raises(MetricInvalid, match=said):
            getattr(Metrics(region), kind)(name, "Help.", labels)

    def test_refuses_a_metric_without_help(self, region: Region) -> None:
        with pytest.raises(MetricInvalid, match="help text"):
            Metrics(region).gauge("agora_open", "")

    def test_refuses_a_second_meaning_for_a_name(self, region: Region) -> None:
        metrics, other = Metrics(region), Metrics(region)
        metrics.gauge("agora_open", "Open.", {"route": "a"})
        for wrong in (
            lambda: metrics.histogram("agora_open", "Open.", {"route": "a"}),
            lambda: metrics.gauge("agora_open", "Open.", {"path": "a"}),
            lambda: metrics.gauge("agora_open", "Open.", {"route": "a"}, merge="max"),
            lambda: other.gauge("agora_open", "Open.", {"route": "a", "more": "b"}),
        ):
            with pytest.raises(MetricInvalid, match=re.escape("agora_open")):
                wrong()

    def test_refuses_a_region_too_small_to_be_useful(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="256 cells"):
            open_region(tmp_path, slots=1, cells=10)


class TestSlots:
    def test_takes_the_first_slot_that_is_free(self, region: Region) -> None:
        workers = [Metrics(region) for _ in range(3)]
        assert [worker.slot for worker in workers] == [0, 1, 2]
        with pytest.raises(SharedMemoryInUse, match="all 3 slots"):
            Metrics(region)
        workers[1].close()
        assert Metrics(region).slot == 1

    def test_refuses_a_slot_that_is_taken_or_absent(self, region: Region) -> None:
        Metrics(region, 2)
        with pytest.raises(SharedMemoryInUse, match="slot 2"):
            Metrics(region, 2)
        with pytest.raises(SharedMemoryInUse, match="there is no slot 3"):
            Metrics(region, 3)

    def test_a_successor_counts_on_and_begins_its_gauges_anew(self, region: Region) -> None:
        first = Metrics(region)
        first.counter("agora_hits_total", "Hits.").add(5)
        first.histogram("agora_wait_seconds", "Time.").observe_ns(1)
        first.gauge("agora_open", "Open.").set(7)
        first.close()
        assert value(exposition(region), "agora_hits_total") == 5
        assert value(exposition(region), "agora_open") == 0
        second = Metrics(region)
        second.counter("agora_hits_total", "Hits.").add()
        second.histogram("agora_wait_seconds", "Time.").observe_ns(1)
        text = second.exposition()
        assert value(text, "agora_hits_total") == 6
        assert value(text, "agora_wait_seconds_count") == 2
        assert value(text, "agora_open") == 0

    def test_a_fresh_start_begins_at_zero(self, region: Region, tmp_path: Path) -> None:
        metrics = Metrics(region)
        metrics.counter("agora_hits_total", "Hits.").add(5)
        metrics.close()
        region.close()
        del metrics
        again = open_small(tmp_path, fresh=True)
        assert b"agora_hits" not in exposition(again)
        again.close()


WORKER = """
import sys
from pathlib import Path
from core.metrics import Metrics, open_region
region = open_region(Path(sys.argv[1]), slots=3, cells=1024)
metrics = Metrics(region)
print(metrics.slot, flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class Worker:
    """Be another process with metrics of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.slot = int(self.hear())

    def hear(self) -> str:
        """Return the next line it prints."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def tell(self, statement: str) -> None:
        """Have a statement executed, without waiting."""
        assert self.process.stdin
        self.process.stdin.write(statement + "\n")
        self.process.stdin.flush()

    def do(self, statement: str) -> None:
        """Have a statement executed."""
        self.tell(statement)
        assert self.hear() == "done"

    def kill(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    workers = []

    def start() -> Worker:
        workers.append(Worker(tmp_path))
        return workers[-1]

    yield start
    for worker in workers:
        worker.process.communicate()


class TestSeveralProcesses:
    def test_any_process_tells_for_all(self, region: Region, start: Callable[[], Worker]) -> None:
        metrics, workers = Metrics(region), [start(), start()]
        assert [worker.slot for worker in workers] == [1, 2]
        hits = metrics.counter("agora_hits_total", "Hits.", {"route": "a"})
        hits.add(1)
        for number, worker in enumerate(workers):
            worker.do(
                f"metrics.counter('agora_hits_total', 'Hits.', {{'route': 'a'}}).add({10 ** (number + 1)})"
            )
            worker.do(f"metrics.gauge('agora_open', 'Open.').set({number + 2})")
            worker.do("metrics.histogram('agora_wait_seconds', 'Time.').observe_ns(10**9)")
            worker.do(f"metrics.counter('agora_own_total', 'Own.', {{'worker': '{number}'}}).add()")
        for text in (metrics.exposition(), exposition(region)):
            assert value(text, "agora_hits_total", route="a") == 111
            assert value(text, "agora_open") == 5
            assert value(text, "agora_wait_seconds_sum") == 2
            assert [value(text, "agora_own_total", worker=number) for number in "01"] == [1, 1]

    def test_a_killed_worker_leaves_its_counters_and_takes_its_gauges(
        self, region: Region, start: Callable[[], Worker]
    ) -> None:
        survivor, victim = start(), start()
        for worker in (survivor, victim):
            worker.do("metrics.counter('agora_hits_total', 'Hits.').add(5)")
            worker.do("metrics.gauge('agora_open', 'Open.').set(7)")
        assert value(exposition(region), "agora_open") == 14
        victim.kill()
        text = exposition(region)
        assert (value(text, "agora_hits_total"), value(text, "agora_open")) == (10, 7)
        successor = start()
        assert successor.slot == victim.slot
        assert value(exposition(region), "agora_open") == 7
        successor.do(
            "metrics.counter('agora_hits_total', 'Hits.').add(); metrics.gauge('agora_open', 'Open.').add()"
        )
        text = exposition(region)
        assert (value(text, "agora_hits_total"), value(text, "agora_open")) == (11, 8)

    def test_sums_never_go_down_while_workers_count_and_are_killed(
        self, region: Region, start: Callable[[], Worker]
    ) -> None:
        count = "c = metrics.counter('agora_hits_total', 'Hits.')\n"
        before = 0.0
        for _ in range(3):
            workers = [start(), start()]
            for worker in workers:
                worker.do(count.strip())
                worker.tell("[c.add() for _ in range(10**9)]")
            for _ in range(20):
                now = value(exposition(region), "agora_hits_total")
                assert now >= before
                before = now
            for worker in workers:
                worker.kill()
        assert value(exposition(region), "agora_hits_total") >= before > 0

    def test_processes_that_name_series_at_once_agree_on_their_places(
        self, region: Region, start: Callable[[], Worker]
    ) -> None:
        workers = [start(), start(), start()]
        name = "metrics.counter('agora_hits_total', 'Hits.', {'n': str(n)}, bound=999).add()"
        order = f"for n in range(300): {name}"
        for worker in workers:
            worker.tell(order)
        for worker in workers:
            assert worker.hear() == "done"
        text = exposition(region)
        assert [value(text, "agora_hits_total", n=str(n)) for n in range(300)] == [3] * 300

    def test_a_worker_killed_while_it_names_series_leaves_the_directory_whole(
        self, region: Region, start: Callable[[], Worker]
    ) -> None:
        for turn in range(3):
            worker = start()
            worker.tell(
                f"[metrics.counter('agora_hits_total', 'Hits.', {{'n': f'{turn}.{{n}}'}}, bound=9999).add() "
                "for n in range(10**6)]"
            )
            while f'n="{turn}.'.encode() not in exposition(region):
                pass
            worker.kill()
        metrics = Metrics(region)
        text = metrics.exposition()
        hits = [count for (name, _), count in parse(text).items() if name == "agora_hits_total"]
        assert len(hits) > 3
        assert set(hits) <= {0, 1}
