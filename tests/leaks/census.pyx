"""Count the live objects of compiled classes, and the bytes that malloc has given out.

A class that is watched has its allocation and deallocation slots replaced by counting ones, so that the
counted code knows nothing of it. Watch only classes from which no compiled class is derived: their slots call
each other. Built by `make leaks` alone; called by tests/leaks/soak.
"""

from cpython.object cimport PyObject, destructor

cdef extern from "Python.h":
    ctypedef PyObject* (*allocfunc)(type, Py_ssize_t)
    ctypedef struct PyTypeObject:
        PyTypeObject* tp_base
        allocfunc tp_alloc
        destructor tp_dealloc
    PyTypeObject* Py_TYPE(PyObject*)

cdef extern from "<malloc.h>" nogil:
    struct mallinfo2_result "mallinfo2":
        size_t uordblks    # bytes in use, of the heap
        size_t hblkhd      # bytes in use, mapped one by one
    mallinfo2_result mallinfo2()

cdef struct Watched:
    PyTypeObject* type
    allocfunc allocate
    destructor release
    long live

cdef enum:
    MOST = 128

cdef Watched watched[MOST]
cdef int count = 0
cdef list classes = []        # SAFETY: keeps the types alive


cdef Watched* find(PyTypeObject* wanted) noexcept:
    """Return the entry of a class, or of the watched one that it is derived from in Python."""
    cdef int i
    while True:
        for i in range(count):
            if watched[i].type is wanted:
                return &watched[i]
        wanted = wanted.tp_base


cdef PyObject* allocate(type cls, Py_ssize_t items) noexcept:
    cdef Watched* entry = find(<PyTypeObject*>cls)
    cdef PyObject* made = entry.allocate(cls, items)
    if made is not NULL and entry.type is <PyTypeObject*>cls:
        entry.live += 1
    return made


cdef void release(PyObject* dying) noexcept:
    cdef Watched* entry = find(Py_TYPE(dying))
    if entry.type is Py_TYPE(dying):
        entry.live -= 1
    (<void (*)(PyObject*) noexcept>entry.release)(dying)


def watch(type cls not None):
    """Count the objects of a class from now on."""
    global count
    cdef PyTypeObject* slots = <PyTypeObject*>cls
    if count == MOST:
        raise ValueError(f"watches {MOST} classes already")
    if cls in classes:
        return
    classes.append(cls)
    watched[count] = Watched(slots, slots.tp_alloc, slots.tp_dealloc, 0)
    count += 1
    slots.tp_alloc = allocate
    slots.tp_dealloc = <destructor>release


def live_counts():
    """Return how many objects of each watched class live, by the class's name."""
    cdef int i
    return {classes[i].__name__: watched[i].live for i in range(count)}


def bytes_in_use():
    """Return the bytes that malloc has given out; Python's own too under PYTHONMALLOC=malloc."""
    cdef mallinfo2_result told = mallinfo2()
    return told.uordblks + told.hblkhd
