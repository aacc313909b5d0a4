# Check bytes with CRC-32C (Castagnoli), as in RFC 3720 and ext4.
from libc.stdint cimport uint32_t

# `crc` is the CRC of what stands before, 0 for nothing.
cdef uint32_t crc32c(uint32_t crc, const char* data, Py_ssize_t size) noexcept nogil
