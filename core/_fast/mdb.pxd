# The functions of LMDB 0.9, as C calls: those that the lmdb package brings along in its own extension.
from libc.stddef cimport size_t

cdef struct Val:                   # bytes given to LMDB, or lying in its map
    size_t size
    void* data                     # SAFETY: what a read returns is LMDB's, until the transaction ends or writes

cdef struct Stat:
    unsigned int page_size
    unsigned int depth
    size_t branch_pages
    size_t leaf_pages
    size_t overflow_pages
    size_t entries

cdef struct Info:
    void* map_address
    size_t map_size
    size_t last_page
    size_t last_transaction
    unsigned int max_readers
    unsigned int readers

cdef struct Env:                   # LMDB's own; only pointers to them are passed on
    int opaque

cdef struct Txn:
    int opaque

cdef struct Cursor:
    int opaque

ctypedef unsigned int Dbi

cdef enum EnvFlag:
    ENV_NO_SYNC = 0x10000
    ENV_READ_ONLY = 0x20000
    ENV_NO_META_SYNC = 0x40000
    ENV_NO_TLS = 0x200000          # a reader's slot belongs to its transaction, not to the thread
    ENV_NO_READAHEAD = 0x800000
    ENV_NO_MEMINIT = 0x1000000     # pages are not zeroed before they are filled
    TXN_READ_ONLY = 0x20000
    DB_CREATE = 0x40000
    COPY_COMPACT = 0x01

cdef enum PutFlag:
    PUT_NO_OVERWRITE = 0x10
    PUT_RESERVE = 0x10000          # hand out the place; the caller fills it before the next call
    PUT_APPEND = 0x20000           # the key is greater than all others: no search

cdef enum CursorOp:
    CURSOR_FIRST = 0
    CURSOR_GET_CURRENT = 4
    CURSOR_LAST = 6
    CURSOR_NEXT = 8
    CURSOR_PREV = 12
    CURSOR_SET = 15
    CURSOR_SET_KEY = 16
    CURSOR_SET_RANGE = 17

cdef enum Code:                    # others are values of errno
    MDB_SUCCESS = 0
    MDB_KEYEXIST = -30799
    MDB_NOTFOUND = -30798
    MDB_PAGE_NOTFOUND = -30797
    MDB_CORRUPTED = -30796
    MDB_PANIC = -30795
    MDB_VERSION_MISMATCH = -30794
    MDB_INVALID = -30793
    MDB_MAP_FULL = -30792
    MDB_DBS_FULL = -30791
    MDB_READERS_FULL = -30790
    MDB_TXN_FULL = -30788
    MDB_MAP_RESIZED = -30785
    MDB_BAD_TXN = -30782
    MDB_BAD_VALSIZE = -30781
    MDB_BAD_DBI = -30780

cdef enum:
    MAX_KEY = 511                  # bytes of a key

# One pointer for each function, in lmdb.h's order and with lmdb.h's arguments.
cdef struct Functions:
    char* (*version)(int* major, int* minor, int* patch) noexcept nogil
    char* (*strerror)(int code) noexcept nogil
    int (*env_create)(Env** env) noexcept nogil
    int (*env_open)(Env* env, const char* path, unsigned int flags, unsigned int mode) noexcept nogil
    int (*env_copy2)(Env* env, const char* path, unsigned int flags) noexcept nogil
    int (*env_stat)(Env* env, Stat* stat) noexcept nogil
    int (*env_info)(Env* env, Info* info) noexcept nogil
    int (*env_sync)(Env* env, int force) noexcept nogil
    void (*env_close)(Env* env) noexcept nogil
    int (*env_set_mapsize)(Env* env, size_t size) noexcept nogil
    int (*env_set_maxreaders)(Env* env, unsigned int readers) noexcept nogil
    int (*env_set_maxdbs)(Env* env, Dbi dbs) noexcept nogil
    int (*txn_begin)(Env* env, Txn* parent, unsigned int flags, Txn** txn) noexcept nogil
    size_t (*txn_id)(Txn* txn) noexcept nogil
    int (*txn_commit)(Txn* txn) noexcept nogil
    void (*txn_abort)(Txn* txn) noexcept nogil
    void (*txn_reset)(Txn* txn) noexcept nogil
    int (*txn_renew)(Txn* txn) noexcept nogil
    int (*dbi_open)(Txn* txn, const char* name, unsigned int flags, Dbi* dbi) noexcept nogil
    void (*dbi_close)(Env* env, Dbi dbi) noexcept nogil
    int (*stat)(Txn* txn, Dbi dbi, Stat* stat) noexcept nogil
    int (*drop)(Txn* txn, Dbi dbi, int delete) noexcept nogil
    int (*get)(Txn* txn, Dbi dbi, Val* key, Val* data) noexcept nogil
    int (*put)(Txn* txn, Dbi dbi, Val* key, Val* data, unsigned int flags) noexcept nogil
    int (*delete)(Txn* txn, Dbi dbi, Val* key, Val* data) noexcept nogil
    int (*cursor_open)(Txn* txn, Dbi dbi, Cursor** cursor) noexcept nogil
    void (*cursor_close)(Cursor* cursor) noexcept nogil
    int (*cursor_get)(Cursor* cursor, Val* key, Val* data, CursorOp op) noexcept nogil
    int (*cursor_put)(Cursor* cursor, Val* key, Val* data, unsigned int flags) noexcept nogil
    int (*reader_check)(Env* env, int* dead) noexcept nogil

cdef Functions mdb
