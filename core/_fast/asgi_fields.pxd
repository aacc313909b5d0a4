from core._fast.headers cimport Field, Headers

cdef bytes lower_name(const Field* field)
cdef bytes value_of(const Field* field)
cdef list pairs_of(Headers headers, int but_for, int nor)
