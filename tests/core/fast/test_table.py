"""The protocol of the table, walked through; that the compiled table follows it is test_limiter's to show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.oracles import table
from tests.oracles.table import EMPTY, EXPIRED, NOW, Actor, Cell, Process, State, haunt, take, walk

OTHERS: Cell = (7, EXPIRED)  # another key's time has passed: the cell is free
DEAD: Cell = (1, -50)  # a claim that a killed process left
CASTS: dict[str, tuple[tuple[Cell, ...], list[Actor]]] = {
    "two meet a new key": ((EMPTY, EMPTY), [take(1), take(1, -1)]),
    "two meet a new key among expired ones": ((OTHERS, EMPTY), [take(1), take(1, -1)]),
    "two meet a key whose time has passed": (((1, EXPIRED), EMPTY), [take(1), take(1, -1)]),
    "two meet a claim of the dead": ((EMPTY, DEAD), [take(1), take(1, -1)]),
    "two meet a claim of the dead while another dies": ((DEAD, EMPTY), [take(1), take(1, -1), haunt(1, 1)]),
    "two meet a new key while another claims it and dies": (
        (EMPTY, EMPTY),
        [take(1), take(1, -1), haunt(1, 0)],
    ),
    "another key wants the only free cell": ((OTHERS,), [take(1), take(2)]),
    "an expired key comes back while its cell is taken": (((1, EXPIRED), EMPTY), [take(1, -1), take(2)]),
}


def faults(states: Iterator[State], key: int = 1) -> Iterator[State]:
    """Yield the states in which the key was admitted twice, or would be by one more if all others died."""
    for state in states:
        times = [value for holder, value in state.cells if holder == key and value > NOW]
        admitted = len(times)
        if admitted > 1 or (admitted == 1 and table.alone(state, take(key)) == "admitted"):
            yield state


@pytest.mark.parametrize("cast", CASTS)
def test_admits_a_key_once_in_every_interleaving_with_deaths_at_every_step(cast: str) -> None:
    cells, actors = CASTS[cast]
    assert next(faults(walk(cells, actors)), None) is None


@pytest.mark.parametrize("cast", CASTS)
def test_lets_one_more_decide_whoever_died_where(cast: str) -> None:
    cells, actors = CASTS[cast]
    possible = {table.alone(state, take(1)) for state in walk(cells, actors)}
    assert possible <= ({"admitted", "refused", "full"} if len(cells) == 1 else {"admitted", "refused"})


def test_admits_one_of_two_when_none_dies() -> None:
    ends = [state.outcomes for state in walk((EMPTY, EMPTY), [take(1), take(1, -1)]) if all(state.outcomes)]
    assert {tuple(sorted(outcomes)) for outcomes in ends} == {("admitted", "refused")}


def careless(key: int, pick: int, *, looks: bool) -> Actor:
    """Return an actor that, unlike `take`, does not always look again before a claim becomes a time."""

    def process(cells: range) -> Process:
        for _ in range(4):
            found = yield from table.find(cells, key)
            if found is None:
                found = yield from table.claim(cells, key, pick)
                if found is None or found[1] == 0:
                    continue
                if looks and (yield from table.find(cells, key, besides=found[0])) is not None:
                    yield "swap", found[0], (key, found[1]), EMPTY
                    continue
            elif found[1] > NOW:
                return "refused"
            if (yield "swap", found[0], (key, found[1]), (key, NOW + 10)):
                return "admitted"
        return "tired"

    return process


@pytest.mark.parametrize(
    "actors",
    [
        [careless(1, 0, looks=False), careless(1, -1, looks=False)],
        [careless(1, 0, looks=True), careless(1, -1, looks=True), haunt(1, 0), haunt(1, 1)],
    ],
    ids=["without a second look", "with a second look at one's own claims only"],
)
def test_the_walk_finds_the_faults_of_careless_protocols(actors: Sequence[Actor]) -> None:
    assert next(faults(walk((EMPTY, EMPTY), actors)), None) is not None
