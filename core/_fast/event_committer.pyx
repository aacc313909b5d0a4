"""Commit appends as they come, in a thread that needs no interpreter: group commit without a timer.

Rules: appends are committed in the order in which they were handed over, and answered in that order, after they
are on the disk. The thread takes the first that waits and all behind it, commits them at once, tells, and looks
again; so what comes during a commit goes into the next one together. core/event_log/log.py makes one.
PERF: bench/event_log.py.

NOTE: the thread takes the interpreter only to begin a segment: a busy loop cannot hold up a commit.
"""

import os
import threading
from collections import deque

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from cython cimport final, no_gc_clear
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from core._fast.clock cimport realtime_ns
from core._fast.event_append cimport REPEATED, Append
from core._fast.event_env cimport EventEnv
from core._fast.event_segments cimport begin_segment
from core._fast.event_trouble cimport SEGMENT_OVER
from core._fast.event_writer cimport EventWriter
from core._fast.locks cimport (
    pthread_cond_destroy, pthread_cond_init, pthread_cond_signal, pthread_cond_wait, pthread_mutex_destroy,
    pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock,
)

from core._fast.event_store import segment_end

from core.event_log.errors import LogClosed

cdef extern from "<unistd.h>" nogil:
    Py_ssize_t write(int descriptor, const void* data, size_t size)


@final
@no_gc_clear
cdef class Committer:
    """Commit for one store; `create_future` makes the futures that `submit` returns."""

    def __cinit__(self, EventStore store not None, create_future not None):
        pthread_mutex_init(&self.lock, NULL)
        pthread_cond_init(&self.more, NULL)
        self.store = store
        self.create_future = create_future
        self.pending = deque()
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def __init__(self, store, create_future):
        # NOTE: the thread holds the object; it is freed only after `close`.
        self.thread = threading.Thread(target=self._run, name="agora-event-log", daemon=True)
        self.thread.start()

    def __dealloc__(self):
        pthread_cond_destroy(&self.more)
        pthread_mutex_destroy(&self.lock)
        PyMem_RawFree(self.waiting)
        PyMem_RawFree(self.taken)
        PyMem_RawFree(self.ended)

    def __len__(self):
        """Return how many appends are not answered yet."""
        return len(self.pending)

    def submit(self, Append append not None):
        """Hand an append over; return the future of its Appended. A future that is cancelled is committed too."""
        if self.closing:
            raise LogClosed(f"the event log in {self.store.path} is closed in this process")
        self.hand_over(&append.part)
        future = self.create_future()
        self.pending.append((append, future))
        return future

    def collect(self):
        """Answer what has been committed; called when `wake` can be read."""
        cdef Batch* ended
        cdef uint32_t count, index
        try:
            os.eventfd_read(self.wake)
        except BlockingIOError:
            pass
        pthread_mutex_lock(&self.lock)
        count = self.ended_count
        ended = <Batch*>PyMem_RawMalloc((count or 1) * sizeof(Batch))
        if ended != NULL and count:
            memcpy(ended, self.ended, count * sizeof(Batch))
            self.ended_count = 0
        pthread_mutex_unlock(&self.lock)
        if ended == NULL:
            raise MemoryError
        try:
            for index in range(count):
                self.settle(&ended[index])
        finally:
            PyMem_RawFree(ended)

    def close(self):
        """Wait until everything handed over is committed, and end the thread; more often is harmless."""
        if self.wake < 0:
            return
        pthread_mutex_lock(&self.lock)
        self.closing = True
        pthread_cond_signal(&self.more)
        pthread_mutex_unlock(&self.lock)
        self.thread.join()
        self.collect()
        os.close(self.wake)
        self.wake = -1

    cdef int hand_over(self, AppendPart* part) except -1:
        cdef void* grown = NULL
        cdef bint fits = True
        pthread_mutex_lock(&self.lock)
        if self.waiting_count == self.waiting_room:
            grown = PyMem_RawRealloc(self.waiting, (2 * self.waiting_room or 256) * sizeof(AppendPart*))
            fits = grown != NULL
            if fits:
                self.waiting = <AppendPart**>grown
                self.waiting_room = 2 * self.waiting_room or 256
        # NOTE: each batch that ends has one append at least, so the thread never needs memory to tell.
        if fits and self.ended_room <= <uint32_t>len(self.pending):
            grown = PyMem_RawRealloc(self.ended, (2 * self.ended_room or 256) * sizeof(Batch))
            fits = grown != NULL
            if fits:
                self.ended = <Batch*>grown
                self.ended_room = 2 * self.ended_room or 256
        if fits:
            self.waiting[self.waiting_count] = part
            self.waiting_count += 1
            if self.idle:
                self.idle = False
                pthread_cond_signal(&self.more)
        pthread_mutex_unlock(&self.lock)
        if not fits:
            raise MemoryError
        return 0

    cdef int settle(self, const Batch* batch) except -1:
        cdef Append append
        cdef EventEnv env = self.store.env
        cdef uint32_t _turn
        for _turn in range(batch.count):
            append, future = self.pending.popleft()
            if future.done():
                continue
            if batch.code == 0:
                answer = append.result()
                if append.part.outcome <= REPEATED:
                    future.set_result(answer)
                else:
                    future.set_exception(answer)
                continue
            try:
                env.refuse(batch.code, True)
            except Exception as error:
                future.set_exception(error)
        return 0

    # -- the thread -------------------------------------------------------------------------------------------

    def _run(self):
        cdef EventWriter writer = self.store.writer
        cdef EventEnv env = self.store.env
        cdef uint32_t count
        with nogil:
            while True:
                count = self._take()
                if count == 0:
                    break
                self._tell(count, self._commit(writer, env, count))

    cdef uint32_t _take(self) noexcept nogil:
        cdef AppendPart** parts
        cdef uint32_t count, room
        pthread_mutex_lock(&self.lock)
        while self.waiting_count == 0 and not self.closing:
            self.idle = True
            pthread_cond_wait(&self.more, &self.lock)
        self.idle = False
        parts, room, count = self.taken, self.taken_room, self.waiting_count
        self.taken, self.taken_room = self.waiting, self.waiting_room
        self.waiting, self.waiting_room, self.waiting_count = parts, room, 0
        pthread_mutex_unlock(&self.lock)
        return count

    cdef void _tell(self, uint32_t count, int code) noexcept nogil:
        cdef uint64_t one = 1
        pthread_mutex_lock(&self.lock)
        self.ended[self.ended_count].count = count
        self.ended[self.ended_count].code = code
        self.ended_count += 1
        pthread_mutex_unlock(&self.lock)
        # NOTE: it fails only if the counter is full, and then it can be read.
        write(self.wake, &one, sizeof(one))

    cdef int _commit(self, EventWriter writer, EventEnv env, uint32_t count) noexcept nogil:
        cdef int64_t now_ns = realtime_ns()
        cdef int code
        while True:
            code = writer.commit(self.taken, <Py_ssize_t>count, now_ns)
            if code != SEGMENT_OVER:
                return code
            code = begin_segment(env, now_ns, self._segment_end(now_ns))
            if code:
                return code

    cdef int64_t _segment_end(self, int64_t now_ns) noexcept nogil:
        with gil:
            return segment_end(now_ns, self.store.segment_days)
