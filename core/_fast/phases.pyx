"""Run the phases of an exchange's plan: in order, and without a task until a method waits.

The rules it guards: the synchronous part of a phase runs at once; from the first method on that is a coroutine
function, or that returned a coroutine, one task runs the rest of that phase; a method that fails, however it does,
ends its phase and is reported. The base of core/_fast/exchange, which says what comes after a phase.
"""

import asyncio
from types import CoroutineType

cdef tuple FAILURES = (Exception, asyncio.CancelledError)


cdef class PhaseRunner(ExchangeState):
    """Run bound methods on itself."""

    cdef int run(self, Phase phase, Py_ssize_t start) except -1:
        """Run a phase's methods from `start` on, then what comes after the phase."""
        cdef tuple methods = methods_of(self, phase)
        cdef tuple waits = waits_of(self, phase)
        cdef Py_ssize_t i
        cdef object method, result
        for i in range(start, len(methods)):
            method = methods[i]
            if waits[i]:
                return self._wait(phase, i, None)
            try:
                result = method(self)
            except FAILURES as error:
                return self.phase_failed(method, error)
            if result is not None and type(result) is CoroutineType:
                return self._wait(phase, i, result)
            if self.stage == ENDED:
                return 0
            if result is not None and phase == REQUEST:
                return self._take(method, result)
        return self.after(phase)

    cdef int _wait(self, Phase phase, Py_ssize_t start, object begun) except -1:
        """Make a task of the rest of a phase; `begun` is the coroutine that its first method returned, or None."""
        if self.stage == ENDED:
            begun.close()       # NOTE: the method itself ended the exchange
            return 0
        self.begun = begun
        self.task = asyncio.get_running_loop().create_task(self._run_waiting(phase, start))
        return 0

    async def _run_waiting(self, Phase phase, Py_ssize_t start):
        """Do the same from the first method on that waits."""
        cdef tuple methods = methods_of(self, phase)
        cdef tuple waits = waits_of(self, phase)
        cdef Py_ssize_t i = start
        cdef object method = None, result = None
        try:
            while i < len(methods) and (result is None or phase != REQUEST):
                method = methods[i]
                result = method(self) if self.begun is None else self.begun
                self.begun = None
                if waits[i] or type(result) is CoroutineType:
                    result = await result
                i += 1
        except FAILURES as error:
            # NOTE: stop_waiting() forgets the task before it cancels it; any other cancellation is a failure.
            if isinstance(error, asyncio.CancelledError) and self.task is not asyncio.current_task():
                raise
            if self._resumed():
                self.phase_failed(method, error)
                self.flush_answer()
            return
        if self._resumed():
            if result is not None and phase == REQUEST:
                self._take(method, result)
            else:
                self.after(phase)
            self.flush_answer()

    cdef int run_accept(self, tuple methods) except -1:
        """Run the accept phases, which come before a route is known."""
        cdef object method, result
        for method in methods:
            try:
                result = method(self)
            except FAILURES as error:
                return self.phase_failed(method, error)
            if result is not None:
                return self._take(method, result)
        return 0

    cdef bytes chunk(self, str side, bytes piece, bint last):
        """Run the chunk phases over a piece of a body; None: one failed, and that has been seen to.

        NOTE: those of a response run in reverse, as the response phases do: who sees the head before a plugin
        has changed it also sees the body before.
        """
        cdef object method, result
        for method in self.plan.chunk_back if side == "response" else self.plan.chunk:
            try:
                result = method(self, side, piece, last)
                if result is not None:
                    if not isinstance(result, bytes):
                        raise TypeError(f"chunk() returns bytes or None, not {type(result).__name__}")
                    if not self.plan.rewrites_bodies and (side != "response" or not self._response.rewritten):
                        raise TypeError(
                            "chunk() returns bytes only where the class says `rewrites_bodies = True`, or where"
                            " the response phase has set `exchange.response.rewritten`"
                        )
                    piece = result
            except FAILURES as error:
                self.phase_failed(method, error)
                return None
        return piece

    cdef int stop_waiting(self) except -1:
        """Cancel the task of a phase that waits, if there is one."""
        cdef object task = self.task
        if task is not None:
            self.task = None
            task.cancel()
            if self.begun is not None:
                self.begun.close()      # the task has not come to it
                self.begun = None
        return 0

    cdef int _take(self, object method, object result) except -1:
        """Take a method's answer; anything but a Response is its failure."""
        if isinstance(result, Response):
            return self.answer(result)
        return self.phase_failed(
            method, TypeError(f"a phase returns None or a Response, not {type(result).__name__}")
        )

    cdef bint _resumed(self):
        """Note that the waiting is over; False: the exchange ended meanwhile."""
        self.task = None
        return self.stage != ENDED

    cdef int after(self, Phase phase) except -1:
        raise NotImplementedError

    cdef int answer(self, Response response) except -1:
        raise NotImplementedError

    cdef int phase_failed(self, object method, object error) except -1:
        raise NotImplementedError

    cdef int flush_answer(self) except -1:
        raise NotImplementedError


cdef tuple methods_of(ExchangeState state, Phase phase):
    if phase == REQUEST:
        return state.plan.request
    return state.plan.forward if phase == FORWARD else state.plan.response


cdef tuple waits_of(ExchangeState state, Phase phase):
    if phase == REQUEST:
        return state.plan.request_waits
    return state.plan.forward_waits if phase == FORWARD else state.plan.response_waits


cdef str method_name(object method):
    return f"{type(getattr(method, '__self__', method)).__name__}.{getattr(method, '__name__', method)}"
