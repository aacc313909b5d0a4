"""SipHash-c-d as its authors describe it (Aumasson and Bernstein, 2012)."""

from __future__ import annotations

WORD = 2**64 - 1


def siphash(low: int, high: int, data: bytes, c: int, d: int) -> int:
    """Return the hash of the data under a 128-bit key, with c rounds for each word and d at the end."""
    v = [
        low ^ 0x736F6D6570736575,
        high ^ 0x646F72616E646F6D,
        low ^ 0x6C7967656E657261,
        high ^ 0x7465646279746573,
    ]

    def turn(word: int, bits: int) -> int:
        return (word << bits | word >> (64 - bits)) & WORD

    def rounds(n: int) -> None:
        for _ in range(n):
            v[0] = (v[0] + v[1]) & WORD
            v[1] = turn(v[1], 13) ^ v[0]
            v[0] = turn(v[0], 32)
            v[2] = (v[2] + v[3]) & WORD
            v[3] = turn(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & WORD
            v[3] = turn(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & WORD
            v[1] = turn(v[1], 17) ^ v[2]
            v[2] = turn(v[2], 32)

    whole = len(data) // 8 * 8
    last = data[whole:].ljust(7, b"\0") + bytes([len(data) % 256])
    for start in range(0, whole + 8, 8):
        word = int.from_bytes((data[:whole] + last)[start : start + 8], "little")
        v[3] ^= word
        rounds(c)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(d)
    return v[0] ^ v[1] ^ v[2] ^ v[3]
