"""Fuzz the HTTP/1.x parsers.

The invariant is tests/oracles/agreement.py: for any bytes, the compiled parser and its oracle accept and find
the same, whole or in pieces, without a read outside the buffer, and what is accepted means the same when it
is written anew. The oracle's coverage guides the search: it takes a branch for each rule.

    python -m tests.fuzz.fuzz_http1 NEW_CORPUS tests/fuzz/corpus -dict=tests/fuzz/http1.dict
"""

import sys

import atheris

with atheris.instrument_imports(include=["tests.oracles"]):
    from tests.fuzz.http1_input import check

if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
