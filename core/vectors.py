#!/usr/bin/env python3
"""Computes the test vectors of docs/reference.md, "The hash" and "The seal", from what is written there.

It shares nothing with the Rust code. What it prints stands in the reference and in core/src/hash_tests.rs. Run:

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install argon2-cffi && /tmp/venv/bin/python core/vectors.py
"""

import hashlib
import hmac

from argon2.low_level import Type, hash_secret_raw

KEY = bytes(range(32))


def stored(salt, symbols, costs=None, key=None):
    """What is stored instead of a code. Costs are Argon2id's memory in KiB and its passes."""
    message = b"backup_codes" + b"\x02" + salt + symbols.encode()
    if costs is None:
        digest = hashlib.sha256(message).digest()
    else:
        memory, iterations = costs
        digest = hash_secret_raw(message, salt, iterations, memory, 1, 32, Type.ID, version=0x13)
    if key is not None:
        digest = hmac.new(key, digest, hashlib.sha256).digest()
    return digest[:16].hex()


HASHES = [
    (0, "7Q4KM2XW9FH8ZTCB5NRDP3VJ", None),
    (90, "0123456789ABCDEFGHJKMNPQ", None),
    (255, "Z" * 63, None),
    (1, "0a1b2c3d4e5f60718293a4b5c6d7e8f9", None),
    (7, "0123456789012345678901234567890123456789", None),
    (0, "0a1b2c3d4e", (8192, 1)),
    (255, "12345678", (19456, 2)),
]


def main():
    """Prints the vectors as the tables of the reference."""
    for salt, symbols, costs in HASHES:
        scheme = "sha256" if costs is None else "argon2id, {} KiB, {} pass{}".format(*costs, "" if costs[1] == 1 else "es")
        plain, keyed = (stored(bytes([salt]) * 16, symbols, costs, key) for key in (None, KEY))
        print(f"| {scheme} | {salt} | `{symbols}` | `{plain}` | `{keyed}` |")


if __name__ == "__main__":
    main()
