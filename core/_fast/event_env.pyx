"""Hold an event log's LMDB environment: its map, its handles, its transactions.

Rules: transactions run without the interpreter. While one runs, neither the map nor a handle changes; each
sees the catalogue of its own snapshot, also when another process began or dropped a segment. After a commit
that may have lost what was written before, there is no other until the log is opened anew.
core/_fast/event_store and its parts call.

NOTE: reading transactions are kept and renewed; a new one costs memory for every database there may be.
SAFETY: LMDB's write lock belongs to a thread: a writing transaction ends in the call that began it. An
environment must not be open twice in a process: closing one would drop the file locks of the other.
"""

import os

from libc.errno cimport EIO, ENOMEM
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strlen

from core._fast.crc32c cimport crc32c
from core._fast.event_catalogue cimport (
    MOST_SEGMENTS, Segment, htole32, read_catalogue, read_revision, write_catalogue,
)
from core._fast.event_layout cimport ID_SIZE, load32
from core._fast.event_trouble cimport (
    CATALOGUE_STALE, LOG_CLOSED, LOG_DAMAGED, LOG_POISONED, LOG_READ_ONLY, is_full, raise_opening,
    raise_reading, raise_writing,
)
from core._fast.locks cimport (
    PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP, pthread_mutex_destroy, pthread_mutex_init,
    pthread_mutex_lock, pthread_mutex_unlock, pthread_rwlock_destroy, pthread_rwlock_init,
    pthread_rwlock_rdlock, pthread_rwlock_unlock, pthread_rwlock_wrlock, pthread_rwlockattr_init,
    pthread_rwlockattr_setkind_np, pthread_rwlockattr_t,
)
from core._fast.mdb cimport (
    CURSOR_LAST, DB_CREATE, ENV_NO_TLS, ENV_READ_ONLY, MDB_KEYEXIST, MDB_MAP_FULL, MDB_MAP_RESIZED,
    MDB_NOTFOUND, MDB_PANIC, MDB_READERS_FULL, PUT_NO_OVERWRITE, TXN_READ_ONLY, Cursor, Dbi, Info, Txn, Val,
    mdb,
)

from core.event_log.errors import LogInUse, LogMissing, LogUnreadable

cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void* address, size_t size, int protection, int flags, int fd, long offset)
    int munmap(void* address, size_t size)
    int PROT_NONE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE
    void* MAP_FAILED

cdef extern from "<sys/random.h>" nogil:
    Py_ssize_t getrandom(void* to, size_t size, unsigned int flags)

cdef extern from "<unistd.h>" nogil:
    int getpid()

cdef enum:
    FORMAT = 1                     # of the databases; a record has its own
    IDENTITY_SIZE = 16
    MOST_DATABASES = 8 + 4 * MOST_SEGMENTS
    MOST_READERS = 2048
    MOST_CURES = 16                # of what another process did, before a beginning is given up
    FILE_MODE = 0o600

cdef char* SERIES = "0.9.36"         # of LMDB; the file's format is that of all 0.9
cdef bytes LMDB_SERIES = b"0.9"
cdef set OPEN = set()              # places of this process's open logs


cdef int open_segment(Txn* txn, Segment* segment, unsigned int flags) noexcept nogil:
    cdef char[16] name
    cdef Dbi[4] handles
    cdef const char* kinds = "esti"
    cdef int index, code
    for index in range(4):
        snprintf(name, sizeof(name), "%c.%08x", kinds[index], segment.number)
        code = mdb.dbi_open(txn, name, flags, &handles[index])
        if code:
            return LOG_DAMAGED if code == MDB_NOTFOUND else code
    segment.events = handles[0]
    segment.streams = handles[1]
    segment.tags = handles[2]
    segment.ids = handles[3]
    return 0


cdef int read_last_id(Txn* txn, Segment* segment) noexcept nogil:
    cdef Cursor* cursor
    cdef Val key, found
    cdef int code = mdb.cursor_open(txn, segment.ids, &cursor)
    if code:
        return code
    code = mdb.cursor_get(cursor, &key, &found, CURSOR_LAST)
    if code == 0:
        memcpy(segment.last_id, key.data, ID_SIZE)
    mdb.cursor_close(cursor)
    return 0 if code == MDB_NOTFOUND else code


