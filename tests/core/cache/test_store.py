"""The store of caches: bytes, eviction, names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core._fast.cache_slot import Slot
from core.cache.store import Store


def filled(limit: int, *keys: str, size: int = 10) -> Store[Slot]:
    store: Store[Slot] = Store(limit)
    for key in keys:
        assert store.put(Slot(key, size))
    return store


def test_finds_what_was_put_in() -> None:
    store = filled(100, "a", "b")
    found = store.find("a")
    assert found is not None
    assert (found.key, found.seen) == ("a", 1)
    assert store.find("c") is None
    assert store.drop("a") is found
    assert (store.find("a"), store.used, len(store)) == (None, 10, 1)


def test_what_is_larger_than_the_limit_is_not_taken_and_what_it_replaces_goes() -> None:
    store = filled(100, "a")
    assert not store.put(Slot("a", 101))
    assert (len(store), store.used) == (0, 0)


def test_one_replaces_another_of_its_key() -> None:
    store = filled(100, "a")
    store.put(Slot("a", 30, (b"t",)))
    store.put(Slot("a", 20))
    assert (len(store), store.used, store.keys_named(b"t")) == (1, 20, frozenset())


def test_a_scan_does_not_drive_out_what_is_asked_for() -> None:
    store = filled(1000, *"abcde")
    for _ in range(2):
        for key in "abcde":
            store.find(key)
    for number in range(1000):
        store.put(Slot(f"scan{number}", 10))
    assert all(store.find(key) is not None for key in "abcde")
    assert store.evicted == 1005 - len(store)


def test_what_left_early_and_comes_back_proves_useful() -> None:
    store = filled(100, *map(str, range(11)))
    assert store.find("0") is None
    again = Slot("0", 10)
    store.put(again)
    assert again.main


def test_a_lower_limit_lets_slots_go_at_once() -> None:
    store = filled(100, *map(str, range(10)))
    store.limit = 35
    assert (store.limit, store.used, len(store)) == (35, 30, 3)


def test_names_lead_to_the_slots_that_have_them() -> None:
    store: Store[Slot] = Store(100)
    store.put(Slot("a", 1, (b"red", b"big")))
    store.put(Slot("b", 1, (b"red",)))
    assert store.keys_named(b"red") == {"a", "b"}
    assert store.drop_all(store.keys_named(b"big")) == 1
    assert store.keys_named(b"red") == {"b"}
    assert store.names_from(b"r") == {b"red"}
    assert store.clear() == 1
    assert (store.used, store.names_from(b"")) == (0, set())


actions = st.lists(
    st.tuples(st.sampled_from(["put", "find", "drop", "limit"]), st.integers(0, 12), st.integers(0, 60)),
    max_size=80,
)


@given(actions)
def test_never_holds_more_than_its_limit_nor_anything_that_was_not_put_in(
    actions: list[tuple[str, int, int]],
) -> None:
    store: Store[Slot] = Store(100)
    latest: dict[int, Slot] = {}
    for action, key, size in actions:
        if action == "put":
            latest[key] = Slot(key, size, (b"%d" % (size % 3),))
            assert store.put(latest[key]) == (size <= store.limit)
            assert (store.find(key) is latest[key]) == (size <= store.limit)
        elif action == "find":
            assert store.find(key) in (None, latest.get(key))
        elif action == "drop":
            store.drop(key)
            assert store.find(key) is None
        else:
            store.limit = size
        assert store.used == sum(slot.size for slot in store.items.values()) <= store.limit
        for name in (b"0", b"1", b"2"):
            assert store.keys_named(name) == {key for key, slot in store.items.items() if name in slot.names}
