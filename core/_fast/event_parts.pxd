# Check and write the parts of an event. All raise TypeError for a wrong type and EventInvalid for a wrong value.
from libc.stdint cimport int64_t

from core._fast.event_layout cimport Span

cdef Span text_of(object value, str what, Py_ssize_t most) except *    # a str's UTF-8, which belongs to it
cdef Span name_of(object value, str what) except *                     # the same, of 1 to MOST_NAME bytes
cdef int64_t whole(object value, str what, int64_t least, int64_t most) except? -1
cdef int check_codec(object codec) except -1
cdef tuple distinct_tags(object tags)
cdef Py_ssize_t size_of_tags(tuple tags) except -1
cdef char* put_tags(char* to, tuple tags) except NULL                  # size_of_tags bytes; returns their end
cdef int put_id(char* to, object value, str what) except -1            # ID_SIZE bytes
cdef int put_new_id(char* to) except -1
