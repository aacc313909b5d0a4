"""Turns: many side by side, or one alone, which nobody new gets ahead of."""

import asyncio
from pathlib import Path

from engines.event_sourcing.turns import Turns


async def test_many_decide_side_by_side(tmp_path: Path) -> None:
    turns = [Turns(tmp_path, "bank") for _ in range(3)]
    for one in turns:
        await one.take(alone=False)
    for one in turns:
        one.give_back()
        one.close()


async def test_one_decides_alone_after_those_at_it_and_before_those_who_come(tmp_path: Path) -> None:
    first, alone, late = (Turns(tmp_path, "bank") for _ in range(3))
    order: list[str] = []

    async def take(turns: Turns, name: str, is_alone: bool) -> None:
        await turns.take(alone=is_alone)
        order.append(name)

    await first.take(alone=False)
    waiting = asyncio.create_task(take(alone, "alone", True))
    await asyncio.sleep(0)
    coming = asyncio.create_task(take(late, "late", False))
    await asyncio.sleep(0)
    assert order == []
    first.give_back()
    await waiting
    assert order == ["alone"]
    alone.give_back()
    await coming
    assert order == ["alone", "late"]
    for one in (first, alone, late):
        one.close()


async def test_domains_do_not_wait_for_each_other(tmp_path: Path) -> None:
    one, other = Turns(tmp_path, "bank"), Turns(tmp_path, "market")
    await one.take(alone=True)
    await other.take(alone=True)
    one.close()
    other.close()


async def test_a_turn_that_never_ends_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    hanging, other = Turns(tmp_path, "bank"), Turns(tmp_path, "bank", looks=3)
    await hanging.take(alone=True)
    await other.take(alone=True)
    other.give_back()
    for one in (hanging, other):
        one.close()
