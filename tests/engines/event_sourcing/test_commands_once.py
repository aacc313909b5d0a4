"""Commands are done once whatever comes: repeats, other buses, other processes, a kill in between."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.event_log.log import EventLog
from engines.event_sourcing.aggregates import Aggregates
from engines.event_sourcing.batch import Batch
from engines.event_sourcing.command_bus import CommandBus
from engines.event_sourcing.command_record import PREFIX
from engines.event_sourcing.errors import CommandReused
from engines.event_sourcing.event import EventReader
from engines.event_sourcing.request import CommandResult, Request
from tests.engines.event_sourcing.bank import Account, BalanceTooLow, Deposit, Withdraw, make_bank

ROOT = Path(__file__).parents[3]
Op = tuple[int, int, bool, int]  # bus, number of the id, deposits, cents
OPS = st.tuples(st.integers(0, 2), st.integers(0, 9), st.booleans(), st.integers(1, 3))
ROUNDS = st.lists(st.lists(OPS, min_size=1, max_size=8), min_size=1, max_size=6)


def command(op: Op) -> Deposit | Withdraw:
    """Return the command of an operation; an id is always of one account."""
    _, number, deposits, cents = op
    kind = Deposit if deposits else Withdraw
    return kind(id=f"c{number}", account=f"a{number % 2}", cents=cents)


async def run(bus: CommandBus, asked: Deposit | Withdraw) -> CommandResult | None:
    """Return the answer; None: it was refused, with reason."""
    try:
        return await bus.execute(asked)
    except (BalanceTooLow, CommandReused):
        return None


def balances(log: EventLog) -> dict[str, int]:
    """Return each account's balance, folded from events alone; it never went below zero."""
    found: dict[str, int] = {}
    for event in log.store.read(1, 100_000):
        cents = event.value()["cents"]
        found[event.stream] = found.get(event.stream, 0) + (cents if event.type == "Deposited" else -cents)
        assert found[event.stream] >= 0
    return found


