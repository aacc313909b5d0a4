"""A list of pairs that behaves as core._fast.headers.Headers must."""

import re

NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


def is_valid(name: bytes, value: bytes) -> bool:
    """Tell whether a field may be set."""
    return NAME.fullmatch(name) is not None and VALUE.fullmatch(value) is not None


class HeaderList:
    """Header fields as (name, value) pairs."""

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []

    def get_all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.pairs if key.lower() == name.lower()]

    def add(self, name: bytes, value: bytes) -> None:
        self.pairs.append((name, value.strip(b" \t")))

    def set(self, name: bytes, value: bytes) -> None:
        """Replace the first field of that name and drop the others, or append."""
        places = [i for i, (key, _) in enumerate(self.pairs) if key.lower() == name.lower()]
        if not places:
            self.add(name, value)
            return
        self.pairs[places[0]] = (name, value.strip(b" \t"))
        self.pairs = [pair for i, pair in enumerate(self.pairs) if i not in places[1:]]

    def remove(self, name: bytes) -> int:
        before = len(self.pairs)
        self.pairs = [(key, value) for key, value in self.pairs if key.lower() != name.lower()]
        return before - len(self.pairs)
