"""How far a handler has come when events end in any order."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from engines.event_sourcing.handler_progress import Progress


def test_moves_past_an_event_only_when_all_before_it_are_done() -> None:
    progress = Progress()
    for position in (2, 5, 9):
        assert progress.begin(position)
    assert (progress.position, progress.beyond, progress.under_way) == (1, [], 3)
    progress.end(5)
    assert (progress.position, progress.beyond) == (1, [5])
    progress.end(2)
    assert (progress.position, progress.beyond) == (8, [])
    progress.end(9)
    assert progress.position == 9
    progress.reach(20)
    assert (progress.position, progress.begun) == (20, 20)


@given(st.sets(st.integers(1, 60), max_size=20), st.randoms(use_true_random=False), st.integers(0, 40))
def test_what_was_done_before_a_restart_is_not_begun_again_and_nothing_is_left_out(
    wanted: set[int], chance: Random, stop: int
) -> None:
    first, done = Progress(), set[int]()
    under_way: list[int] = []
    for position in sorted(wanted):
        first.begin(position)
        under_way.append(position)
        if len(under_way) > 3:
            done.add(ended := under_way.pop(chance.randrange(len(under_way))))
            first.end(ended)
        if len(done) == stop:
            break
    again = Progress(first.position, first.beyond)
    begun = {position for position in sorted(wanted) if position > again.begun and again.begin(position)}
    assert begun == wanted - done
