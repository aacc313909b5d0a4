"""The protocol of core/_fast/table, one atomic step at a time, and a walk through every interleaving of it.

A process is a generator: it yields what it does to the memory and is sent what it gets. A killed process is
one that is never resumed, so what holds in every state holds however processes are killed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Cell = tuple[int, int]  # key, value
Step = tuple[Any, ...]
Process = Generator[Step, Any, str]  # returns its outcome
Actor = Callable[[range], Process]  # given the places of the cells
NOW, INTERVAL = 100, 10  # a window of one request: a second take at NOW is refused
EXPIRED, EMPTY = 1, (0, 0)


def find(cells: range, key: int, besides: int = -1) -> Generator[Step, Any, tuple[int, int] | None]:
    """Return place and value of the key's cell, a time before a claim."""
    claimed = None
    for place in cells:
        if place != besides and (yield "key", place) == key:
            value = yield "value", place
            if (yield "key", place) == key:
                if value >= 0:
                    return place, value
                claimed = claimed or (place, value)
    return claimed


def claim(cells: range, key: int, pick: int) -> Generator[Step, Any, tuple[int, int] | None]:
    """Return place and claim (0: another was faster), or None if no cell may be claimed.

    Which of the free cells a process takes depends on what it saw: the first (pick 0) stands for all that may
    differ from the last (pick -1).
    """
    free: list[tuple[int, Cell]] = []
    claims: list[tuple[int, Cell]] = []
    for place in cells:
        holder = yield "key", place
        value = yield "value", place
        if holder == 0 or 0 <= value <= EXPIRED:
            free.append((place, (holder, value)))
        elif value < 0:
            claims.append((place, (holder, value)))
    if not free + claims:
        return None
    place, seen = (free or claims)[pick]
    mine = yield ("nonce",)
    swapped = yield "swap", place, seen, (key, -mine)
    return place, -mine if swapped else 0


def take(key: int, pick: int = 0) -> Actor:
    """Return an actor that takes a request from a window of one: admitted, refused, full or tired."""

    def process(cells: range) -> Process:
        for _ in range(4):
            found = yield from find(cells, key)
            if found is None:
                found = yield from claim(cells, key, pick)
                if found is None:
                    return "full"
                if found[1] == 0:
                    continue
            place, value = found
            if value < 0:
                other = yield from find(cells, key, besides=place)
                if other is not None:
                    if other[1] >= 0 or other[0] < place:
                        yield "swap", place, (key, value), EMPTY
                    else:
                        yield "swap", other[0], (key, other[1]), EMPTY
                    continue
            elif value > NOW:
                return "refused"
            if (yield "swap", place, (key, value), (key, NOW + INTERVAL)):
                return "admitted"
        return "tired"

    return process


def haunt(key: int, place: int) -> Actor:
    """Return an actor that claims an empty place without looking, and dies."""

    def process(_cells: range) -> Process:
        mine = yield ("nonce",)
        yield "swap", place, EMPTY, (key, -mine)
        return "dead"

    return process


@dataclass(frozen=True)
class State:
    """A memory; of each process all it was sent, all that decides what it will do, and its outcome."""

    cells: tuple[Cell, ...]
    nonce: int
    sent: tuple[tuple[Any, ...], ...]
    positions: tuple[tuple[Any, ...], ...]
    outcomes: tuple[str, ...]


def perform(cells: tuple[Cell, ...], nonce: int, step: Step) -> tuple[tuple[Cell, ...], int, Any]:
    """Return the memory after a step, and what the process is sent."""
    match step:
        case "key", place:
            return cells, nonce, cells[place][0]
        case "value", place:
            return cells, nonce, cells[place][1]
        case ("nonce",):
            return cells, nonce + 1, nonce + 1
        case "swap", place, old, new:
            if cells[place] != old:
                return cells, nonce, False
            return (*cells[:place], new, *cells[place + 1 :]), nonce, True
    raise AssertionError(step)


def position(process: Any) -> tuple[Any, ...]:
    """Return what decides all that a process will do: where it stands and its variables, call by call."""
    chain = []
    while process is not None:
        chain.append((process.gi_frame.f_lasti, repr(process.gi_frame.f_locals)))
        process = process.gi_yieldfrom
    return tuple(chain)


def advance(state: State, index: int, process: Process) -> State:
    """Return the state after one step of the process with that index, given unstarted."""
    step = next(process)
    for answer in state.sent[index]:
        step = process.send(answer)
    cells, nonce, answer = perform(state.cells, state.nonce, step)
    outcome: str = ""
    try:
        process.send(answer)
        place = position(process)
    except StopIteration as stop:
        outcome, place = stop.value, ()

    def changed(old: tuple[Any, ...], new: Any) -> tuple[Any, ...]:
        return (*old[:index], new, *old[index + 1 :])

    return State(
        cells,
        nonce,
        changed(state.sent, (*state.sent[index], answer)),
        changed(state.positions, place),
        changed(state.outcomes, outcome),
    )


def walk(cells: tuple[Cell, ...], actors: Sequence[Actor]) -> Iterator[State]:
    """Yield every state that these actors can bring about, each acting once, all at the same time."""
    none = ((),) * len(actors)
    todo = [State(cells, 0, none, none, ("",) * len(actors))]
    known = set()
    while todo:
        state = todo.pop()
        yield state
        for index, actor in enumerate(actors):
            if not state.outcomes[index]:
                then = advance(state, index, actor(range(len(cells))))
                mark = (then.cells, then.nonce, then.positions, then.outcomes)
                if mark not in known:
                    known.add(mark)
                    todo.append(then)


def alone(state: State, actor: Actor) -> str:
    """Return the outcome of one more actor while all others stand still for ever."""
    process = actor(range(len(state.cells)))
    cells, nonce, step = state.cells, state.nonce, next(process)
    while True:
        cells, nonce, answer = perform(cells, nonce, step)
        try:
            step = process.send(answer)
        except StopIteration as stop:
            return str(stop.value)
