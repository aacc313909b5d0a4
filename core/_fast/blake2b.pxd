# Hash bytes with BLAKE2b-256 (RFC 7693), unkeyed.

cdef enum:
    HASH_SIZE = 32

# Writes HASH_SIZE bytes to `out`.
cdef void blake2b_256(const char* data, Py_ssize_t size, char* out) noexcept nogil
