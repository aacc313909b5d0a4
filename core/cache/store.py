"""Keep things in memory up to a number of bytes, and let go of those that nobody asks for.

Eviction is S3-FIFO (Yang et al., SOSP 2023): what is new waits in a small queue; what is asked for there
moves to the main queue, the rest leaves early, so that things asked for once do not drive out the others.
What left early and comes back goes straight to the main queue. The rule it guards: never more bytes than the
limit. Used by core/cache/enhanced_cache and core/cache/http_cache.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from core._fast.cache_slot import Slot

SMALL_SHARE = 10  # the small queue has one part in so many
PROMOTED = 2  # asked for so often in the small queue, a thing moves to the main one
GHOSTS = 64  # keys that are remembered at least

S = TypeVar("S", bound=Slot)


class Store(Generic[S]):
    """Find slots by key, and by the names that they have besides.

    limit: bytes of all slots; what a slot counts for is its maker's to say
    """

    def __init__(self, limit: int) -> None:
        self.items: dict[Hashable, S] = {}  # read by the gate of the cache plugin; changed only here
        self.used = 0
        self.evicted = 0  # slots that left because of the limit
        self._limit = limit
        self._small: OrderedDict[Hashable, S] = OrderedDict()
        self._main: OrderedDict[Hashable, S] = OrderedDict()
        self._ghosts: OrderedDict[Hashable, None] = OrderedDict()
        self._small_used = 0
        self._named: dict[bytes, set[Hashable]] = {}

    def __len__(self) -> int:
        return len(self.items)

    @property
    def limit(self) -> int:
        """Give the bytes that the slots may have together."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._make_room(0)

    def find(self, key: Hashable) -> S | None:
        """Return a slot, and note that it was asked for."""
        slot = self.items.get(key)
        if slot is not None and slot.seen < 3:
            slot.seen += 1
        return slot

    def put(self, slot: S) -> bool:
        """Take a slot in the place of one with the same key; False: it is larger than the limit."""
        old = self.drop(slot.key)
        if slot.size > self._limit:
            return False
        self._make_room(slot.size)
        if old is not None:
            slot.main, slot.seen = old.main, old.seen
        else:
            slot.main = slot.key in self._ghosts
            self._ghosts.pop(slot.key, None)
        self._append(slot)
        self.items[slot.key] = slot
        self.used += slot.size
        for name in slot.names:
            self._named.setdefault(name, set()).add(slot.key)
        return True

    def drop(self, key: Hashable) -> S | None:
        """Let go of a slot; return it, None: there was none."""
        slot = self.items.get(key)
        if slot is not None:
            del (self._main if slot.main else self._small)[key]
            self._forget(slot)
        return slot

    def drop_all(self, keys: Iterable[Hashable]) -> int:
        """Let go of slots; return how many there were."""
        return sum(self.drop(key) is not None for key in list(keys))

    def keys_named(self, name: bytes) -> frozenset[Hashable]:
        """Return the keys of the slots that have a name."""
        return frozenset(self._named.get(name, ()))

    def names_from(self, prefix: bytes) -> set[bytes]:
        """Return the names of slots that begin so; it looks at all of them."""
        return {name for name in self._named if name.startswith(prefix)}

    def clear(self) -> int:
        """Let go of everything; return how many slots there were."""
        count = len(self.items)
        for known in (self.items, self._small, self._main, self._ghosts, self._named):
            known.clear()
        self.used = self._small_used = 0
        return count

    def _append(self, slot: S) -> None:
        if slot.main:
            self._main[slot.key] = slot
        else:
            self._small[slot.key] = slot
            self._small_used += slot.size

    def _forget(self, slot: S) -> None:
        del self.items[slot.key]
        self.used -= slot.size
        if not slot.main:
            self._small_used -= slot.size
        for name in slot.names:
            keys = self._named[name]
            keys.discard(slot.key)
            if not keys:
                del self._named[name]

    def _make_room(self, size: int) -> None:
        while self.used + size > self._limit:
            if self._small and (self._small_used * SMALL_SHARE > self._limit or not self._main):
                self._leave_small()
            else:
                self._leave_main()

    def _leave_small(self) -> None:
        """Move the oldest of the small queue on, or out."""
        key, slot = self._small.popitem(last=False)
        if slot.seen >= PROMOTED:
            self._small_used -= slot.size
            slot.main, slot.seen = True, 0
            self._main[key] = slot
            return
        self._forget(slot)
        self.evicted += 1
        self._ghosts[key] = None
        while len(self._ghosts) > max(GHOSTS, len(self._main)):
            self._ghosts.popitem(last=False)

    def _leave_main(self) -> None:
        """Give the oldest of the main queue another round if it was asked for, else let it go."""
        key, slot = self._main.popitem(last=False)
        if slot.seen:
            slot.seen -= 1
            self._main[key] = slot
            return
        self._forget(slot)
        self.evicted += 1
