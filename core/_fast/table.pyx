"""Keep one time for each key in memory that all workers share, without a lock. Called by limiter.pyx.

The rule: never one request too many, however many processes take at once and wherever one of them is killed.

* A cell is a pair (key, time), changed by one 16-byte compare-and-swap: there is no lock to leave held and no
  half-written cell. A time that has passed says nothing that an absent cell does not, so expired cells are
  free, and to take one for another key is that same single swap. It is left alone for GRACE longer, because
  another worker may still decide with a slightly older reading of the clock.
* A key's cell lies in one of two groups of 8, chosen by its hash. Two workers that meet a new key at once
  might each give it a cell, which would admit twice. So a new cell first holds a claim: a negative number
  never used before. A claim becomes a time (and admits) only after a look at all 16 cells, begun after the
  claim was seen there, that found no other cell of the key. Of two claims on one key, at least one of these
  looks must see the other; whoever sees two drops one. tests/oracles/table.py walks every interleaving.
* A claim left by a killed worker is carried on by the next request with that key, or taken over when its
  groups have no free cell.
* With no free cell the answer is FULL, and counted: nothing is admitted because it cannot be remembered. The
  first key to meet that comes when two thirds of the cells are in use.
"""

from core._fast.atomic cimport add, load_key, load_value, swap
from core._fast.clock cimport monotonic_ns

cdef extern from *:
    """
    #define agora_scale(word, n) ((uint64_t)(((unsigned __int128)(word) * (n)) >> 64))
    """
    uint64_t scale "agora_scale"(uint64_t word, uint64_t n) noexcept nogil  # word / 2**64 * n

cdef enum:
    ATTEMPTS = 100_000   # each lost one is another worker's success


cdef void lay(Table* table, char* start, Py_ssize_t size) noexcept nogil:
    table.claims = <int64_t*>start
    table.full = <int64_t*>start + 8  # on a line of its own
    table.cells = <Pair*>(start + HEADER)
    table.groups = (size - HEADER) // (GROUP * sizeof(Pair))


cdef inline void _groups(const Table* table, uint64_t key, Pair** groups) noexcept nogil:
    cdef uint64_t first = scale(key, table.groups)
    cdef uint64_t second = scale(key * <uint64_t>0x9e3779b97f4a7c15, table.groups)
    if second == first:
        second = first + 1 if first + 1 < table.groups else 0
    groups[0] = table.cells + first * GROUP
    groups[1] = table.cells + second * GROUP


cdef inline Pair* _find(Pair** groups, uint64_t key, const Pair* besides, int64_t* value) noexcept nogil:
    """Return the key's cell other than `besides`, and its value: a time before a claim. NULL: none."""
    cdef Pair* cell
    cdef Pair* claimed = NULL
    cdef int64_t seen
    cdef int which, _
    for which in range(2):
        cell = groups[which]
        for _ in range(GROUP):
            if load_key(&cell.key) == key and cell != besides:
                seen = load_value(&cell.value)
                if load_key(&cell.key) == key:
                    if seen >= 0:
                        value[0] = seen
                        return cell
                    if claimed == NULL:
                        claimed = cell
                        value[0] = seen
            cell += 1
    return claimed


