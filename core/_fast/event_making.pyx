"""Make an event log's file: whole and on the disk before it has its name.

Rule: a directory holds a log's file that was made to its end, or none, whenever the machine loses power; what a
making that was cut short left behind is removed by the next one. Two processes may make a log at once: one of
the two files gets the name, and both processes use that. core/_fast/event_store calls.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time

from core._fast.event_env cimport EventEnv

cdef str PREFIX = ".making-"
cdef str FILE = "data.mdb"
cdef int YOUNG = 60          # seconds


cdef int make_log(str path, size_t map_size, int64_t now_ns, int64_t end_ns) except -1:
    os.makedirs(path, mode=0o700, exist_ok=True)
    remove_leftovers(path)
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=path)
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        EventEnv(folder, map_size=map_size, make=True, read_only=False, now_ns=now_ns, end_ns=end_ns).close()
        with contextlib.suppress(FileExistsError):
            os.link(os.path.join(folder, FILE), os.path.join(path, FILE))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)
    return 0


def remove_leftovers(path):
    """Remove what makings left that were cut short: their locks are free, and they are not of this minute."""
    for name in os.listdir(path):
        folder = os.path.join(path, name)
        if not name.startswith(PREFIX):
            continue
        with contextlib.suppress(OSError):      # NOTE: it is gone, or another process makes it
            # NOTE: a moment passes between the making of a folder and its lock.
            if time.time() - os.stat(folder).st_mtime < YOUNG:
                continue
            held = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(held)
