"""Check an authority: the value of Host, or what stands between "http://" and the path of an absolute-form
target.

Rule: a host is a name of unreserved characters, an IPv4 address or an IPv6 address in brackets, with an
optional port from 1 to 65535. NOTE: stricter than RFC 3986, on purpose: no user information, no percent
escapes, no sub-delims (among them the comma that joins repeated fields), no empty port, no zone, no more
than 255 bytes of name.
"""

from libc.string cimport memchr, memcpy

from core._fast.chars cimport CHAR_UNRESERVED, scan_class

cdef extern from "<arpa/inet.h>" nogil:
    int AF_INET6
    int inet_pton(int family, const char* text, void* address)

cdef enum:
    LONGEST_HOST = 255
    LONGEST_IPV6 = 45       # INET6_ADDRSTRLEN without its NUL


cdef inline bint is_ipv6(const char* text, Py_ssize_t n) noexcept nogil:
    """Tell whether these bytes are an IPv6 address without brackets."""
    cdef char copy[LONGEST_IPV6 + 1]
    cdef unsigned char address[16]
    if n < 2 or n > LONGEST_IPV6 or memchr(text, 0, n) != NULL:
        return False
    memcpy(copy, text, n)
    copy[n] = 0
    return inet_pton(AF_INET6, copy, address) == 1


cdef inline bint is_port(const char* text, const char* end) noexcept nogil:
    """Tell whether these bytes are a port number, 1 to 65535."""
    cdef int value = 0
    if end - text > 5:
        return False
    while text < end:
        if text[0] < c'0' or text[0] > c'9':
            return False
        value = value * 10 + (text[0] - c'0')
        text += 1
    return 0 < value < 65536


cdef inline bint is_authority(const char* text, Py_ssize_t n) noexcept nogil:
    """Tell whether these bytes are a host with an optional port."""
    cdef const char* end = text + n
    cdef const char* stop
    if n > 0 and text[0] == c'[':
        stop = text + 1
        while stop < end and stop[0] != c']':
            stop += 1
        if stop == end or not is_ipv6(text + 1, stop - text - 1):
            return False
        stop += 1
    else:
        stop = scan_class(text, end, CHAR_UNRESERVED)
        if stop == text or stop - text > LONGEST_HOST:
            return False
    if stop == end:
        return True
    return stop[0] == c':' and is_port(stop + 1, end)
