from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core._fast import limiter as compiled
from core._fast import table
from core._fast.limiter import Limiter, Windows, compile_windows, keyed_hash, table_size
from core.shared_memory import region_path
from core.windows import WindowInvalid
from tests.core.fast.hammer import Hammer, open_limiter
from tests.oracles.limiter import SECOND, Limits
from tests.oracles.siphash import siphash

SECRET = bytes(range(16))
LONG = "366d"  # so long that nothing refills while a test runs


def make(cells: int = 1024) -> Limiter:
    return Limiter(mmap.mmap(-1, table_size(cells)), SECRET)


def admitted(limiter: Limiter, key: bytes, windows: Windows, times: int, now: int = 0) -> int:
    return sum(limiter.check(key, windows, now).admitted for _ in range(times))


def test_the_compiled_modules_are_loaded() -> None:
    assert all(str(module.__file__).endswith(".so") for module in (compiled, table))


class TestOneWindow:
    def test_admits_exactly_its_number_at_one_instant(self) -> None:
        assert admitted(make(), b"alice", compile_windows("100/minute"), 300) == 100

    def test_admits_one_more_when_one_is_refilled_and_not_a_nanosecond_before(self) -> None:
        limiter, windows = make(), compile_windows("60/minute")
        admitted(limiter, b"alice", windows, 60, now=SECOND)
        assert admitted(limiter, b"alice", windows, 1, now=2 * SECOND - 1) == 0
        assert admitted(limiter, b"alice", windows, 2, now=2 * SECOND) == 1

    def test_rounds_no_interval_down(self) -> None:
        limiter, windows = make(), compile_windows("7/minute")
        admitted(limiter, b"alice", windows, 7)
        assert admitted(limiter, b"alice", windows, 1, now=60 * SECOND // 7) == 0
        assert admitted(limiter, b"alice", windows, 2, now=60 * SECOND // 7 + 1) == 1

    def test_tells_what_is_left_and_when_it_is_full_again(self) -> None:
        limiter, windows = make(), compile_windows("10/20s")
        verdict = limiter.check(b"alice", windows, 0)
        assert (verdict.admitted, verdict.full, verdict.window) == (True, False, "10/20s")
        assert (verdict.limit, verdict.remaining, verdict.reset, verdict.retry_after) == (10, 9, 2, 0)
        assert verdict.field == b'"10/20s";r=9;t=2'
        assert windows.policy == b'"10/20s";q=10;w=20'

    def test_tells_when_to_come_back(self) -> None:
        limiter, windows = make(), compile_windows("10/20s")
        admitted(limiter, b"alice", windows, 10, now=500)
        verdict = limiter.check(b"alice", windows, 600)
        assert (verdict.admitted, verdict.remaining, verdict.reset, verdict.retry_after) == (False, 0, 20, 2)

    def test_reads_the_clock_when_no_time_is_given(self) -> None:
        assert admitted(make(), b"alice", compile_windows("3/366d"), 3, now=0) == 3
        limiter, windows = make(), compile_windows(f"3/{LONG}")
        assert [limiter.check(b"alice", windows).admitted for _ in range(4)] == [True, True, True, False]

    @given(
        limit=st.integers(1, 50),
        seconds=st.integers(1, 100),
        steps=st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=200),
    )
    def test_never_admits_more_than_its_number_and_what_refilled(
        self, limit: int, seconds: int, steps: list[int]
    ) -> None:
        limiter, windows, now = make(), compile_windows(f"{limit}/{seconds}s"), 0
        times = []
        for step in steps:
            now += step
            if limiter.check(b"alice", windows, now).admitted:
                times.append(now)
            for index, first in enumerate(times):
                assert (len(times) - index - limit) * seconds * SECOND <= (now - first) * limit


@st.composite
def rules(draw: st.DrawFn) -> list[tuple[int, int]]:
    return draw(
        st.lists(st.tuples(st.integers(1, 12), st.integers(1, 60)), min_size=1, max_size=4, unique=True)
    )


REQUESTS = st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.integers(0, 5 * SECOND)), max_size=80)


