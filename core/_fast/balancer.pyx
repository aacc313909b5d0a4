"""Choose a server for each exchange: the policies of balancing, and which servers may be chosen.

The rules it guards: a server that is drained is never chosen, nor one that is out while enough others are in; with
too few in, all are used (panic); the cost of a choice does not depend on how many connections there are. No socket,
no clock: times are arguments, in ns. Called by core/_fast/upstream.
"""

from libc.math cimport exp
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from core._fast.crc32c cimport crc32c

cdef enum:
    ROUND_ROBIN
    WEIGHTED
    LEAST_REQUESTS
    RANDOM_TWO
    EWMA
    CONSISTENT_HASH
    TABLE_SIZE = 65537        # Maglev's: a prime, far above the number of servers
    MOST_EJECTIONS = 10       # times the first ejection's time

POLICIES = {
    "round-robin": ROUND_ROBIN,
    "weighted": WEIGHTED,
    "least-requests": LEAST_REQUESTS,
    "random-two": RANDOM_TWO,
    "ewma": EWMA,
    "consistent-hash": CONSISTENT_HASH,
}
cdef double DECAY = 10e9      # ns over which a measured latency fades to a third
cdef double UNKNOWN = 1e6     # ns assumed of a server that was never measured


cdef class Balancer:
    """Balance between servers, which are numbers from 0.

    names:      what tells servers apart, for consistent-hash: keys stay where they are when others come and go
    weights, priorities: of each server; all 1 and 0 if left out
    panic:      share of a priority's servers below which all of them are used
    slow_start: ns until a server that came back has its full weight
    eject_after, eject_time: failures in a row, and ns; 0: never
    """

    def __cinit__(self):
        self.members = NULL
        self.open = NULL
        self.table = NULL

    def __init__(self, str policy, names, *, weights=(), priorities=(), double panic=0.5, int64_t slow_start=0,
                 int eject_after=0, int64_t eject_time=30_000_000_000, uint64_t seed=0):
        cdef int i
        names = [name.encode() for name in names]
        if not names:
            raise ValueError("a balancer needs a server at least")
        self.size = len(names)
        self.policy = POLICIES[policy]
        self.members = <Member*>calloc(self.size, sizeof(Member))
        self.open = <int*>malloc(self.size * sizeof(int))
        if self.members == NULL or self.open == NULL:
            raise MemoryError
        for i in range(self.size):
            self.members[i].weight = weights[i] if weights else 1
            self.members[i].priority = priorities[i] if priorities else 0
            self.members[i].healthy = True
        self.panic = panic
        self.slow_start = slow_start
        self.eject_after = eject_after
        self.eject_time = eject_time
        self.random_state = seed or <uint64_t>0x9E3779B97F4A7C15
        self.at = -1
        if self.policy == CONSISTENT_HASH:
            self._fill_table(names)
        self._refresh(0)

    def __dealloc__(self):
        free(self.members)
        free(self.open)
        free(self.table)

    # -- for Python ----------------------------------------------------------------------------

    def choose(self, int64_t now, bytes key=b"", uint64_t avoid=0):
        """Return a server, or None if all are drained; ``avoid`` has a bit for each server tried already."""
        cdef int index = self.pick(now, hash_of(key, len(key)), avoid)
        return None if index < 0 else index

    def begin(self, int index):
        """Note that an exchange goes to a server."""
        self._check(index)
        self.begun(index)

    def end(self, int index, int64_t now, *, bint failed=False, int64_t latency=0):
        """Note how an exchange with a server ended; latency in ns, 0: it is not known."""
        self._check(index)
        self.ended(index, now, failed, latency)

    def set_healthy(self, int index, bint healthy, int64_t now):
        """Take a server in or out."""
        self._check(index)
        if healthy and not self.members[index].healthy:
            self._came_back(index, now)
        self.members[index].healthy = healthy
        self._refresh(now)

    def set_draining(self, int index, bint draining, int64_t now):
        """Give a server nothing new, or as before."""
        self._check(index)
        if not draining and self.members[index].draining:
            self._came_back(index, now)
        self.members[index].draining = draining
        self._refresh(now)

    def state(self, int index, int64_t now):
        """Return what is known of a server, as a dict."""
        self._check(index)
        member = self.members[index]
        return {
            "weight": member.weight, "priority": member.priority, "active": member.active,
            "failures": member.failures, "healthy": bool(member.healthy), "draining": bool(member.draining),
            "ejected": member.ejected_until > now, "latency": member.latency / 1e9 if member.measured else None,
        }

    def _check(self, int index):
        if not 0 <= index < self.size:
            raise IndexError(f"there is no server {index} of {self.size}")

    def _came_back(self, int index, int64_t now):
        self.members[index].since = now
        self.members[index].failures = self.members[index].ejections = 0
        self.members[index].ejected_until = 0
        self.members[index].turn = self.now_turn

    # -- the choice ----------------------------------------------------------------------------

    cdef int pick(self, int64_t now, uint64_t key, uint64_t avoid) noexcept nogil:
        """Return a server; -1: there is none."""
        cdef int index, _
        if self.look_again and now >= self.look_again:
            self._refresh(now)
        if self.open_count == 0:
            return -1
        index = self._choose(now, key)
        if avoid and avoid >> (index & 63) & 1:
            for _ in range(self.open_count):
                self.at = self.at + 1 if self.at + 1 < self.open_count else 0
                if not avoid >> (self.open[self.at] & 63) & 1:
                    return self.open[self.at]
        return index

    cdef int _choose(self, int64_t now, uint64_t key) noexcept nogil:
        if self.open_count == 1:
            return self.open[0]
        if self.policy == CONSISTENT_HASH:
            return self._hashed(key)
        if self.policy == LEAST_REQUESTS:
            return self._least(now)
        if self.policy == RANDOM_TWO or self.policy == EWMA:
            return self._of_two(now)
        if self.policy == WEIGHTED or self.slow_start:
            return self._weighted(now)
        self.at = self.at + 1 if self.at + 1 < self.open_count else 0
        return self.open[self.at]

    cdef double _weight(self, int index, int64_t now) noexcept nogil:
        """Return a server's weight, less while it is warming up; round-robin knows no weights."""
        cdef Member* member = &self.members[index]
        cdef double weight = 1 if self.policy == ROUND_ROBIN else member.weight
        if self.slow_start and member.since and now < member.since + self.slow_start:
            weight *= max(0.1, <double>(now - member.since) / self.slow_start)
        return weight

    cdef int _weighted(self, int64_t now) noexcept nogil:
        """Choose whose turn is next: the heavier a server, the shorter the time to its next one."""
        cdef int i, index, best = self.open[0]
        cdef double least = self.members[best].turn
        for i in range(1, self.open_count):
            index = self.open[i]
            if self.members[index].turn < least:
                least = self.members[index].turn
                best = index
        self.now_turn = least
        self.members[best].turn = least + 1 / self._weight(best, now)
        return best

    cdef int _least(self, int64_t now) noexcept nogil:
        """Choose who has the least to do for its weight; of equals, the next in turn."""
        cdef int _, index, best = -1, place = 0
        cdef double load, least = 0
        for _ in range(self.open_count):
            self.at = self.at + 1 if self.at + 1 < self.open_count else 0
            index = self.open[self.at]
            load = (self.members[index].active + 1) / self._weight(index, now)
            if best < 0 or load < least:
                best, least, place = index, load, self.at
        self.at = place
        return best

    cdef int _of_two(self, int64_t now) noexcept nogil:
        """Choose the cheaper of two at random."""
        cdef uint64_t random = self._random()
        cdef int first = <int>(<uint64_t><uint32_t>random % <uint64_t>self.open_count)
        cdef int second = <int>((random >> 32) % <uint64_t>(self.open_count - 1))
        if second >= first:
            second += 1
        first, second = self.open[first], self.open[second]
        return first if self._cost(first, now) <= self._cost(second, now) else second

    cdef double _cost(self, int index, int64_t now) noexcept nogil:
        cdef Member* member = &self.members[index]
        cdef double cost = (member.active + 1) / self._weight(index, now)
        if self.policy == EWMA:
            cost *= member.latency if member.measured else UNKNOWN
        return cost

    cdef int _hashed(self, uint64_t key) noexcept nogil:
        """Look up the key's server; where that is out, another place of the table, so that only its keys move."""
        cdef int _, index = 0
        for _ in range(64):
            index = self.table[key % TABLE_SIZE]
            if self._is_open(index):
                return index
            key = mixed(key + <uint64_t>0x9E3779B97F4A7C15)
        return self.open[key % <uint64_t>self.open_count]

    cdef bint _is_open(self, int index) noexcept nogil:
        cdef int low = 0, high = self.open_count - 1, middle
        while low <= high:
            middle = (low + high) // 2
            if self.open[middle] == index:
                return True
            if self.open[middle] < index:
                low = middle + 1
            else:
                high = middle - 1
        return False

    cdef uint64_t _random(self) noexcept nogil:
        # xorshift64*, Vigna 2016
        self.random_state ^= self.random_state >> 12
        self.random_state ^= self.random_state << 25
        self.random_state ^= self.random_state >> 27
        return self.random_state * <uint64_t>0x2545F4914F6CDD1D

    # -- what becomes of an exchange -----------------------------------------------------------

    cdef void begun(self, int index) noexcept nogil:
        self.members[index].active += 1

    cdef void ended(self, int index, int64_t now, bint failed, int64_t latency) noexcept nogil:
        cdef Member* member = &self.members[index]
        cdef double share
        if member.active:
            member.active -= 1
        if latency > 0:
            # NOTE: a rise counts at once, a fall fades in: a server that stalls is found out by one answer.
            if not member.measured or latency > member.latency:
                member.latency = latency
            else:
                share = exp(-<double>(now - member.measured) / DECAY)
                member.latency = member.latency * share + latency * (1 - share)
            member.measured = now
        if not failed:
            if latency:
                member.failures = member.ejections = 0
            return
        member.failures += 1
        if self.eject_after and member.failures >= self.eject_after:
            member.failures = 0
            member.ejections = min(member.ejections + 1, MOST_EJECTIONS)
            member.ejected_until = now + self.eject_time * member.ejections
            self._refresh(now)

    # -- who may be chosen ---------------------------------------------------------------------

    cdef void _refresh(self, int64_t now) noexcept nogil:
        """Find the servers of the first priority that has any in; of the first at all, if none is."""
        cdef int i, count, total, used = 10
        cdef Member* member
        cdef int64_t look_again = 0
        for i in range(self.size):
            member = &self.members[i]
            if member.ejected_until:
                if member.ejected_until <= now:
                    member.ejected_until = 0
                    member.since = now
                    member.turn = self.now_turn
                elif not look_again or member.ejected_until < look_again:
                    look_again = member.ejected_until
            if not member.draining and member.healthy and not member.ejected_until:
                used = min(used, member.priority)
        self.look_again = look_again
        if used == 10:
            for i in range(self.size):
                if not self.members[i].draining:
                    used = min(used, self.members[i].priority)
        count = total = 0
        for i in range(self.size):
            member = &self.members[i]
            if member.draining or member.priority != used:
                continue
            total += 1
            if member.healthy and not member.ejected_until:
                self.open[count] = i
                count += 1
        self.panicking = total > 0 and (count == 0 or count < self.panic * total)
        if self.panicking:
            count = 0
            for i in range(self.size):
                if not self.members[i].draining and self.members[i].priority == used:
                    self.open[count] = i
                    count += 1
        self.open_count = count
        if self.at >= count:
            self.at = -1

    cdef int _fill_table(self, list names) except -1:
        """Fill the table as Maglev does: servers take their favourite free places in turn, by weight."""
        cdef int i, filled = 0
        cdef uint32_t place
        cdef double heaviest = 0
        cdef uint64_t first, second
        self.table = <uint32_t*>malloc(TABLE_SIZE * sizeof(uint32_t))
        cdef uint64_t* offset = <uint64_t*>malloc(self.size * sizeof(uint64_t))
        cdef uint64_t* skip = <uint64_t*>malloc(self.size * sizeof(uint64_t))
        cdef double* owed = <double*>calloc(self.size, sizeof(double))
        try:
            if self.table == NULL or offset == NULL or skip == NULL or owed == NULL:
                raise MemoryError
            memset(self.table, 0xff, TABLE_SIZE * sizeof(uint32_t))
            for i in range(self.size):
                first = hash_of(names[i], len(names[i]))
                second = mixed(first)
                offset[i] = first % TABLE_SIZE
                skip[i] = second % (TABLE_SIZE - 1) + 1
                heaviest = max(heaviest, <double>self.members[i].weight)
            while filled < TABLE_SIZE:
                for i in range(self.size):
                    owed[i] += self.members[i].weight / heaviest
                    if owed[i] < 1 or filled == TABLE_SIZE:
                        continue
                    owed[i] -= 1
                    place = <uint32_t>offset[i]
                    while self.table[place] != 0xffffffff:
                        place = <uint32_t>((place + skip[i]) % TABLE_SIZE)
                    self.table[place] = i
                    offset[i] = (place + skip[i]) % TABLE_SIZE
                    filled += 1
        finally:
            free(offset)
            free(skip)
            free(owed)
        return 0


cdef uint64_t mixed(uint64_t value) noexcept nogil:
    # splitmix64's last step, Steele and others 2014
    value = (value ^ value >> 30) * <uint64_t>0xBF58476D1CE4E5B9
    value = (value ^ value >> 27) * <uint64_t>0x94D049BB133111EB
    return value ^ value >> 31


cdef uint64_t hash_of(const char* data, Py_ssize_t size) noexcept nogil:
    """Spread a key over 64 bits, in every process alike."""
    return mixed(<uint64_t>crc32c(0, data, size) << 32 | crc32c(0xffffffff, data, size) ^ <uint64_t>size)