cdef Pair* _claim(Table* table, Pair** groups, uint64_t key, int64_t now, int64_t* value) noexcept nogil:
    """Claim a cell for the key: a free one, or another's claim if none is free.

    Returns the cell, and the claim in `value`: 0 if another worker was faster. NULL: nothing may be claimed.
    """
    cdef Pair* at[3]       # the first free cell of each group, the first claim
    cdef Pair[3] content   # as it was when judged; had it changed since, the swap would fail
    cdef int[2] room
    cdef Pair* cell
    cdef Pair seen
    cdef int which, kind, _
    at[0] = at[1] = at[2] = NULL
    content[0] = content[1] = content[2] = Pair(0, 0)
    for which in range(2):
        room[which] = 0
        cell = groups[which]
        for _ in range(GROUP):
            seen = Pair(load_key(&cell.key), load_value(&cell.value))
            kind = 2
            if seen.key == 0 or 0 <= seen.value <= now - GRACE:
                room[which] += 1
                kind = which
            if (kind < 2 or seen.value < 0) and at[kind] == NULL:
                at[kind] = cell
                content[kind] = seen
            cell += 1
    # PERF: while the first group is half empty, its keys need no look at the second (bench/rate_limit.py).
    if room[0] + room[1]:
        kind = room[1] > room[0] and room[0] < GROUP // 2
    else:
        kind = 2
    if at[kind] == NULL:
        return NULL
    value[0] = -add(table.claims, 1)
    if not swap(at[kind], content[kind].key, content[kind].value, key, value[0]):
        value[0] = 0
    return at[kind]


cdef bint _alone(Pair** groups, uint64_t key, Pair* cell, int64_t claim) noexcept nogil:
    """Say whether a claim, seen before this call, is the key's only cell; if not, drop it or a later one."""
    cdef int64_t value
    cdef Pair* other = _find(groups, key, cell, &value)
    if other == NULL:
        return True
    # NOTE: any order will do, if all processes agree. Only a claim is ever dropped, and only as it was seen.
    if value >= 0 or other < cell:
        swap(cell, key, claim, 0, 0)
    else:
        swap(other, key, value, 0, 0)
    return False


cdef int take(Table* table, uint64_t key, int64_t interval, int64_t burst, int64_t now,
              int64_t* time) noexcept nogil:
    cdef Pair* groups[2]
    cdef Pair* cell
    cdef int64_t value, then
    cdef int _
    _groups(table, key, groups)
    for _ in range(ATTEMPTS):
        cell = _find(groups, key, NULL, &value)
        if cell == NULL:
            cell = _claim(table, groups, key, now, &value)
            if cell == NULL:
                break
            if value == 0:
                continue
        if value < 0:
            if not _alone(groups, key, cell, value):
                continue
            then = now + interval
        else:
            then = (value if value > now else now) + interval
            if then - now > burst:
                time[0] = value
                return REFUSED
        if swap(cell, key, value, key, then):
            time[0] = then
            return ADMITTED
    add(table.full, 1)
    return FULL


cdef void give_back(Table* table, uint64_t key, int64_t interval, int64_t mine) noexcept nogil:
    # NOTE: a time that has passed forgets its past. Had it passed after our take, and had others taken since,
    # to give back would admit one too many. It cannot pass before the clock reads `mine`; then it is let be.
    cdef Pair* groups[2]
    cdef Pair* cell
    cdef int64_t value
    cdef int _
    _groups(table, key, groups)
    for _ in range(ATTEMPTS):
        cell = _find(groups, key, NULL, &value)
        if cell == NULL or value < 0 or (value != mine and monotonic_ns() >= mine):
            return
        if swap(cell, key, value, key, value - interval):
            return


cdef int64_t look(Table* table, uint64_t key) noexcept nogil:
    cdef Pair* groups[2]
    cdef int64_t value
    _groups(table, key, groups)
    if _find(groups, key, NULL, &value) == NULL or value < 0:
        return 0
    return value


cdef bint forget(Table* table, uint64_t key) noexcept nogil:
    cdef Pair* groups[2]
    cdef Pair* cell
    cdef int64_t value
    cdef int _
    _groups(table, key, groups)
    for _ in range(ATTEMPTS):
        cell = _find(groups, key, NULL, &value)
        if cell == NULL or value < 0:
            break
        if swap(cell, key, value, 0, 0):
            return True
    return False


cdef int64_t used(const Table* table, int64_t now) noexcept nogil:
    cdef Pair* cell = table.cells
    cdef int64_t count = 0
    cdef uint64_t _
    for _ in range(table.groups * GROUP):
        if load_key(&cell.key) != 0 and not 0 <= load_value(&cell.value) <= now - GRACE:
            count += 1
        cell += 1
    return count
