"""An LMDB file read by its layout alone, slow and trusting: the measure of core/_fast/event_pages."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

HEADER = 16
META = struct.Struct(
    "<IIQQ"
)  # magic, version, address, size of the map; then two trees, last page, transaction
TREE = struct.Struct("<IHHQQQQQ")  # pad, flags, depth, branch, leaf and overflow pages, entries, root
NOWHERE = 2**64 - 1

Tree = tuple[int, int, int, int, int, int, int, int]


@dataclass
class LmdbFile:
    """The newest snapshot of a file: its trees' entries, and which of its bytes say something."""

    data: bytes
    told: set[int] = field(default_factory=set)  # offsets of bytes that mean something
    harmless: set[int] = field(default_factory=set)  # of keys that part pages, which may change within bounds
    free: set[int] = field(default_factory=set)  # pages
    page_size: int = 0
    newest: int = 0  # meta page
    last_page: int = 0
    trees: dict[str, list[tuple[bytes, bytes]]] = field(default_factory=dict)  # entries of each named tree

    def __post_init__(self) -> None:
        (self.page_size,) = struct.unpack_from("<I", self.data, HEADER + 24)
        numbers = [struct.unpack_from("<Q", self.data, page * self.page_size + 144)[0] for page in (0, 1)]
        self.newest = numbers.index(max(numbers))
        (self.last_page,) = struct.unpack_from("<Q", self.data, self.newest * self.page_size + 136)
        for _, value in self.entries(self.meta_tree(0)):
            count, *_ = struct.unpack_from("<Q", value)
            self.free.update(struct.unpack_from(f"<{count}Q", value, 8))
        for name, record in list(self.entries(self.meta_tree(1))):
            self.trees[name.decode()] = list(self.entries(TREE.unpack(record)))

    def meta_tree(self, which: int) -> Tree:
        """Return a tree's record in the newest meta page: 0 the free pages, 1 the other trees."""
        at = self.newest * self.page_size + HEADER + META.size + which * TREE.size
        return TREE.unpack_from(self.data, at)

    def entries(self, tree: Tree) -> Iterator[tuple[bytes, bytes]]:
        """Yield a tree's entries in order."""
        if tree[-1] != NOWHERE:
            yield from self._page(tree[-1])

    def _page(self, number: int) -> Iterator[tuple[bytes, bytes]]:
        start = number * self.page_size
        flags, lower = struct.unpack_from("<HH", self.data, start + 10)
        self.told.update(range(start, start + lower))
        offsets = struct.unpack_from(f"<{(lower - HEADER) // 2}H", self.data, start + HEADER)
        for index, offset in enumerate(offsets):
            at = start + offset
            low, high, node_flags, key_size = struct.unpack_from("<HHHH", self.data, at)
            self.told.update(range(at, at + 8 + key_size))
            key = self.data[at + 8 : at + 8 + key_size]
            size = low | high << 16
            if flags & 1:
                if index == 0:
                    self.harmless.update(range(at + 8, at + 8 + key_size))
                self.harmless.update(range(at + 8, at + 8 + key_size))
                yield from self._page(size | node_flags << 32)
            elif node_flags & 1:
                self.told.update(range(at + 8 + key_size, at + 16 + key_size))
                (page,) = struct.unpack_from("<Q", self.data, at + 8 + key_size)
                begin = page * self.page_size
                self.told.update(range(begin, begin + HEADER + size))
                yield key, self.data[begin + HEADER : begin + HEADER + size]
            else:
                self.told.update(range(at + 8 + key_size, at + 8 + key_size + size))
                yield key, self.data[at + 8 + key_size : at + 8 + key_size + size]
