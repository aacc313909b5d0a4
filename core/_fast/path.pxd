"""C face of path: bring the path of a target into the one form that is matched and forwarded."""

# 0: already normal (use the input; `out` is scratch), > 0: length of the normal form in `out` (never more
# than n; room for n is enough), < 0: -ParseProblem. "*" is normal. `out` may not overlap `path`.
cdef Py_ssize_t normalise_path(const char* path, Py_ssize_t n, char* out) noexcept nogil
