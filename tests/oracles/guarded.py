"""Memory whose neighbours cannot be touched: a parser that reads one byte too far ends the process."""

import ctypes
import mmap

PAGE = mmap.PAGESIZE


class GuardedMemory:
    """Some pages between two that may not be read."""

    def __init__(self, pages: int = 16) -> None:
        self.size = pages * PAGE
        self.memory = mmap.mmap(-1, self.size + 2 * PAGE)
        first = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        for page in (first, first + PAGE + self.size):
            self.forbid(page)

    def forbid(self, address: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(PAGE), 0) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")

    def before_the_end(self, data: bytes) -> memoryview:
        """Return a view of a copy of the data whose last byte is the last readable one."""
        start = PAGE + self.size - len(data)
        self.memory[start : start + len(data)] = data
        return memoryview(self.memory)[start : start + len(data)]

    def after_the_start(self, data: bytes) -> memoryview:
        """Return a view of a copy of the data whose first byte is the first readable one."""
        self.memory[PAGE : PAGE + len(data)] = data
        return memoryview(self.memory)[PAGE : PAGE + len(data)]
