from core._fast.exchange_state cimport ExchangeState
from core._fast.plan cimport Snapshot

cdef object strip(ExchangeState state, Snapshot snapshot)
cdef object route(ExchangeState state, Snapshot snapshot)
