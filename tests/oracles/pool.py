"""Decide which connection an exchange gets, by walking lists: the oracle of core/_fast/pool.

Slots and waiters are whatever the caller names them by. Times are ns.
"""

from dataclasses import dataclass, field


@dataclass
class SlowPool:
    max_connections: int
    max_idle: int
    max_waiting: int
    keep_alive: int
    connecting: list[object] = field(default_factory=list)
    busy: list[object] = field(default_factory=list)
    idle: list[tuple[object, int]] = field(default_factory=list)  # (slot, idle since), oldest first
    waiting: list[object] = field(default_factory=list)  # first come first

    @property
    def connections(self) -> int:
        return len(self.connecting) + len(self.busy) + len(self.idle)

    def take(self, now: int) -> object | None:
        """Return the slot that became idle last, unless even that one is too old."""
        if not self.idle or now - self.idle[-1][1] >= self.keep_alive:
            return None
        slot, _ = self.idle.pop()
        self.busy.append(slot)
        return slot

    def may_open(self) -> bool:
        return self.connections < self.max_connections

    def reserve(self, slot: object) -> None:
        self.connecting.append(slot)

    def opened(self, slot: object) -> None:
        self.connecting.remove(slot)
        self.busy.append(slot)

    def give(self, slot: object, now: int) -> bool:
        """Return whether a busy slot is kept."""
        self.busy.remove(slot)
        if len(self.idle) >= self.max_idle:
            return False
        self.idle.append((slot, now))
        return True

    def drop(self, slot: object) -> None:
        for slots in (self.connecting, self.busy):
            if slot in slots:
                slots.remove(slot)
        self.idle = [(other, since) for other, since in self.idle if other is not slot]

    def expired(self, now: int) -> list[object]:
        """Return every slot that has been idle too long, oldest first."""
        return [slot for slot, since in self.idle if now - since >= self.keep_alive]

    def may_wait(self) -> bool:
        """Tell whether the queue takes one more: who waits for a connection being opened does not count."""
        return len(self.waiting) - len(self.connecting) < self.max_waiting
