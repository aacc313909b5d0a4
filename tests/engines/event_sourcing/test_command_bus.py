"""Commands on a real log: done once, all or nothing, by several processes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core._fast.envelope import Draft
from core.event_log.errors import LogClosed
from core.event_log.log import EventLog
from engines import market
from engines.event_sourcing.command_bus import CommandBus
from engines.event_sourcing.errors import CommandReused, EngineStopped
from engines.market.errors import FundsInsufficient
from gateway.market.domain import MARKET
from tests.engines.event_sourcing.market_commands import command, order

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EventLog]:
    async with EventLog(tmp_path / "log", map_size=1 << 26) as opened:
        yield opened


@pytest.fixture
async def bus(log: EventLog) -> AsyncIterator[CommandBus]:
    bus = CommandBus(log, MARKET)
    await furnish(bus)
    yield bus
    await bus.close()


async def furnish(bus: CommandBus, users: tuple[str, ...] = ("ann", "bob"), cents: int = 10_000) -> None:
    """Register users with money, and open a market."""
    for user in users:
        await bus.execute(
            command("RegisterUser", f"r-{user}", user=user, name=user, email=f"{user}@example.test")
        )
        await bus.execute(
            command("RequestDeposit", f"d-{user}", payment=f"p-{user}", user=user, amount=cents)
        )
        await bus.execute(command("ConfirmDeposit", f"c-{user}", payment=f"p-{user}"))
    await bus.execute(command("CreateMarket", "m1", market="m", question="Will it rain?"))
    await bus.execute(command("OpenMarket", "m2", market="m"))


def hashes(bus: CommandBus) -> dict[str, tuple[str, int]]:
    """Return hash and version of every stream, folded from the log; hold the kept states to them."""
    found = {}
    for stream in bus._log.store.stream_names():
        folded = bus.aggregates.load(stream)
        found[stream] = market.state_hash(folded.state), folded.version
        kept = bus.aggregates.kept(stream)
        if kept is not None:
            then = bus.aggregates.load(stream, kept.version)  # others may have gone on since
            assert market.state_hash(kept.state) == market.state_hash(then.state)
    return found


async def test_appends_all_that_an_order_does_at_once_and_tells_its_position(
    log: EventLog, bus: CommandBus
) -> None:
    before = log.last_position()
    placed = await bus.execute(order("o1", "ann"), actor="ann")
    assert (placed.receipt.status, placed.repeated) == ("resting", False)
    events = log.store.read(before + 1)
    assert placed.position == events[-1].position == log.last_position()
    assert {event.stream for event in events} == {"market-m", "account-ann"}
    assert {event.actor for event in events} == {"ann"}
    hashes(bus)


async def test_answers_the_same_id_alike_and_does_it_once(log: EventLog, bus: CommandBus) -> None:
    first = await bus.execute(order("o1", "ann"))
    await bus.execute(order("o2", "bob", side="buy", share="no", price=60))
    after = log.last_position()
    again = await bus.execute(order("o1", "ann"))
    assert (again.receipt, again.position, again.repeated) == (first.receipt, first.position, True)
    fresh = CommandBus(log, MARKET)
    assert await fresh.execute(order("o1", "ann")) == again
    await fresh.close()
    assert log.last_position() == after


async def test_does_a_command_once_that_comes_many_times_at_once(log: EventLog, bus: CommandBus) -> None:
    before = log.last_position()
    answers = await asyncio.gather(*[bus.execute(order("o1", "ann")) for _ in range(20)])
    assert len({answer.position for answer in answers}) == 1
    assert sum(not answer.repeated for answer in answers) == 1
    assert log.last_position() == before + 2


async def test_refuses_another_command_under_a_used_id(log: EventLog, bus: CommandBus) -> None:
    await bus.execute(order("o1", "ann"))
    after = log.last_position()
    with pytest.raises(CommandReused, match="o1 belongs to another command"):
        await bus.execute(order("o1", "ann", size=11))
    both = [bus.execute(order("o2", "ann")), bus.execute(order("o2", "ann", size=11))]
    one, other = await asyncio.gather(*both, return_exceptions=True)
    assert not isinstance(one, BaseException)
    assert isinstance(other, CommandReused)
    assert log.last_position() == after + 2


async def test_a_refusal_leaves_nothing_and_the_others_of_its_batch_go_on(
    log: EventLog, bus: CommandBus
) -> None:
    before = log.last_position()
    commands = [order("o1", "ann"), order("o2", "ann", size=1_000), order("o3", "bob")]
    answers = await asyncio.gather(*[bus.execute(one) for one in commands], return_exceptions=True)
    assert [type(answer).__name__ for answer in answers] == [
        "CommandResult",
        "FundsInsufficient",
        "CommandResult",
    ]
    assert log.last_position() == before + 4
    assert log.get_state(b"command/market/o2") is None
    with pytest.raises(FundsInsufficient):
        await bus.execute(order("o2", "ann", size=1_000))
    hashes(bus)


async def test_decides_anew_what_another_bus_has_overtaken(log: EventLog, bus: CommandBus) -> None:
    other = CommandBus(log, MARKET)
    spent = 0
    for turn in range(20):
        for number, one in enumerate((bus, other)):
            try:
                await one.execute(order(f"o{turn}-{number}", "ann", price=90, size=7))
                spent += 630
            except FundsInsufficient:
                assert spent + 630 > 10_000
    assert spent == 15 * 630
    assert hashes(bus) == hashes(other)
    await other.close()


async def test_does_not_refuse_on_what_another_bus_has_changed(log: EventLog, bus: CommandBus) -> None:
    other = CommandBus(log, MARKET)
    with pytest.raises(FundsInsufficient):
        await bus.execute(order("o1", "ann", price=90, size=150))
    await other.execute(command("RequestDeposit", "d9", payment="p9", user="ann", amount=10_000))
    await other.execute(command("ConfirmDeposit", "c9", payment="p9"))
    assert (await bus.execute(order("o1", "ann", price=90, size=150))).receipt.status == "resting"
    await other.close()


@pytest.mark.parametrize("seed", range(3))
async def test_keeps_states_equal_to_a_replay_while_orders_meet(log: EventLog, seed: int) -> None:
    users = tuple(f"u{number}" for number in range(6))
    buses = [CommandBus(log, MARKET, kept=kept, every=7, verify=True) for kept in (1_000, 3)]
    await furnish(buses[0], users, 100_000)
    chance = random.Random(seed)

    async def trade(number: int) -> None:
        terms: dict[str, Any] = {
            "side": chance.choice(("buy", "sell")),
            "share": chance.choice(("yes", "no")),
            "price": chance.randint(30, 70),
            "size": chance.randint(1, 20),
        }
        with contextlib.suppress(market.MarketError):
            await chance.choice(buses).execute(order(f"o{number}", chance.choice(users), **terms))

    for round in range(10):
        await asyncio.gather(*[trade(20 * round + number) for number in range(20)])
    assert hashes(buses[0]) == hashes(buses[1])
    for bus in buses:
        await bus.close()
        assert bus.aggregates.mismatches == bus.aggregates.snapshots.ignored == 0
    assert log.get_state(b"snapshot/market-m") is not None


async def test_a_command_that_does_nothing_is_answered_alike_later(log: EventLog, bus: CommandBus) -> None:
    await bus.execute(order("o1", "ann"))
    await bus.execute(command("CloseMarket", "m3", market="m"))
    await bus.execute(command("SweepOrders", "s1", market="m"))
    before = log.last_position()
    first = await bus.execute(command("SweepOrders", "s2", market="m"))
    assert (first.repeated, first.position, log.last_position()) == (False, before, before)
    await bus.execute(command("RegisterUser", "r9", user="eve", name="Eve", email="e@example.test"))
    again = await bus.execute(command("SweepOrders", "s2", market="m"))
    assert again == (first.receipt, first.position, True)


async def test_two_processes_never_spend_the_same_cent(
    tmp_path: Path, log: EventLog, bus: CommandBus
) -> None:
    program = textwrap.dedent(
        """
        import asyncio, sys
        from core.event_log.log import EventLog
        from engines.event_sourcing.command_bus import CommandBus
        from engines.market.errors import FundsInsufficient
        from gateway.market.domain import MARKET
        from tests.engines.event_sourcing.market_commands import order

        async def main() -> None:
            done = 0
            async with EventLog(sys.argv[1]) as log:
                bus = CommandBus(log, MARKET)
                async def place(number: int) -> int:
                    try:
                        answer = await bus.execute(order(f"o{number}", "ann", price=1, size=20))
                        return not answer.repeated
                    except FundsInsufficient:
                        return 0
                for round in range(20):
                    done += sum(await asyncio.gather(*[place(40 * round + n) for n in range(40)]))
                await bus.close()
            print(done)

        asyncio.run(main())
        """
    )
    start = [sys.executable, "-c", program, str(tmp_path / "log")]
    others = [
        await asyncio.create_subprocess_exec(*start, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    told = [await other.communicate() for other in others]
    assert [other.returncode for other in others] == [0, 0], told
    done = sum(int(output) for output, _ in told)
    assert done == 10_000 // 20  # as many as the money lasts for, each id once
    account = bus.aggregates.load("account-ann").state
    assert account.available == 0
    hashes(CommandBus(log, MARKET))


async def test_answers_what_waits_before_it_closes_and_takes_no_more(log: EventLog, bus: CommandBus) -> None:
    waiting = asyncio.create_task(bus.execute(order("o1", "ann")))
    await asyncio.sleep(0)
    await bus.close()
    assert (await waiting).receipt.status == "resting"
    with pytest.raises(EngineStopped):
        await bus.execute(order("o2", "ann"))


async def test_tells_everybody_that_the_log_is_closed(log: EventLog, bus: CommandBus) -> None:
    await log.close()
    with pytest.raises(LogClosed):
        await bus.execute(order("o1", "ann"))


async def test_an_event_that_is_not_the_domains_is_told_and_harms_no_other(
    log: EventLog, bus: CommandBus
) -> None:
    await log.append("account-eve", [Draft("Nonsense", b"\xc1")])
    with pytest.raises(Exception, match="MessagePack"):
        await bus.execute(order("o1", "eve"))
    assert (await bus.execute(order("o2", "ann"))).receipt.status == "resting"
