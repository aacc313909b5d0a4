"""Say when another try is to be made, and how long after the last one.

The rule it guards: what a server asks for by Retry-After is honoured or there is no other try; without it the pause
is random, up to a bound that doubles (full jitter), so that tries do not come in waves. Made by plugins/retry, asked
by core/_fast/upstream, which sees to it that only what is safe is sent twice.
"""

cdef class RetryPolicy:
    """Hold the rules of one route.

    attempts: tries in all
    slugs, statuses: failures (of core.errors.Problem) and answers after which there is another try
    backoff, most_backoff: ns, the first pause's bound and the last one's
    most_wait: ns that a Retry-After may ask for; with more there is no other try
    budget, least_budget: further tries under way, as a share of all exchanges; so many are always allowed
    """

    def __init__(self, int attempts, slugs, statuses, *, int64_t backoff, int64_t most_backoff, int64_t most_wait,
                 double budget, int least_budget):
        self.attempts = attempts
        self.slugs = frozenset(slugs)
        self.statuses = frozenset(statuses)
        self.backoff = backoff
        self.most_backoff = most_backoff
        self.most_wait = most_wait
        self.budget = budget
        self.least_budget = least_budget

    def pause_of(self, int retries, *, int64_t asked=-1, double random):
        """Return the pause before a further try in ns; -1: there is none. ``random``: from 0 to 1."""
        return self.pause(retries, asked, random)

    cdef bint wants(self, object problem, int status) except -1:
        if problem is not None:
            return problem.slug in self.slugs
        return status in self.statuses

    cdef int64_t pause(self, int retries, int64_t asked, double random) noexcept:
        if asked >= 0:
            return asked if asked <= self.most_wait else -1
        return <int64_t>(min(self.backoff << min(retries, 20), self.most_backoff) * random)
