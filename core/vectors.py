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


def seal(user_id, salt, costs, alphabet, length, generated_at, expires_at):
    """The seal of a set. Times are microseconds since 2000-01-01 UTC, None is never."""
    user = user_id.encode()
    message = b"backup_codes seal" + b"\x01" + len(user).to_bytes(2, "big") + user + salt
    message += b"s" if costs is None else b"a" + costs[0].to_bytes(4, "big") + costs[1].to_bytes(4, "big")
    message += alphabet.encode() + length.to_bytes(1, "big")
    for time in (generated_at, 2**63 - 1 if expires_at is None else expires_at):
        message += time.to_bytes(8, "big", signed=True)
    return hmac.new(KEY, message, hashlib.sha256).digest()[:16].hex()


HASHES = [
    (0, "7Q4KM2XW9FH8ZTCB5NRDP3VJ", None),
    (90, "0123456789ABCDEFGHJKMNPQ", None),
    (255, "Z" * 63, None),
    (1, "0a1b2c3d4e5f60718293a4b5c6d7e8f9", None),
    (7, "0123456789012345678901234567890123456789", None),
    (0, "0a1b2c3d4e", (8192, 1)),
    (255, "12345678", (19456, 2)),
]

SEALS = [
    ("42", 0, None, "b", 25, 0, None),
    ("42", 0, None, "b", 25, 0, 86400 * 10**6),
    ("zoë@example.org", 90, (19456, 2), "d", 8, 846028800123456, 877564800123456),
    ("x" * 255, 255, (8192, 1), "h", 64, -1, None),
]


def scheme(costs):
    """The scheme as the reference tells it."""
    return "sha256" if costs is None else "argon2id, {} KiB, {} pass{}".format(*costs, "" if costs[1] == 1 else "es")


def main():
    """Prints the vectors as the tables of the reference, and the check value of their key."""
    print(hmac.new(KEY, b"backup_codes key check", hashlib.sha256).digest()[:8].hex())
    for salt, symbols, costs in HASHES:
        plain, keyed = (stored(bytes([salt]) * 16, symbols, costs, key) for key in (None, KEY))
        print(f"| {scheme(costs)} | {salt} | `{symbols}` | `{plain}` | `{keyed}` |")
    for user_id, salt, costs, *rest in SEALS:
        facts = " | ".join(map(str, rest))
        print(f"| `{user_id}` | {salt} | {scheme(costs)} | {facts} | `{seal(user_id, bytes([salt]) * 16, costs, *rest)}` |")


if __name__ == "__main__":
    main()
