# Change words and pairs of words that several processes write at once. Used by table.pyx and cells.pyx.
from libc.stdint cimport int64_t, uint64_t

cdef extern from *:
    """
    /* A pair is changed as a whole or not at all: a process that dies leaves it old or new. */
    typedef struct { uint64_t key; int64_t value; } agora_pair;

    static inline int agora_pair_swap(agora_pair *at, uint64_t key, int64_t value,
                                      uint64_t new_key, int64_t new_value)
    {
    #if defined(__x86_64__)
        /* NOTE: __sync_bool_compare_and_swap needs -mcx16 here; every x86-64 processor since 2006 has it. */
        int done;
        __asm__ __volatile__("lock cmpxchg16b %1"
                             : "=@ccz"(done), "+m"(*(volatile __int128 *)at), "+a"(key), "+d"(value)
                             : "b"(new_key), "c"(new_value)
                             : "memory");
        return done;
    #else
        /* NOTE: never __atomic_*: its 16-byte form may take a lock that lives in one process only. */
        union { agora_pair pair; unsigned __int128 whole; } old = {{key, value}},
                                                            next = {{new_key, new_value}};
        return __sync_bool_compare_and_swap((unsigned __int128 *)at, old.whole, next.whole);
    #endif
    }
    #define agora_load(at) __atomic_load_n((at), __ATOMIC_SEQ_CST)
    #define agora_add(at, n) __atomic_add_fetch((at), (n), __ATOMIC_SEQ_CST)
    """
    ctypedef struct Pair "agora_pair":
        uint64_t key
        int64_t value

    # Put (new_key, new_value) where (key, value) is; false: something else is there.
    # SAFETY: `at` is aligned to 16 bytes.
    bint swap "agora_pair_swap"(Pair* at, uint64_t key, int64_t value,
                                uint64_t new_key, int64_t new_value) noexcept nogil
    uint64_t load_key "agora_load"(uint64_t* at) noexcept nogil
    int64_t load_value "agora_load"(int64_t* at) noexcept nogil
    int64_t add "agora_add"(int64_t* at, int64_t n) noexcept nogil  # returns the sum
