"""Decide about rates, exactly, in memory that all workers share: GCRA over a table of keys and times.

A window of N requests a period admits N at once and refills evenly. Its whole state for one key is one time,
the moment at which it will be full again (the theoretical arrival time of GCRA). Called on the request path
by the rate-limit plugin, and by tools.

The rule: never one request too many, however many workers decide at once (table.pyx says how). Several
windows are all taken or none.
"""

from cython cimport final, freelist

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uintptr_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from core._fast.atomic cimport Pair, load_value
from core._fast.clock cimport monotonic_ns
from core._fast.siphash cimport siphash
from core._fast.table cimport ADMITTED, FULL, GROUP, HEADER, REFUSED, forget, give_back, lay, take, used
from core._fast.table cimport look as full_at_of

from core.windows import WindowInvalid, parse_window

cdef enum:
    SECOND = 1_000_000_000

cdef int64_t LATEST = <int64_t>1 << 62


cdef inline uint64_t _cell_key(uint64_t hashed, uint64_t salt) noexcept nogil:
    """Return the key of one window's cell: distinct for distinct salts, never 0 (an empty cell)."""
    cdef uint64_t key = hashed ^ salt
    key = (key ^ (key >> 33)) * <uint64_t>0xff51afd7ed558ccd
    key = (key ^ (key >> 33)) * <uint64_t>0xc4ceb9fe1a85ec53
    key ^= key >> 33
    return key if key != 0 else 1


cdef inline void _tell(Decision* out, int index, const Window* window, int64_t now,
                       int64_t full_at) noexcept nogil:
    """Set the figures of a window that will be full at `full_at`."""
    cdef int64_t owed = full_at - now if full_at > now else 0
    out.window = index
    out.limit = window.limit
    out.remaining = (window.burst - owed) // window.interval if owed < window.burst else 0
    out.reset = (owed + SECOND - 1) // SECOND
    out.retry_after = 0


cdef inline int64_t _wait(const Window* window, int64_t now, int64_t full_at) noexcept nogil:
    """Return the ns until one more request is admitted; 0 or less: now."""
    return (full_at if full_at > now else now) + window.interval - window.burst - now


cdef inline void _tell_refused(Decision* out, int index, const Window* window, int64_t now,
                               int64_t full_at) noexcept nogil:
    _tell(out, index, window, now, full_at)
    out.retry_after = (_wait(window, now, full_at) + SECOND - 1) // SECOND


cdef int _look(Table* table, uint64_t hashed, const Window* windows, int n, int64_t now,
               Decision* out) noexcept nogil:
    """Say whether all windows would admit; figures as they stand."""
    cdef Decision told
    cdef int64_t full_at, longest = 0
    cdef int i, outcome = ADMITTED
    for i in range(n):
        full_at = full_at_of(table, _cell_key(hashed, windows[i].salt))
        if _wait(&windows[i], now, full_at) > longest:
            longest = _wait(&windows[i], now, full_at)
            _tell_refused(out, i, &windows[i], now, full_at)
            outcome = REFUSED
        elif outcome == ADMITTED:
            _tell(&told, i, &windows[i], now, full_at)
            if i == 0 or told.remaining < out.remaining:
                out[0] = told
    return outcome


