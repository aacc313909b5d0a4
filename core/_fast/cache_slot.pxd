cdef class Slot:
    cdef readonly object key
    cdef readonly Py_ssize_t size      # bytes that it counts for
    cdef readonly tuple names          # what it can be found by besides its key: tags, URLs
    cdef public int seen               # how often it was asked for lately, 3 at most
    cdef public bint main              # it has proved useful: it stands in the main queue
    cdef inline void touch(self) noexcept:
        if self.seen < 3:
            self.seen += 1
