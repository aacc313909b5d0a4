"""Read the values of parameters inside one segment: what {x:int} takes, and where {a}-{b} divides.

Everything is read from the right: given where a value ends, its start is unique (the patterns that would
break this are refused when they are parsed). A str parameter reaches as far as it can, as in Starlette's
regular expressions: what stands between two of them is looked for from the right, once, so the cost is
linear in the segment. No border falls inside a percent-escape. Inlined into the router.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memcmp


cdef enum:  # core.route_pattern.Kind
    KIND_UUID = 0
    KIND_INT = 1
    KIND_FLOAT = 2
    KIND_STR = 3


cdef struct Span:  # a parameter's raw value inside the path
    uint32_t start
    uint32_t length


cdef struct Part:  # a parameter of a segment that has several
    uint32_t kind
    uint32_t separator  # the literal before it, inside the router's texts; the first parameter has none
    uint32_t separator_length


cdef inline bint is_digit(char byte) noexcept nogil:
    return c'0' <= byte <= c'9'


cdef inline bint is_hex(char byte) noexcept nogil:
    return c'0' <= byte <= c'9' or c'a' <= (byte | 32) <= c'f'


cdef inline bint inside_escape(const char* text, Py_ssize_t low, Py_ssize_t at) noexcept nogil:
    """Tell whether the border `at` would fall inside a %XX that begins at or after `low`."""
    return (at > low and text[at - 1] == c'%') or (at > low + 1 and text[at - 2] == c'%')


cdef inline Py_ssize_t digits_start(const char* text, Py_ssize_t low, Py_ssize_t end) noexcept nogil:
    while end > low and is_digit(text[end - 1]):
        end -= 1
    return end


cdef inline Py_ssize_t uuid_start(const char* text, Py_ssize_t low, Py_ssize_t end) noexcept nogil:
    """Read 32 hex digits leftwards, with a '-' or none before the last 12 and each of the three fours."""
    cdef int read
    for read in range(32):
        if (read == 12 or read == 16 or read == 20 or read == 24) and end > low and text[end - 1] == c'-':
            end -= 1
        if end <= low or not is_hex(text[end - 1]):
            return -1
        end -= 1
    return end


cdef inline Py_ssize_t value_start(int kind, const char* text, Py_ssize_t low,
                                   Py_ssize_t end) noexcept nogil:
    """Return where the typed value that ends at `end` starts, not before `low`; -1 when there is none."""
    cdef Py_ssize_t start, whole
    if kind == KIND_UUID:
        return uuid_start(text, low, end)
    start = digits_start(text, low, end)
    if start == end:
        return -1
    if kind == KIND_FLOAT and start > low and text[start - 1] == c'.':
        whole = digits_start(text, low, start - 1)
        return whole if whole < start - 1 else start
    return start


cdef inline bint fits(int kind, const char* text, Py_ssize_t low, Py_ssize_t end) noexcept nogil:
    """Tell whether [low, end) as a whole is a value of `kind`."""
    return low < end if kind == KIND_STR else value_start(kind, text, low, end) == low


cdef inline bint read_typed(const Part* parts, const char* texts, const char* text, Py_ssize_t low,
                            int* part, Py_ssize_t* end, Span* spans) noexcept nogil:
    """Read typed parameters and the separators before them leftwards from `part` and `end`, which are moved.

    Stops at a str parameter, whose end is then `end`, or with `part` -1 when everything was read.
    """
    cdef int i = part[0]
    cdef Py_ssize_t at = end[0], start
    while parts[i].kind != KIND_STR:
        start = value_start(parts[i].kind, text, low, at)
        if start < 0:
            return False
        spans[i].start = <uint32_t>start
        spans[i].length = <uint32_t>(at - start)
        if i == 0:
            part[0] = -1
            return start == low
        at = start - parts[i].separator_length
        if at < low or memcmp(text + at, texts + parts[i].separator, parts[i].separator_length) != 0:
            return False
        i -= 1
    part[0] = i
    end[0] = at
    return not inside_escape(text, low, at)


cdef inline bint divide(const Part* parts, int count, const char* texts, const char* text, Py_ssize_t low,
                        Py_ssize_t end, Span* spans) noexcept nogil:
    """Divide [low, end) between `count` parameters; `spans` gets their places."""
    cdef int part = count - 1, next_part
    cdef Py_ssize_t at, next_end
    if not read_typed(parts, texts, text, low, &part, &end, spans):
        return False
    while part > 0:
        # NOTE: no second try further left when what follows fails: that would only leave it less room.
        at = end - parts[part].separator_length
        while True:
            at -= 1
            if at <= low:
                return False
            if memcmp(text + at, texts + parts[part].separator, parts[part].separator_length) != 0:
                continue
            next_part = part - 1
            next_end = at
            if not inside_escape(text, low, at) and \
                    read_typed(parts, texts, text, low, &next_part, &next_end, spans):
                break
        spans[part].start = <uint32_t>(at + parts[part].separator_length)
        spans[part].length = <uint32_t>(end - spans[part].start)
        part = next_part
        end = next_end
    if part == 0:
        spans[0].start = <uint32_t>low
        spans[0].length = <uint32_t>(end - low)
        return end > low
    return True
