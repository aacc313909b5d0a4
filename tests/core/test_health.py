"""What is thought of a server's health."""

from hypothesis import given
from hypothesis import strategies as st

from core.health import Health


def test_goes_out_after_bad_answers_in_a_row_and_comes_back_after_good_ones() -> None:
    health = Health(3, 2)
    assert [health.note(False) for _ in range(3)] == [False, False, True]
    assert not health.healthy
    assert [health.note(good) for good in (True, False, True, True)] == [False, False, False, True]
    assert health.healthy


@given(st.integers(1, 5), st.integers(1, 5), st.lists(st.booleans(), max_size=60))
def test_is_what_its_last_answers_say(unhealthy: int, healthy: int, answers: list[bool]) -> None:
    health = Health(unhealthy, healthy)
    thought = True
    for end, answer in enumerate(answers, 1):
        needed = unhealthy if thought else healthy
        last = answers[max(0, end - needed) : end]
        changed = health.note(answer)
        if changed:
            assert len(last) == needed
            assert set(last) == {not thought}
            thought = not thought
        assert health.healthy == thought


@given(st.integers(1, 5), st.integers(1, 5), st.lists(st.booleans(), max_size=60), st.booleans())
def test_is_never_stuck(unhealthy: int, healthy: int, answers: list[bool], then: bool) -> None:
    health = Health(unhealthy, healthy)
    for answer in answers:
        health.note(answer)
    for _ in range(5):
        health.note(then)
    assert health.healthy == then
