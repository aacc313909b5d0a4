"""Memory that all processes of one gateway share: a mapped file for a data directory and a purpose.

The file lies in /dev/shm, because writers to a mapped file on a disk stall while it is written back; without
/dev/shm it lies in the data directory. It outlives a restart, not a reboot: CLOCK_MONOTONIC starts anew then.

The rule: whoever has a region open sees the same bytes as all others who have it open, laid out as it asked
for, or gets an error. A file is only made anew while nobody else holds it. All locks here are the kernel's
and end with their holder. Called at start-up by the gateway, for rate limits and metrics. Linux only.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import secrets
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from core.errors import AgoraError

SHM = Path("/dev/shm")  # noqa: S108  (private files, checked below)
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
HEADER_SIZE = 4096  # so that what follows begins a page

_HEADER = struct.Struct("=8s 16s Q 64s 32s 1024s")  # magic, boot id, size, layout, secret, data directory
_MAGIC = b"agora\0\0\1"
_FLOCK = struct.Struct("hhqqi4x")  # struct flock: type, whence, start, length, process

# Bytes of the file that stand for something to be locked; they need not exist.
_OPENING = 0
_EXCLUSIVE = 1
_SLOTS = 16


class SharedMemoryUnusable(AgoraError):
    """Report that shared memory cannot be had: permission, space, or a file that is not ours."""

    slug = "shared-memory-unusable"
    title = "Shared memory unusable"


class SharedMemoryInUse(AgoraError):
    """Refuse to lay out a region anew, or to take a slot of it, while another process uses it."""

    slug = "shared-memory-in-use"
    title = "Shared memory in use"


class Region:
    """Hold one mapped file; made by ``Region.open``.

    path:    the file
    buffer:  the bytes after the header, writable, beginning a page; zero when the region was made
    secret:  32 random bytes, the same for all who have the region open
    created: this call made the region
    """

    def __init__(self, path: Path, fd: int, mapping: mmap.mmap, secret: bytes, created: bool) -> None:
        self.path = path
        self.secret = secret
        self.created = created
        self._fd = fd
        # SAFETY: the mapping keeps a duplicate of the descriptor, and with it the lock that says the region
        # is held, until the last user of the buffer is gone: no file is cut short under a pointer into it.
        self._mapping = mapping
        self.buffer = memoryview(mapping)[HEADER_SIZE:]
        self._claims: dict[int, int] = {}
        self._turn = Lock()
        self._turn_fd = self._reopen()  # kept, for when descriptors run out: new things are counted then

    @classmethod
    def open(cls, data_dir: Path, name: str, size: int, layout: str, *, fresh: bool = False) -> Region:
        """Map the region of a data directory, made first if it is missing, outdated or of another layout.

        size:   bytes
        layout: format and shape in at most 64 ASCII characters; those who differ in it never share a region
        fresh:  make it anew if nobody else holds it
        Raises SharedMemoryUnusable, or SharedMemoryInUse if others hold it with another size or layout.
        """
        data_dir = data_dir.resolve()
        path = region_path(data_dir, name)
        while True:
            fd = _open_file(path)
            try:
                _lock(fd, _OPENING)
                if not _is_at(fd, path):
                    os.close(fd)  # removed while we waited
                    continue
                return cls._enter(path, fd, data_dir, size, layout, fresh)
            except BaseException:
                with suppress(OSError):
                    os.close(fd)
                raise

    @classmethod
    def _enter(cls, path: Path, fd: int, data_dir: Path, size: int, layout: str, fresh: bool) -> Region:
        """Map an open file, under the lock that lets one process at a time do so."""
        alone = _try_hold_alone(fd)
        wanted = (_MAGIC, _boot_id(), size, layout.encode("ascii").ljust(64, b"\0"))
        found = _read_header(fd)
        created = found[:4] != wanted or (fresh and alone)
        if created:
            if not alone:
                theirs = found[3].rstrip(b"\0").decode("ascii", "replace")
                raise SharedMemoryInUse(
                    f"{path} is held by others as '{theirs}' ({found[2]} bytes), not as '{layout}' ({size}); "
                    "stop the gateway that uses this data directory first"
                )
            owner = os.fsencode(data_dir)
            found = (*wanted, secrets.token_bytes(32), owner if len(owner) <= 1024 else b"/")
            _make(fd, path, HEADER_SIZE + size, _HEADER.pack(*found))
            sweep()
        fcntl.flock(fd, fcntl.LOCK_SH)
        mapping = mmap.mmap(fd, HEADER_SIZE + size)
        _unlock(fd, _OPENING)
        return cls(path, fd, mapping, found[4], created)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Let one process (and thread) at a time do something rare and short.

        NOTE: a process forked without exec shares its parent's turn.
        """
        with self._turn:
            _lock(self._turn_fd, _EXCLUSIVE)
            try:
                yield
            finally:
                _unlock(self._turn_fd, _EXCLUSIVE)

    def claim(self, slot: int) -> None:
        """Own a numbered slot until ``release`` or the end of this process; raises SharedMemoryInUse.

        NOTE: a process forked without exec shares its parent's claims, and they last until both are gone.
        """
        fd = self._reopen()
        try:
            _lock(fd, _SLOTS + slot, wait=False)
        except OSError as error:
            os.close(fd)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise SharedMemoryInUse(f"slot {slot} of {self.path} is owned by a running process") from None
        self._claims[slot] = fd

    def release(self, slot: int) -> None:
        """Give a slot back."""
        os.close(self._claims.pop(slot))

    def is_claimed(self, slot: int) -> bool:
        """Say whether a running process owns the slot."""
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _SLOTS + slot, 1, 0)
        answer = fcntl.fcntl(self._fd, fcntl.F_OFD_GETLK, asked)
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)

    def close(self) -> None:
        """Let go of the region; what still points into its buffer keeps it mapped and held."""
        for slot in list(self._claims):
            self.release(slot)
        if self._fd >= 0:
            os.close(self._turn_fd)
            os.close(self._fd)
            self._fd = -1
            self.buffer = memoryview(b"")
            del self._mapping

    def unlink(self) -> None:
        """Remove the file; those who have it open keep their memory, the next to open gets a new one."""
        self.path.unlink(missing_ok=True)

    def _reopen(self) -> int:
        """Return a descriptor of its own for the same file: locks belong to what ``open`` returned."""
        return os.open(f"/proc/self/fd/{self._fd}", os.O_RDWR | os.O_CLOEXEC)