class TestAgainstTheOracle:
    @given(windows=rules(), requests=REQUESTS)
    def test_decides_and_tells_as_buckets_of_tokens_do(
        self, windows: list[tuple[int, int]], requests: list[tuple[bytes, int]]
    ) -> None:
        limiter, limits, now = make(), Limits(windows, rounded=True), 0
        compiled_windows = compile_windows([f"{limit}/{seconds}s" for limit, seconds in windows])
        for key, step in requests:
            now += step
            peeked = limiter.peek(key, compiled_windows, now)
            verdict = limiter.check(key, compiled_windows, now)
            waits = [(1 - bucket.at(now)) * bucket.interval for bucket in limits.of(key)]
            assert verdict.admitted == peeked.admitted == limits.check(key, now)
            left = [bucket.remaining(now) for bucket in limits.of(key)]
            tightest = left.index(min(left)) if verdict.admitted else waits.index(max(waits))
            bucket = limits.of(key)[tightest]
            assert verdict.window == compiled_windows.texts[tightest]
            assert (verdict.limit, verdict.remaining) == (bucket.limit, bucket.remaining(now))
            assert (verdict.reset, verdict.retry_after) == (
                bucket.reset(now),
                0 if verdict.admitted else bucket.retry_after(now),
            )

    @given(
        windows=st.lists(
            st.tuples(st.sampled_from([1, 2, 4, 5, 8, 10]), st.integers(1, 60)),
            min_size=1,
            max_size=3,
            unique=True,
        ),
        requests=REQUESTS,
    )
    def test_decides_as_exact_fractions_do_where_the_interval_is_whole(
        self, windows: list[tuple[int, int]], requests: list[tuple[bytes, int]]
    ) -> None:
        limiter, limits, now = make(), Limits(windows, rounded=False), 0
        compiled_windows = compile_windows([f"{limit}/{seconds}s" for limit, seconds in windows])
        for key, step in requests:
            now += step
            assert limiter.check(key, compiled_windows, now).admitted == limits.check(key, now)


class TestSeveralWindows:
    def test_takes_nothing_from_any_when_one_refuses(self) -> None:
        limiter = make()
        both = compile_windows(["10/minute", "2/hour"])
        assert admitted(limiter, b"alice", both, 50) == 2
        assert admitted(limiter, b"alice", compile_windows("10/minute"), 50) == 8

    def test_tells_of_the_tightest(self) -> None:
        limiter, windows = make(), compile_windows(["3/minute", "5/hour"])
        assert limiter.check(b"alice", windows, 0).window == "3/minute"
        admitted(limiter, b"alice", windows, 2, now=0)
        assert limiter.check(b"alice", windows, 0).retry_after == 20
        admitted(limiter, b"alice", windows, 2, now=60 * SECOND)
        verdict = limiter.check(b"alice", windows, 60 * SECOND)
        assert (verdict.admitted, verdict.window, verdict.retry_after) == (False, "5/hour", 660)

    def test_announces_all_as_policy(self) -> None:
        windows = compile_windows(["100/minute", "5000/day"])
        assert windows.policy == b'"100/minute";q=100;w=60, "5000/day";q=5000;w=86400'

    @pytest.mark.parametrize(
        ("texts", "said"),
        [
            ([], "1 to 8"),
            ([f"{n}/s" for n in range(1, 10)], "1 to 8"),
            (["60/minute", "60/60s"], "twice"),
            (["60/moon"], "unit"),
        ],
    )
    def test_refuses_a_rule_that_makes_no_sense(self, texts: list[str], said: str) -> None:
        with pytest.raises(WindowInvalid, match=said):
            compile_windows(texts)


