"""Keep a durable, bounded log of exchanges, written in batches off the request path.

RequestLog        writes: one for each process and directory, shared by all plugins that log
RequestLogReader  reads and follows, from any process
RequestQuery      says which records are wanted
"""

from core.request_log.block import Damage
from core.request_log.errors import RequestLogMissing, RequestLogUnreadable, RequestLogUnwritable
from core.request_log.log import RequestLog, RequestLogOptions, RequestLogStats
from core.request_log.query import QueryInvalid, RequestQuery
from core.request_log.reader import Page, RequestLogReader
from core.request_log.record import Record

__all__ = [
    "Damage",
    "Page",
    "QueryInvalid",
    "Record",
    "RequestLog",
    "RequestLogMissing",
    "RequestLogOptions",
    "RequestLogReader",
    "RequestLogStats",
    "RequestLogUnreadable",
    "RequestLogUnwritable",
    "RequestQuery",
]