cdef class EventEnv:
    """Open a directory's environment, or make it; one for each directory and process.

    `map_size` is how far the file may grow before the map does, in bytes; `now_ns` and `end_ns` are the first
    segment's, should the log be made. Raises LogMissing, LogInUse and LogUnreadable.
    """

    def __cinit__(self):
        cdef pthread_rwlockattr_t kind
        # NOTE: readers come without a pause; the one who waits to change the map must not wait for ever.
        pthread_rwlockattr_init(&kind)
        pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP)
        pthread_rwlock_init(&self.gate, &kind)
        pthread_mutex_init(&self.writing, NULL)
        pthread_mutex_init(&self.sparing, NULL)
        self.catalogue.segments = <Segment*>calloc(MOST_SEGMENTS, sizeof(Segment))
        if self.catalogue.segments == NULL:
            raise MemoryError

    def __init__(self, str path, *, size_t map_size, bint make, bint read_only, int64_t now_ns, int64_t end_ns):
        cdef bytes encoded = os.fsencode(path)
        cdef const char* c_path = encoded
        cdef int code
        self.path = path
        self.pid = getpid()
        self.read_only = read_only
        if not ((make and not read_only) or os.path.exists(os.path.join(path, "data.mdb"))):
            raise LogMissing(f"there is no event log in {path}")
        status = os.stat(path)
        place = (status.st_dev, status.st_ino)
        if place in OPEN:
            raise LogInUse(f"the event log in {path} is open in this process already")
        with nogil:
            code = self._open(c_path, map_size, make and not self.read_only, now_ns, end_ns)
            if code:
                self._release()
        if code:
            raise_opening(path, code)
        OPEN.add(place)
        self.place = place
        try:
            self._read_identity(path)
        except BaseException:
            self.close()
            raise

    def __dealloc__(self):
        # SAFETY: a forked child's copy is left alone; its locks and its file belong to the parent.
        if self.pid == getpid():
            OPEN.discard(self.place)
            self._release()
        pthread_rwlock_destroy(&self.gate)
        pthread_mutex_destroy(&self.writing)
        pthread_mutex_destroy(&self.sparing)
        free(self.catalogue.segments)

    def close(self):
        """Wait for the transactions under way, then give everything back; more often is harmless."""
        if self.pid != getpid():
            return
        with nogil:
            pthread_mutex_lock(&self.writing)
            pthread_rwlock_wrlock(&self.gate)
            self._release()
            pthread_rwlock_unlock(&self.gate)
            pthread_mutex_unlock(&self.writing)
        OPEN.discard(self.place)

    cdef int _read_identity(self, str path) except -1:
        cdef Txn* txn
        cdef Val key, found
        cdef int code
        parts = []
        with nogil:
            code = self.begin_read(&txn)
        if code:
            raise_reading(path, code)
        for name in (b"format", b"lmdb", b"log"):
            key = Val(len(name), <char*><bytes>name)
            if mdb.get(txn, self.meta, &key, &found):
                parts.append(b"")
            else:
                parts.append((<const char*>found.data)[:found.size])
        self.end_read(txn)
        form, library, identity = parts
        if form != b"%d" % FORMAT or not library.startswith(LMDB_SERIES):
            raise LogUnreadable(
                f"{path}: format {form.decode(errors='replace') or 'unknown'} of LMDB "
                f"{library.decode(errors='replace') or 'unknown'}; this reads format {FORMAT} of {LMDB_SERIES.decode()}"
            )
        self.identity = open_identity(identity)
        if self.identity is None:
            raise LogUnreadable(f"{path}: the log's own id is damaged; `agora log verify` tells what else is")
        return 0

    cdef int refuse(self, int code, bint writing) except -1:
        if writing:
            return raise_writing(self.path, code, self.poison)
        return raise_reading(self.path, code)

    # -- transactions -----------------------------------------------------------------------------------------

    cdef int begin_read(self, Txn** txn) noexcept nogil:
        cdef int code, _turn
        if getpid() != self.pid:
            return LOG_CLOSED
        for _turn in range(MOST_CURES):
            pthread_rwlock_rdlock(&self.gate)
            code = self._usable(False)
            if code == 0:
                code = self._take_reader(txn)
            if code == 0:
                code = self._is_fresh(txn[0])
                if code == 0:
                    return 0
                self._keep_reader(txn[0])
            pthread_rwlock_unlock(&self.gate)
            code = self._cure(code)
            if code:
                return code
        return CATALOGUE_STALE

    cdef void end_read(self, Txn* txn) noexcept nogil:
        self._keep_reader(txn)
        pthread_rwlock_unlock(&self.gate)

    cdef int begin_write(self, Txn** txn) noexcept nogil:
        return self._begin_writing(txn, False)

    cdef int begin_alone(self, Txn** txn) noexcept nogil:
        return self._begin_writing(txn, True)

    cdef int _begin_writing(self, Txn** txn, bint alone) noexcept nogil:
        cdef int code, _turn
        if getpid() != self.pid:
            return LOG_CLOSED
        pthread_mutex_lock(&self.writing)
        for _turn in range(MOST_CURES):
            if alone:
                pthread_rwlock_wrlock(&self.gate)
            else:
                pthread_rwlock_rdlock(&self.gate)
            code = self._usable(True)
            if code == 0:
                code = mdb.txn_begin(self.env, NULL, 0, txn)
                if code == MDB_PANIC:
                    code = self._judge(code)
            if code == 0:
                code = self._is_fresh(txn[0])
                if code == 0:
                    return 0
                mdb.txn_abort(txn[0])
            pthread_rwlock_unlock(&self.gate)
            code = self._cure(code)
            if code:
                break
        pthread_mutex_unlock(&self.writing)
        return code or CATALOGUE_STALE

    cdef int commit(self, Txn* txn) noexcept nogil:
        cdef int code = self._judge(mdb.txn_commit(txn))
        pthread_rwlock_unlock(&self.gate)
        pthread_mutex_unlock(&self.writing)
        return code

    cdef void abort(self, Txn* txn) noexcept nogil:
        mdb.txn_abort(txn)
        pthread_rwlock_unlock(&self.gate)
        pthread_mutex_unlock(&self.writing)

    cdef int _judge(self, int code) noexcept nogil:
        # After a failed sync nobody knows what of the file is on the disk: the kernel may have dropped what it
        # could not write, and reports it once. A write that found no room left everything that was synced as
        # it was, unless it was the meta page's: then LMDB has closed itself to further transactions.
        cdef Txn* probe
        if code == 0 or code == MDB_MAP_FULL:
            return code
        if is_full(code):
            if mdb.txn_begin(self.env, NULL, TXN_READ_ONLY, &probe) == 0:
                mdb.txn_abort(probe)
                return code
        self.poison = code
        return code

    cdef int _usable(self, bint to_write) noexcept nogil:
        if self.env == NULL:
            return LOG_CLOSED
        if to_write and self.read_only:
            return LOG_READ_ONLY
        if to_write and self.poison:
            return LOG_POISONED
        return 0

    cdef int _take_reader(self, Txn** txn) noexcept nogil:
        cdef int code, dead = 0
        txn[0] = NULL
        pthread_mutex_lock(&self.sparing)
        if self.spare_count:
            self.spare_count -= 1
            txn[0] = self.spare[self.spare_count]
        pthread_mutex_unlock(&self.sparing)
        if txn[0] != NULL:
            code = mdb.txn_renew(txn[0])
            if code:
                mdb.txn_abort(txn[0])
            return code
        code = mdb.txn_begin(self.env, NULL, TXN_READ_ONLY, txn)
        if code == MDB_READERS_FULL and mdb.reader_check(self.env, &dead) == 0 and dead:
            code = mdb.txn_begin(self.env, NULL, TXN_READ_ONLY, txn)
        return code

    cdef void _keep_reader(self, Txn* txn) noexcept nogil:
        mdb.txn_reset(txn)
        pthread_mutex_lock(&self.sparing)
        if self.spare_count < MOST_SPARE:
            self.spare[self.spare_count] = txn
            self.spare_count += 1
            txn = NULL
        pthread_mutex_unlock(&self.sparing)
        if txn != NULL:
            mdb.txn_abort(txn)

    cdef int _is_fresh(self, Txn* txn) noexcept nogil:
        cdef uint64_t revision
        cdef int code = read_revision(txn, self.meta, &revision)
        if code == 0 and revision != self.catalogue.revision:
            return CATALOGUE_STALE
        return code

    cdef int _cure(self, int code) noexcept nogil:
        if code == CATALOGUE_STALE:
            return self._reload()
        if code == MDB_MAP_RESIZED:
            return self._resize(0)
        return code

    # -- the map and the handles ------------------------------------------------------------------------------

    cdef int grow(self) noexcept nogil:
        cdef Info info
        cdef int code = LOG_CLOSED
        cdef int dead = 0
        self.release_dead_readers(&dead)
        if dead:
            return 0        # there may be room now
        pthread_rwlock_rdlock(&self.gate)
        if self.env != NULL:
            code = mdb.env_info(self.env, &info)
        pthread_rwlock_unlock(&self.gate)
        return code or self._resize(info.map_size * 2)

    cdef int release_dead_readers(self, int* dead) noexcept nogil:
        cdef int code = LOG_CLOSED
        pthread_rwlock_rdlock(&self.gate)
        if self.env != NULL:
            code = mdb.reader_check(self.env, dead)
        pthread_rwlock_unlock(&self.gate)
        return code

    cdef int _resize(self, size_t size) noexcept nogil:
        # `size` 0: whatever another process made of it.
        cdef void* room
        cdef int code = 0
        pthread_rwlock_wrlock(&self.gate)
        if self.env == NULL:
            code = LOG_CLOSED
        elif size:
            # SAFETY: LMDB unmaps first and maps then; if that failed, every later read would fault.
            room = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
            if room == MAP_FAILED:
                code = ENOMEM
            else:
                munmap(room, size)
        if code == 0:
            code = mdb.env_set_mapsize(self.env, size)
            if code:
                self._release()
        pthread_rwlock_unlock(&self.gate)
        return code

    cdef int _reload(self) noexcept nogil:
        cdef Txn* txn
        cdef int code = LOG_CLOSED
        pthread_rwlock_wrlock(&self.gate)
        if self.env != NULL:
            code = mdb.txn_begin(self.env, NULL, TXN_READ_ONLY, &txn)
            if code == 0:
                code = self._read_catalogue(txn)
                if code:
                    mdb.txn_abort(txn)
                else:
                    code = mdb.txn_commit(txn)     # an abort would close the handles again
        pthread_rwlock_unlock(&self.gate)
        return self._resize(0) if code == MDB_MAP_RESIZED else code

    cdef int _read_catalogue(self, Txn* txn) noexcept nogil:
        cdef Segment* segments = self.catalogue.segments
        cdef int index, code
        for index in range(self.catalogue.count):
            mdb.dbi_close(self.env, segments[index].events)
            mdb.dbi_close(self.env, segments[index].streams)
            mdb.dbi_close(self.env, segments[index].tags)
            mdb.dbi_close(self.env, segments[index].ids)
        self.catalogue.count = 0
        self.catalogue.revision = 0
        code = read_catalogue(txn, self.meta, &self.catalogue)
        for index in range(self.catalogue.count):
            if code == 0:
                code = open_segment(txn, &segments[index], 0)
            if code == 0 and index < self.catalogue.count - 1:
                code = read_last_id(txn, &segments[index])
        if code:
            self.catalogue.count = 0
            self.catalogue.revision = 0
        return code

    # -- opening and closing ----------------------------------------------------------------------------------

    cdef int _open(self, const char* path, size_t map_size, bint make, int64_t now_ns, int64_t end_ns) noexcept nogil:
        cdef Txn* txn
        cdef int dead
        cdef int code = mdb.env_create(&self.env)
        if code:
            self.env = NULL
            return code
        code = (mdb.env_set_mapsize(self.env, map_size)
                or mdb.env_set_maxreaders(self.env, MOST_READERS)
                or mdb.env_set_maxdbs(self.env, MOST_DATABASES)
                or mdb.env_open(self.env, path, ENV_NO_TLS | (ENV_READ_ONLY if self.read_only else 0), FILE_MODE)
                or mdb.reader_check(self.env, &dead)
                or mdb.txn_begin(self.env, NULL, TXN_READ_ONLY, &txn))
        if code:
            return code
        code = self._open_tables(txn, 0) or self._read_catalogue(txn)
        if code == 0:
            return mdb.txn_commit(txn)
        mdb.txn_abort(txn)
        return self._make(now_ns, end_ns) if code == MDB_NOTFOUND and make else code

    cdef int _open_tables(self, Txn* txn, unsigned int flags) noexcept nogil:
        return (mdb.dbi_open(txn, "meta", flags, &self.meta)
                or mdb.dbi_open(txn, "streams", flags, &self.streams)
                or mdb.dbi_open(txn, "keys", flags, &self.keys)
                or mdb.dbi_open(txn, "state", flags, &self.state)
                or mdb.dbi_open(txn, "tags", flags, &self.tags))

    cdef int _make(self, int64_t now_ns, int64_t end_ns) noexcept nogil:
        # NOTE: two processes may come here at once; the second finds what the first has made.
        cdef Txn* txn
        cdef Val key = Val(6, <char*>"format")
        cdef Val value = Val(1, <char*>"1")
        cdef char[IDENTITY_SIZE + 4] identity      # and its checksum
        cdef uint32_t sum
        cdef Segment* segment = &self.catalogue.segments[0]
        cdef int code = mdb.txn_begin(self.env, NULL, 0, &txn)
        if code:
            return code
        code = self._open_tables(txn, DB_CREATE) or mdb.put(txn, self.meta, &key, &value, PUT_NO_OVERWRITE)
        if code == MDB_KEYEXIST:
            code = self._read_catalogue(txn)
        elif code == 0:
            if getrandom(identity, IDENTITY_SIZE, 0) != IDENTITY_SIZE:
                code = EIO
            code = code or put_text(txn, self.meta, "lmdb", SERIES, strlen(SERIES))
            sum = htole32(crc32c(0, identity, IDENTITY_SIZE))
            memcpy(identity + IDENTITY_SIZE, &sum, 4)
            code = code or put_text(txn, self.meta, "log", identity, IDENTITY_SIZE + 4)
            memset(segment, 0, sizeof(Segment))
            segment.number = 1
            segment.first = 1
            segment.start_ns = now_ns
            segment.end_ns = end_ns
            self.catalogue.revision = 1
            self.catalogue.count = 1
            code = code or open_segment(txn, segment, DB_CREATE)
            code = code or write_catalogue(txn, self.meta, &self.catalogue)
        if code:
            mdb.txn_abort(txn)
            return code
        return mdb.txn_commit(txn)

    cdef void _release(self) noexcept nogil:
        # SAFETY: nobody is in a transaction; the gate is held alone, or nobody else has the object.
        while self.spare_count:
            self.spare_count -= 1
            mdb.txn_abort(self.spare[self.spare_count])
        if self.env != NULL:
            mdb.env_close(self.env)
            self.env = NULL


cdef bytes open_identity(bytes stored):
    cdef const char* at = stored
    if len(stored) == IDENTITY_SIZE + 4 and crc32c(0, at, IDENTITY_SIZE) == load32(at + IDENTITY_SIZE):
        return stored[:IDENTITY_SIZE]
    return None


cdef int put_text(Txn* txn, Dbi table, const char* name, const char* text, size_t size) noexcept nogil:
    cdef Val key = Val(strlen(name), <void*>name)
    cdef Val value = Val(size, <void*>text)
    return mdb.put(txn, table, &key, &value, 0)