@final
cdef class Windows:
    """Hold the windows of one rule, ready for decisions. Made by compile_windows.

    texts:  as configured
    policy: the value of the RateLimit-Policy field
    """

    def __init__(self, texts, bytes scope not None=b""):
        cdef bytes name
        cdef int i
        self.texts = (texts,) if isinstance(texts, str) else tuple(texts)
        parsed = [parse_window(text) for text in self.texts]
        if not 1 <= len(parsed) <= MAX_WINDOWS:
            raise WindowInvalid(f"a rule has 1 to {MAX_WINDOWS} windows, not {len(parsed)}")
        if len(set(parsed)) < len(parsed):
            raise WindowInvalid(f"a window is given twice in {', '.join(self.texts)}")
        self.items = <Window*>calloc(len(parsed), sizeof(Window))
        if self.items == NULL:
            raise MemoryError()
        self.count = <int>len(parsed)
        for i, (limit, seconds) in enumerate(parsed):
            self.items[i].limit = limit
            self.items[i].seconds = seconds
            # NOTE: rounded up, so that no request is admitted before its time.
            self.items[i].interval = -(-seconds * SECOND // limit)
            self.items[i].burst = self.items[i].interval * limit
            name = b"%d/%d " % (limit, seconds) + scope
            self.items[i].salt = siphash(0, 0, name, len(name))
        self.names = tuple([b'"%s"' % text.encode() for text in self.texts])
        self.policy = b", ".join([
            b"%s;q=%d;w=%d" % (name, limit, seconds)
            for name, (limit, seconds) in zip(self.names, parsed, strict=True)
        ])

    def __dealloc__(self):
        free(self.items)

    def __repr__(self):
        return f"<Windows {', '.join(self.texts)}>"

    cdef bytes field(self, const Decision* decision):
        cdef char[128] text
        cdef bytes name = self.names[decision.window]
        cdef int size = snprintf(text, sizeof(text), b"%s;r=%lld;t=%lld", <const char*>name,
                                 <long long>decision.remaining, <long long>decision.reset)
        return text[:size]


def compile_windows(texts, bytes scope not None=b""):
    """Return the Windows of a rule from texts such as ["100/minute", "5000/day"]; raises WindowInvalid.

    Rules with different scopes (the route's or the rule's name) never share a cell, whatever their keys are.
    """
    return Windows(texts, scope)


@final
@freelist(64)
cdef class Verdict:
    """Tell what a Limiter decided, with the figures of the tightest window.

    admitted:    whether the request may go on
    full:        the table had no room, nothing was decided (admitted is false)
    limit, remaining: requests
    reset:       seconds until the window is full again
    retry_after: seconds until a refused request would be admitted; 0 if admitted
    """

    cdef Windows windows
    cdef Decision decision
    cdef int outcome

    @property
    def admitted(self):
        return self.outcome == ADMITTED

    @property
    def full(self):
        return self.outcome == FULL

    @property
    def limit(self):
        return self.decision.limit

    @property
    def remaining(self):
        return self.decision.remaining

    @property
    def reset(self):
        return self.decision.reset

    @property
    def retry_after(self):
        return self.decision.retry_after

    @property
    def window(self):
        """Return the text of the tightest window."""
        return self.windows.texts[self.decision.window]

    @property
    def field(self):
        """Return the value of the RateLimit field."""
        return self.windows.field(&self.decision)

    def __repr__(self):
        outcome = "full" if self.full else "admitted" if self.admitted else "refused"
        return (f"<Verdict {outcome} {self.window} remaining={self.remaining} reset={self.reset} "
                f"retry_after={self.retry_after}>")


def keyed_hash(bytes secret not None, bytes data not None):
    """Return the 64-bit SipHash-1-3 of the data under the first 16 bytes of the secret."""
    cdef uint64_t[2] words
    _read_secret(secret, words)
    return siphash(words[0], words[1], data, len(data))


cdef int _read_secret(bytes secret, uint64_t* words) except -1:
    if len(secret) < 16:
        raise ValueError("the secret is 16 bytes or more")
    memcpy(words, <const char*>secret, 16)
    return 0


def table_size(cells):
    """Return how many bytes a table of at least so many cells takes; a cell is one key in one window."""
    if not 2 * GROUP <= cells <= 1 << 40:
        raise ValueError(f"a table has {2 * GROUP} cells or more, not {cells}")
    return HEADER + (cells + GROUP - 1) // GROUP * GROUP * sizeof(Pair)


@final
cdef class Limiter:
    """Decide about keys in one table, given as a writable buffer shared by all workers.

    secret: 16 bytes or more, the same for all users of the table
    """

    def __init__(self, buffer, bytes secret not None):
        _read_secret(secret, self.secret)
        PyObject_GetBuffer(buffer, &self.view, PyBUF_WRITABLE)
        self.held = True
        if <uintptr_t>self.view.buf % sizeof(Pair):
            raise ValueError("the table is not aligned to 16 bytes")
        if self.view.len < table_size(2 * GROUP):
            raise ValueError(f"{self.view.len} bytes hold no table")
        lay(&self.table, <char*>self.view.buf, self.view.len)

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)

    cdef int decide(self, const Window* windows, int n, const char* key, Py_ssize_t key_len,
                    int64_t now, Decision* out) noexcept nogil:
        cdef Table* table = &self.table
        cdef uint64_t hashed = siphash(self.secret[0], self.secret[1], key, key_len)
        cdef uint64_t[MAX_WINDOWS] keys
        cdef int64_t[MAX_WINDOWS] full_at
        cdef Decision told
        cdef int i, outcome
        # PERF: what is refused, under attack nearly everything, writes nothing and so costs no other worker a
        # cache line. And it takes nothing that would have to be given back (bench/rate_limit.py).
        if n > 1 and _look(table, hashed, windows, n, now, out) == REFUSED:
            return REFUSED
        for i in range(n):
            keys[i] = _cell_key(hashed, windows[i].salt)
            outcome = take(table, keys[i], windows[i].interval, windows[i].burst, now, &full_at[i])
            if outcome != ADMITTED:
                break
            _tell(&told, i, &windows[i], now, full_at[i])
            if i == 0 or told.remaining < out.remaining:
                out[0] = told
        else:
            return ADMITTED
        if outcome == REFUSED:
            _tell_refused(out, i, &windows[i], now, full_at[i])
        else:
            out[0] = Decision(limit=windows[i].limit, remaining=0, reset=1, retry_after=1, window=i)
        while i > 0:
            i -= 1
            give_back(table, keys[i], windows[i].interval, full_at[i])
        return outcome

    cdef int look(self, const Window* windows, int n, const char* key, Py_ssize_t key_len,
                  int64_t now, Decision* out) noexcept nogil:
        return _look(&self.table, siphash(self.secret[0], self.secret[1], key, key_len), windows, n, now, out)

    def check(self, bytes key not None, Windows windows not None, now_ns=None):
        """Take one request from all windows of the key, or from none; returns a Verdict.

        now_ns: CLOCK_MONOTONIC in ns; None: read now
        """
        cdef Verdict verdict = Verdict.__new__(Verdict)
        verdict.windows = windows
        verdict.outcome = self.decide(windows.items, windows.count, key, len(key), _moment(now_ns),
                                      &verdict.decision)
        return verdict

    def peek(self, bytes key not None, Windows windows not None, now_ns=None):
        """Return the Verdict that check would give, its figures as they stand, and take nothing."""
        cdef Verdict verdict = Verdict.__new__(Verdict)
        verdict.windows = windows
        verdict.outcome = self.look(windows.items, windows.count, key, len(key), _moment(now_ns),
                                    &verdict.decision)
        return verdict

    def reset(self, bytes key not None, Windows windows not None):
        """Forget what the key has taken from these windows; return how many windows knew it."""
        cdef uint64_t hashed = siphash(self.secret[0], self.secret[1], key, len(key))
        cdef int i, known = 0
        for i in range(windows.count):
            known += forget(&self.table, _cell_key(hashed, windows.items[i].salt))
        return known

    def used(self, now_ns=None):
        """Count the cells that are not free; takes a millisecond for each million cells."""
        cdef int64_t count, now = _moment(now_ns)
        with nogil:
            count = used(&self.table, now)
        return count

    @property
    def cells(self):
        """Return how many cells the table has."""
        return self.table.groups * GROUP

    @property
    def full_count(self):
        """Return how often no cell was free, over all workers since the table was made."""
        return load_value(self.table.full)


cdef inline int64_t _moment(object now_ns) except -1:
    cdef int64_t now
    if now_ns is None:
        return monotonic_ns()
    now = now_ns
    if not 0 <= now <= LATEST:
        raise ValueError(f"{now} is no CLOCK_MONOTONIC reading in nanoseconds")
    return now