async def check(rounds: list[list[Op]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with EventLog(directory, map_size=1 << 24) as log:
            # NOTE: buses of one log know as little of each other as those of several processes.
            buses = [CommandBus(log, make_bank(), kept=kept, every=3) for kept in (1, 1_000, 1_000)]
            done: dict[str, tuple[Deposit | Withdraw, CommandResult]] = {}
            for ops in rounds:
                asked = [command(op) for op in ops]
                pairs = zip(ops, asked, strict=True)
                answers = await asyncio.gather(*[run(buses[op[0]], one) for op, one in pairs])
                for one, answer in zip(asked, answers, strict=True):
                    if answer is not None and not answer.repeated:
                        assert one.id not in done, "done twice"
                        done[one.id] = one, answer
                for one, answer in zip(asked, answers, strict=True):
                    if answer is not None:
                        assert done[one.id][0] == one
                        assert done[one.id][1][:2] == answer[:2]
            assert log.last_position() == len(done)
            expected = balances(log)
            for bus in buses:
                for stream, balance in expected.items():
                    assert bus.aggregates.load(stream).state.balance == balance
                    kept = bus.aggregates.kept(stream)
                    if kept is not None:
                        then = bus.aggregates.load(stream, kept.version, trusting=False)
                        assert kept.state == then.state
                await bus.close()


@given(rounds=ROUNDS)
@settings(max_examples=60, deadline=None)
def test_any_interleaving_does_each_command_once(rounds: list[list[Op]]) -> None:
    asyncio.run(check(rounds))


async def test_a_command_that_another_does_while_its_state_is_read_is_not_done_again(log: EventLog) -> None:
    asked = Deposit(id="d1", account="ann", cents=1)
    other = make_bank()

    def do_it_first(stream: str) -> Account:
        if log.last_position() == 0:
            batch = Batch(log, other, Aggregates(log, other), EventReader(), now=1)
            future = asyncio.get_running_loop().create_future()
            batch.decide(Request(asked, other.streams_of(asked), "", None, future))
            append = batch.append()
            assert append is not None
            log.store.commit([append])
        return Account()

    bank = make_bank()
    bank.initial = do_it_first
    bus = CommandBus(log, bank)
    assert await bus.execute(asked) == (["Deposited"], 1, True)
    assert log.last_position() == 1
    await bus.close()


async def test_buses_that_take_turns_see_each_others_events_before_they_decide(log: EventLog) -> None:
    buses = [CommandBus(log, make_bank()) for _ in range(2)]
    for number in range(20):
        await buses[number % 2].execute(Deposit(id=f"d{number}", account="ann", cents=1))
        await buses[1 - number % 2].execute(Withdraw(id=f"w{number}", account="ann", cents=1))
    for bus in buses:
        assert bus.overtaken == 0
        assert bus.aggregates.load("bank-ann").state == Account(0, 40)
        await bus.close()


async def test_a_busy_bus_does_not_starve_another(log: EventLog) -> None:
    busy, other = CommandBus(log, make_bank()), CommandBus(log, make_bank())
    stop = False

    async def work(worker: int) -> None:
        number = 0
        while not stop:
            number += 1
            await busy.execute(Deposit(id=f"b{worker}-{number}", account="ann", cents=1))

    workers = [asyncio.create_task(work(worker)) for worker in range(8)]
    for number in range(50):
        await other.execute(Deposit(id=f"o{number}", account="ann", cents=1))
    stop = True
    await asyncio.gather(*workers)
    assert busy.overtaken + other.overtaken <= 10
    assert other.aggregates.load("bank-ann").state == Account(log.last_position(), log.last_position())
    await busy.close()
    await other.close()


PROGRAM = textwrap.dedent(
    """
    import asyncio, sys
    from core.event_log.log import EventLog
    from engines.event_sourcing.command_bus import CommandBus
    from tests.engines.event_sourcing.bank import Deposit, make_bank

    async def main() -> None:
        async with EventLog(sys.argv[1], map_size=1 << 26) as log:
            bus = CommandBus(log, make_bank(), every=5)
            async def work(worker: int) -> None:
                for number in range(100_000):
                    name = f"{sys.argv[2]}-{worker}-{number}"
                    answer = await bus.execute(Deposit(id=name, account=f"a{number % 3}", cents=1))
                    print(name, answer.position, flush=True)
            await asyncio.gather(*[work(worker) for worker in range(4)])

    asyncio.run(main())
    """
)


@pytest.mark.parametrize("seen", [1, 40, 200])
async def test_what_was_answered_is_there_after_a_kill(tmp_path: Path, seen: int) -> None:
    start = [sys.executable, "-c", PROGRAM, str(tmp_path / "log")]
    processes = [
        await asyncio.create_subprocess_exec(*start, name, cwd=ROOT, stdout=subprocess.PIPE)
        for name in ("x", "y")
    ]
    told: list[bytes] = []
    for process in processes:
        assert process.stdout is not None
        told += [await process.stdout.readline() for _ in range(seen)]
    for process in processes:
        process.send_signal(signal.SIGKILL)
        assert process.stdout is not None
        told += (await process.stdout.read()).splitlines(keepends=True)
        await process.wait()
    acknowledged = dict(line.decode().split() for line in told if line.endswith(b"\n"))
    async with EventLog(tmp_path / "log", map_size=1 << 26) as log:
        last = log.last_position()
        assert len(log.scan_state(PREFIX, limit=1_000_000)) == last, "each event has its command's record"
        bus = CommandBus(log, make_bank(), verify=True)
        for name, position in acknowledged.items():
            number = int(name.rpartition("-")[2])
            answer = await bus.execute(Deposit(id=name, account=f"a{number % 3}", cents=1))
            assert answer == (["Deposited"], int(position), True)
        assert log.last_position() == last
        totals = [bus.aggregates.load(f"bank-a{account}") for account in range(3)]
        assert sum(found.state.balance for found in totals) == last
        assert bus.aggregates.mismatches == bus.aggregates.snapshots.ignored == 0
        await bus.close()
