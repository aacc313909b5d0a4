# Values beside the events: checkpoints, projections' state, snapshots, keys.
from core._fast.event_append cimport StatePart
from core._fast.mdb cimport Dbi, Txn, Val

cdef enum:
    VALUE_HEAD = 4             # CRC-32C of key and value

# Each returns 0 or a code. `changed` is set if anything was: to remove what is not there changes nothing.
cdef int put_value(Txn* txn, Dbi table, const StatePart* part, bint* changed) noexcept nogil
# Check a stored value and leave its head out; LOG_DAMAGED.
cdef int open_value(const Val* key, Val* value) noexcept nogil
