"""Call LMDB from C: the functions of the lmdb package's own extension, found once when this is imported.

Rule: one LMDB in the process, the pinned one. The package's Python objects lock, count and allocate for every
call and hold the interpreter between two of them; a whole transaction here runs without it.
core/_fast/event_env and the modules that stand on it call; nothing else does.

NOTE: the package holds two versions of LMDB; the functions whose names begin with mdb09 are version 0.9.
"""

import lmdb.cpython

from libc.string cimport memset

cdef extern from "<dlfcn.h>" nogil:
    void* dlopen(const char* path, int flags)
    void* dlsym(void* library, const char* name)
    char* dlerror()
    enum:
        RTLD_NOW
        RTLD_NOLOAD

REQUIRED = (0, 9, 36)
# NOTE: in the order of the struct's members.
cdef tuple NAMES = (
    b"version", b"strerror", b"env_create", b"env_open", b"env_copy2", b"env_stat", b"env_info", b"env_sync",
    b"env_close", b"env_set_mapsize", b"env_set_maxreaders", b"env_set_maxdbs", b"txn_begin", b"txn_id",
    b"txn_commit", b"txn_abort", b"txn_reset", b"txn_renew", b"dbi_open", b"dbi_close", b"stat", b"drop", b"get",
    b"put", b"del", b"cursor_open", b"cursor_close", b"cursor_get", b"cursor_put", b"reader_check",
)


def version():
    """Return the version of the LMDB that is called, as (major, minor, patch)."""
    cdef int[3] parts
    mdb.version(&parts[0], &parts[1], &parts[2])
    return (parts[0], parts[1], parts[2])


def describe(int code):
    """Say in words what a code of LMDB, or of the system, means."""
    return mdb.strerror(code).decode()


cdef int find_functions(bytes path) except -1:
    cdef void** member = <void**>&mdb
    cdef void* library = dlopen(path, RTLD_NOW | RTLD_NOLOAD)
    if library == NULL:
        raise ImportError(f"the lmdb package's extension is not loaded: {dlerror().decode()}")
    if sizeof(Functions) != len(NAMES) * sizeof(void*):
        raise ImportError("core._fast.mdb names other functions than it declares")
    for name in NAMES:
        member[0] = dlsym(library, b"mdb09_" + name)
        if member[0] == NULL:
            raise ImportError(f"no function mdb09_{name.decode()} in the lmdb package: is it version 3.0.0?")
        member += 1
    return 0


memset(&mdb, 0, sizeof(mdb))
find_functions(lmdb.cpython.__file__.encode())
if version() != REQUIRED:
    raise ImportError(f"LMDB is {version()}, not {REQUIRED}: is lmdb==3.0.0 installed?")
