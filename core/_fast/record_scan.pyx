"""Read blocks of exchanges: check every byte, keep what a filter wants, make Python values of that alone.

The format is that of core/_fast/record. Rule: any bytes are either exactly the records that were said to be
there or a ValueError. Called by the request log's readers and its JSON lines.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memset

from core._fast.record import FLAGS, TEXTS

from core._fast.record cimport ABSENT, CUT, SAME, T_PATH, TEXT_COUNT, RecordFields, Slice, text_limit

cdef tuple NAMES = TEXTS
cdef dict TEXT_INDEX = {name: index for index, name in enumerate(TEXTS)}
cdef list FLAG_SETS = [tuple(name for bit, name in enumerate(FLAGS) if bits >> bit & 1) for bits in range(16)]


cdef struct Scan:
    const unsigned char* at
    const unsigned char* end
    RecordFields record        # texts: the last value seen of each, present in this record or not
    uint32_t mask              # of this record
    uint32_t cut               # bit by text: its last value was cut


cdef inline int get_varint(Scan* scan, uint64_t* value) noexcept nogil:
    cdef uint64_t result = 0
    cdef int shift = 0
    cdef unsigned char byte
    while scan.at < scan.end and shift < 70:
        byte = scan.at[0]
        scan.at += 1
        if shift == 63 and byte > 1:
            return -1
        result |= <uint64_t>(byte & 0x7F) << shift
        if byte < 0x80:
            value[0] = result
            return 0
        shift += 7
    return -1


cdef inline uint32_t code_of(uint32_t mask, int index) noexcept nogil:
    return mask >> (2 * index) & 3


cdef int get_record(Scan* scan) noexcept nogil:
    """Read the next record over the one before; -1 if the bytes are none."""
    if scan.end - scan.at < 4:
        return -1
    scan.mask = (scan.at[0] | <uint32_t>scan.at[1] << 8 | <uint32_t>scan.at[2] << 16
                 | <uint32_t>scan.at[3] << 24)
    scan.at += 4
    if scan.mask >> (2 * TEXT_COUNT) or get_numbers(scan) < 0:
        return -1
    return get_texts(scan)


cdef int get_numbers(Scan* scan) noexcept nogil:
    cdef RecordFields* record = &scan.record
    cdef uint64_t numbers[8]
    cdef int64_t moved
    cdef int index
    for index in range(8):
        if get_varint(scan, &numbers[index]) < 0:
            return -1
    if (numbers[0] | numbers[6] | numbers[7]) >> 32 or (numbers[2] | numbers[4] | numbers[5]) >> 63:
        return -1
    if numbers[3] > <uint64_t>1 << 63:
        return -1
    moved = <int64_t>(numbers[1] >> 1) ^ -<int64_t>(numbers[1] & 1)
    record.status = <uint32_t>numbers[0]
    record.time_ns = <int64_t>(<uint64_t>record.time_ns + <uint64_t>moved)
    record.duration_ns = <int64_t>numbers[2]
    record.upstream_ns = <int64_t>(numbers[3] - 1)
    record.bytes_in = <int64_t>numbers[4]
    record.bytes_out = <int64_t>numbers[5]
    record.attempts = <uint32_t>numbers[6]
    record.flags = <uint32_t>numbers[7]
    return 0


cdef int get_texts(Scan* scan) noexcept nogil:
    cdef Slice* text
    cdef uint64_t size
    cdef uint32_t code
    cdef int index
    for index in range(<int>TEXT_COUNT):
        code = code_of(scan.mask, index)
        text = &scan.record.text[index]
        if code == ABSENT:
            continue
        if code == SAME:
            if text.size == 0:
                return -1
            continue
        if get_varint(scan, &size) < 0 or size == 0 or size > text_limit(index):
            return -1
        if size > <uint64_t>(scan.end - scan.at):
            return -1
        text.data = <const char*>scan.at
        text.size = <uint32_t>size
        scan.at += size
        scan.cut &= ~(<uint32_t>1 << index)
        if code == CUT:
            scan.cut |= <uint32_t>1 << index
    return 0


cdef class RecordFilter:
    """Say which records are wanted; every given condition must hold.

    Texts are compared whole, but for ``path_prefix``. ``status`` is a closed range. ``since_ns`` and
    ``until_ns`` bound the time: since <= time < until; 0 is no bound.
    """

    def __init__(self, dict texts=None, *, bytes path_prefix=None, tuple status=(0, 0xFFFFFFFF),
                 long long min_duration_ns=0, long long since_ns=0, long long until_ns=0):
        memset(self.text, 0, sizeof(self.text))
        self.kept = []
        if texts is not None:
            for name, value in texts.items():
                self.want(TEXT_INDEX[name], value)
        if path_prefix is not None:
            self.want(T_PATH, path_prefix)
            self.path_is_prefix = True
        self.status_low, self.status_high = status
        self.min_duration_ns = min_duration_ns
        self.since_ns = since_ns
        self.until_ns = until_ns

    cdef int want(self, int index, bytes value) except -1:
        # NOTE: what was cut when written can only be compared as far as it was kept.
        value = value[:text_limit(index)]
        self.kept.append(value)
        self.text[index].data = value
        self.text[index].size = <uint32_t>len(value)
        return 0

    cdef bint wants(self, const RecordFields* record, uint32_t mask) noexcept nogil:
        cdef const Slice* wanted
        cdef int index
        if record.status < self.status_low or record.status > self.status_high:
            return False
        if record.duration_ns < self.min_duration_ns:
            return False
        if self.since_ns and record.time_ns < self.since_ns:
            return False
        if self.until_ns and record.time_ns >= self.until_ns:
            return False
        for index in range(<int>TEXT_COUNT):
            wanted = &self.text[index]
            if wanted.size == 0:
                continue
            if code_of(mask, index) == ABSENT or record.text[index].size < wanted.size:
                return False
            if record.text[index].size != wanted.size and not (index == T_PATH and self.path_is_prefix):
                return False
            if memcmp(record.text[index].data, wanted.data, wanted.size) != 0:
                return False
        return True


def decode(data, unsigned int count, unsigned long long first, unsigned int worker,
           RecordFilter wanted=None, unsigned long long after=0, unsigned long long before=0):
    """Return the wanted records among the ``count`` in ``data`` (a block without its header), as tuples.

    ``first`` is the first record's sequence number; only those above ``after`` and, unless it is 0, below
    ``before`` are returned. A tuple is (sequence, time_ns, worker, status, duration_ns, upstream_ns or None,
    bytes_in, bytes_out, attempts, flags, cut, then the texts in the order of TEXTS, "" for an absent one).
    Raises ValueError if the bytes are not exactly ``count`` records.
    """
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return decode_records(
            <const unsigned char*>view.buf, view.len, count, first, worker, wanted, after, before)
    finally:
        PyBuffer_Release(&view)


cdef list decode_records(const unsigned char* data, Py_ssize_t size, uint32_t count, uint64_t first,
                         uint32_t worker, RecordFilter wanted, uint64_t after, uint64_t before):
    cdef Scan scan
    cdef uint64_t sequence
    cdef uint32_t index
    cdef list found = []
    memset(&scan, 0, sizeof(scan))
    scan.at = data
    scan.end = data + size
    for index in range(count):
        if get_record(&scan) < 0:
            raise ValueError(f"record {index} of {count} is damaged")
        sequence = first + index
        if sequence <= after or (before != 0 and sequence >= before):
            continue
        if wanted is None or wanted.wants(&scan.record, scan.mask):
            found.append(make_tuple(&scan, sequence, worker))
    if scan.at != scan.end:
        raise ValueError(f"{scan.end - scan.at} bytes follow the last record")
    return found


cdef tuple make_tuple(const Scan* scan, uint64_t sequence, uint32_t worker):
    cdef const RecordFields* record = &scan.record
    cdef list texts = [""] * TEXT_COUNT
    cdef list was_cut = []
    cdef int index
    for index in range(<int>TEXT_COUNT):
        if code_of(scan.mask, index) != ABSENT:
            texts[index] = PyUnicode_DecodeUTF8(
                record.text[index].data, record.text[index].size, "backslashreplace")
            if scan.cut >> index & 1:
                was_cut.append(NAMES[index])
    return (
        sequence, record.time_ns, worker, record.status, record.duration_ns,
        None if record.upstream_ns < 0 else record.upstream_ns,
        record.bytes_in, record.bytes_out, record.attempts, FLAG_SETS[record.flags & 15],
        tuple(was_cut), *texts,
    )