class TestKeys:
    def test_keys_do_not_touch_each_other(self) -> None:
        limiter, windows = make(), compile_windows("2/minute")
        assert [admitted(limiter, key, windows, 5) for key in (b"", b"a", b"b", b"a\0", b"long " * 50)] == [
            2
        ] * 5

    def test_rules_of_the_same_scope_share_and_others_do_not(self) -> None:
        limiter = make()
        assert admitted(limiter, b"a", compile_windows("2/minute", b"route x"), 5) == 2
        assert admitted(limiter, b"a", compile_windows("2/minute", b"route x"), 5) == 0
        assert admitted(limiter, b"a", compile_windows("2/minute", b"route y"), 5) == 2
        assert admitted(limiter, b"a", compile_windows("3/minute", b"route x"), 5) == 3

    def test_peek_takes_nothing(self) -> None:
        limiter, windows = make(), compile_windows("2/minute")
        assert [limiter.peek(b"a", windows, 0).remaining for _ in range(3)] == [2, 2, 2]
        assert admitted(limiter, b"a", windows, 5) == 2
        assert not limiter.peek(b"a", windows, 0).admitted

    def test_reset_forgets_a_key_and_no_other(self) -> None:
        limiter, windows = make(), compile_windows(["2/minute", "3/hour"])
        assert [admitted(limiter, key, windows, 5) for key in (b"a", b"b")] == [2, 2]
        assert limiter.reset(b"a", windows) == 2
        assert limiter.reset(b"nobody", windows) == 0
        assert [admitted(limiter, key, windows, 5) for key in (b"a", b"b")] == [2, 0]

    @given(low=st.integers(0, 2**64 - 1), high=st.integers(0, 2**64 - 1), data=st.binary(max_size=100))
    def test_hashes_as_the_oracle_does(self, low: int, high: int, data: bytes) -> None:
        secret = low.to_bytes(8, "little") + high.to_bytes(8, "little")
        assert keyed_hash(secret, data) == siphash(low, high, data, 1, 3)

    def test_the_oracle_agrees_with_its_authors_example(self) -> None:
        low, high = (int.from_bytes(SECRET[i : i + 8], "little") for i in (0, 8))
        assert siphash(low, high, bytes(range(15)), 2, 4) == 0xA129CA6149BE45E5

    def test_hashes_as_python_itself_does_under_an_empty_secret(self) -> None:
        assert sys.hash_info.algorithm == "siphash13"
        ask = "import sys; print(*(hash(bytes(range(n))) for n in range(1, 40)))"
        told = subprocess.run(
            [sys.executable, "-c", ask],
            env={"PYTHONHASHSEED": "0"},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.split()
        assert [int(word) % 2**64 for word in told] == [
            keyed_hash(bytes(16), bytes(range(n))) for n in range(1, 40)
        ]


class TestTheTable:
    def test_says_full_and_admits_nobody_when_no_cell_is_free(self) -> None:
        limiter, windows = make(16), compile_windows("5/minute")
        keys = [b"%d" % number for number in range(30)]
        verdicts = [limiter.check(key, windows, 0) for key in keys]
        assert [verdict.admitted for verdict in verdicts] == [True] * 16 + [False] * 14
        assert [verdict.full for verdict in verdicts] == [False] * 16 + [True] * 14
        assert limiter.full_count == 14
        assert limiter.used(0) == limiter.cells == 16
        assert (verdicts[-1].retry_after, verdicts[-1].limit, verdicts[-1].remaining) == (1, 5, 0)

    def test_goes_on_deciding_about_known_keys_when_full(self) -> None:
        limiter, windows = make(16), compile_windows("5/minute")
        for number in range(30):
            limiter.check(b"%d" % number, windows, 0)
        assert admitted(limiter, b"3", windows, 10) == 4

    def test_gives_back_what_it_took_when_a_later_window_finds_no_cell(self) -> None:
        limiter, windows = make(16), compile_windows("5/minute")
        for number in range(15):
            limiter.check(b"%d" % number, windows, 0)
        assert limiter.check(b"two", compile_windows(["7/minute", "9/hour"]), 0).full
        assert limiter.peek(b"two", compile_windows("7/minute"), 0).remaining == 7

    def test_uses_cells_again_a_second_after_they_are_full(self) -> None:
        limiter, windows = make(16), compile_windows("1/10s")
        for number in range(16):
            assert limiter.check(b"%d" % number, windows, 0).admitted
        assert limiter.check(b"new", windows, 11 * SECOND - 1).full
        assert limiter.check(b"new", windows, 11 * SECOND).admitted
        assert limiter.used(11 * SECOND) == 1

    def test_is_three_fifths_used_before_the_first_key_finds_no_cell(self) -> None:
        limiter, windows = make(1 << 16), compile_windows("5/hour")
        count = 3 * limiter.cells // 5
        assert not any(limiter.check(b"%d" % number, windows, 0).full for number in range(count))

    def test_carries_on_the_claim_of_a_killed_worker(self) -> None:
        memory = mmap.mmap(-1, table_size(16))
        limiter, windows = Limiter(memory, SECRET), compile_windows("3/minute")
        limiter.check(b"alice", windows, 0)
        with memoryview(memory)[128:].cast("q") as cells:
            place = next(place for place in range(0, 32, 2) if cells[place])
            cells[place + 1] = -77
        assert limiter.peek(b"alice", windows, 0).remaining == 3
        assert admitted(limiter, b"alice", windows, 9) == 3
        assert limiter.used(0) == 1

    def test_takes_over_the_claims_of_killed_workers_when_no_cell_is_free(self) -> None:
        memory = mmap.mmap(-1, table_size(16))
        with memoryview(memory)[128:].cast("q") as cells:
            for place in range(0, 32, 2):
                cells[place], cells[place + 1] = 1000 + place, -1000 - place
        limiter, windows = Limiter(memory, SECRET), compile_windows("3/minute")
        assert admitted(limiter, b"alice", windows, 9) == 3
        assert limiter.full_count == 0

    def test_refuses_memory_it_cannot_use(self) -> None:
        with pytest.raises(ValueError, match="hold no table"):
            Limiter(mmap.mmap(-1, 128), SECRET)
        with pytest.raises(ValueError, match="aligned"):
            Limiter(memoryview(mmap.mmap(-1, 8192))[8:], SECRET)
        with pytest.raises(BufferError):
            Limiter(memoryview(bytes(8192)), SECRET)
        with pytest.raises(ValueError, match="16 bytes"):
            Limiter(mmap.mmap(-1, 8192), b"short")
        with pytest.raises(ValueError, match="16 cells"):
            table_size(15)

    @pytest.mark.parametrize("now", [-1, 2**62 + 1])
    def test_refuses_a_time_that_no_clock_tells(self, now: int) -> None:
        with pytest.raises(ValueError, match="CLOCK_MONOTONIC"):
            make().check(b"a", compile_windows("1/s"), now)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    region_path(tmp_path, "limits").unlink()


class TestSeveralProcesses:
    CELLS = 1 << 16

    def hammers(self, data_dir: Path, count: int, **order: object) -> list[Hammer]:
        order.setdefault("cells", self.CELLS)
        return [Hammer(data_dir, data_dir / f"notes {n}", **order) for n in range(count)]

    def run(self, hammers: list[Hammer]) -> list[int]:
        for hammer in hammers:
            hammer.go()
        for hammer in hammers:
            assert hammer.hear() == "done\n"
            hammer.end()
        return [sum(counts) for counts in zip(*(hammer.admitted() for hammer in hammers), strict=True)]

    def test_admit_exactly_the_limit_of_one_key_together(self, data_dir: Path) -> None:
        hammers = self.hammers(data_dir, 3, windows=[f"50000/{LONG}"], keys=1, rounds=40_000)
        assert self.run(hammers) == [50_000]
        assert all(sum(hammer.admitted()) > 0 for hammer in hammers)

    def test_admit_each_of_many_new_keys_exactly_once_together(self, data_dir: Path) -> None:
        assert (
            self.run(self.hammers(data_dir, 3, windows=[f"1/{LONG}"], keys=30_000, rounds=2)) == [1] * 30_000
        )

    def test_admit_new_keys_once_while_cells_of_old_ones_become_free_everywhere(self, data_dir: Path) -> None:
        cells, keys = 1 << 14, 8_000
        hammers = self.hammers(data_dir, 3, cells=cells, windows=[f"1/{LONG}"], keys=keys, rounds=40)
        region, limiter = open_limiter(data_dir, cells)
        start, old = time.monotonic_ns(), compile_windows("1/s")
        for number in range(cells):
            limiter.check(b"old %d" % number, old, start - 2 * SECOND + 20_000_000 + number * 10_000)
        totals = self.run(hammers)
        once = compile_windows(f"1/{LONG}")
        late = [limiter.check(b"key %d" % n, once, start + 9 * SECOND).admitted for n in range(keys)]
        region.close()
        assert sum(totals) > 0
        assert {now + later for now, later in zip(totals, late, strict=True)} == {1}

    def test_lose_nothing_of_a_wide_window_to_a_tight_one(self, data_dir: Path) -> None:
        texts = [f"1000/{LONG}", "300/365d"]
        assert self.run(self.hammers(data_dir, 3, windows=texts, keys=5, rounds=2_000)) == [300] * 5
        region, limiter = open_limiter(data_dir, self.CELLS)
        left = [limiter.peek(b"key %d" % number, compile_windows(texts[:1])).remaining for number in range(5)]
        region.close()
        assert left == [700] * 5

    def test_never_admit_one_too_many_when_some_are_killed(self, data_dir: Path) -> None:
        keys, kills = 20_000, 6
        hammers = self.hammers(
            data_dir, kills + 1, windows=[f"1/{LONG}", f"2/{LONG}"], keys=keys, rounds=1, tell_at=keys // 4
        )
        for hammer in hammers[:2]:
            hammer.go()
        for victim, successor in zip(hammers[:kills], [*hammers[2:], None], strict=True):
            victim.hear()
            victim.process.kill()
            victim.end()
            if successor:
                successor.go()
        assert hammers[-1].hear() == "there\n"
        assert hammers[-1].hear() == "done\n"
        hammers[-1].end()
        totals = [sum(counts) for counts in zip(*(hammer.admitted() for hammer in hammers), strict=True)]
        assert max(totals) == 1
        # Whoever is killed between an admission and the note of it leaves one key without a note.
        assert totals.count(0) <= kills

    def test_remember_after_all_were_killed(self, data_dir: Path) -> None:
        (hammer,) = self.hammers(data_dir, 1, windows=[f"3/{LONG}"], keys=10, rounds=10, tell_at=9)
        hammer.go()
        assert hammer.hear() == "there\n"
        hammer.process.kill()
        hammer.end()
        region, limiter = open_limiter(data_dir, self.CELLS)
        assert not region.created
        windows = compile_windows(f"3/{LONG}")
        again = [sum(limiter.check(b"key %d" % n, windows).admitted for _ in range(9)) for n in range(10)]
        region.close()
        assert all(old + new in (2, 3) for old, new in zip(hammer.admitted(), again, strict=True))
        assert sum(hammer.admitted()) + sum(again) >= 29


def test_windows_and_limiters_hold_their_memory_and_let_it_go() -> None:
    memory = mmap.mmap(-1, table_size(64))
    limiter = Limiter(memory, os.urandom(32))
    with pytest.raises(BufferError):
        memory.close()
    del limiter
    memory.close()