def region_path(data_dir: Path, name: str) -> Path:
    """Return where the region of a data directory lies."""
    if not data_dir.is_dir():
        raise SharedMemoryUnusable(f"the data directory {data_dir} does not exist")
    if not (SHM.is_dir() and os.access(SHM, os.W_OK | os.X_OK)):
        return data_dir / f"{name}.shm"
    status = data_dir.stat()
    identity = f"{data_dir.resolve()}:{status.st_dev}:{status.st_ino}"
    return SHM / f"{_prefix()}{hashlib.sha256(identity.encode()).hexdigest()[:16]}-{name}"


def sweep(inside: Path | None = None) -> None:
    """Remove what nobody holds in /dev/shm and whose data directory is gone, or lies inside a folder.

    Every making of a region sweeps. A folder is for test suites, whose gateways come and go by the hundred.
    """
    for left in SHM.glob(f"{_prefix()}*"):
        with suppress(OSError, SharedMemoryUnusable):
            fd = _open_file(left, make=False)
            try:
                _lock(fd, _OPENING, wait=False)
                magic, *_, owner = _read_header(fd)
                data_dir = Path(os.fsdecode(owner))
                wanted = data_dir.exists() and not (inside and data_dir.is_relative_to(inside.resolve()))
                unfinished = not any(magic)  # its maker died, or waits for the lock and will make another
                if (
                    (unfinished or (magic == _MAGIC and not wanted))
                    and _try_hold_alone(fd)
                    and _is_at(fd, left)
                ):
                    left.unlink()
            finally:
                os.close(fd)


def _prefix() -> str:
    return f"agora-{os.geteuid()}-"


def _open_file(path: Path, *, make: bool = True) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags | os.O_CREAT if make else flags, 0o600)
    except OSError as error:
        raise SharedMemoryUnusable(f"cannot open {path}: {error.strerror}") from error
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        os.close(fd)
        raise SharedMemoryUnusable(
            f"{path} is not a private file of user {os.geteuid()} (owner {status.st_uid}, "
            f"mode {stat.S_IMODE(status.st_mode):o}); remove it"
        )
    return fd


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _boot_id() -> bytes:
    try:
        return bytes.fromhex(BOOT_ID.read_text().strip().replace("-", ""))
    except OSError as error:
        raise SharedMemoryUnusable(f"cannot read the boot's id: {BOOT_ID}: {error.strerror}") from error


def _read_header(fd: int) -> tuple[bytes, bytes, int, bytes, bytes, bytes]:
    found = os.pread(fd, _HEADER.size, 0).ljust(_HEADER.size, b"\0")
    magic, boot, size, layout, secret, data_dir = _HEADER.unpack(found)
    return magic, boot, size, layout, secret, data_dir.rstrip(b"\0")


def _make(fd: int, path: Path, size: int, header: bytes) -> None:
    """Make the file anew: all its memory now, so that none is missing later; what makes it valid last."""
    try:
        os.ftruncate(fd, 0)
        # SAFETY: a page that cannot be had when it is first touched is a SIGBUS; here it is an error.
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        os.ftruncate(fd, 0)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise SharedMemoryUnusable(f"cannot make {path}: {error.strerror}") from error
        free = os.statvfs(path.parent)
        raise SharedMemoryUnusable(
            f"{path.parent} has no room for {size} bytes ({free.f_bavail * free.f_frsize} are free); "
            "make it larger (a container's --shm-size) or the table smaller"
        ) from error
    os.pwrite(fd, header[8:], 8)
    os.pwrite(fd, header[:8], 0)


def _try_hold_alone(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock(fd: int, byte: int, *, wait: bool = True) -> None:
    command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
    fcntl.fcntl(fd, command, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0))


def _unlock(fd: int, byte: int) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, byte, 1, 0))
