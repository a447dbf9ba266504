"""Where the figures must be: each target is computed from the measurements of one part."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    part: str
    what: str
    compute: Callable
    bound: float
    unit: str = ""
    at_least: bool = True

    def reached(self, middle):
        return middle >= self.bound if self.at_least else middle <= self.bound

    def limit(self):
        return f"{'≥' if self.at_least else '≤'} {self.bound:,g}{self.unit}"


def over(ours, other, what="throughput", at=None):
    """The ratio of two contenders, round by round."""
    return lambda values: pairwise(lambda a, b: a / b, values(ours, what, at), values(other, what, at))


def more(ours, other, what):
    return lambda values: pairwise(lambda a, b: a - b, values(ours, what, None), values(other, what, None))


def alone(ours, what="throughput", at=None):
    return lambda values: values(ours, what, at)


def total(what, *contenders):
    return lambda values: pairwise(lambda *sizes: sum(sizes), *(values(name, what, None) for name in contenders))


def equal_cost(cost):
    """How much more of its own hash a framework's attempt costs than ours of its own."""
    names = f"framework_{cost}", f"crypt_{cost}", "argon2id", "bare_argon2id"

    def hashes(looped, once, ours, bare):
        return (looped / once) / (ours / bare)

    return lambda values: pairwise(hashes, *(values(name, "attempt", None) for name in names))


def pairwise(function, *series):
    return None if None in series else [function(*of_a_round) for of_a_round in zip(*series, strict=False)]


CODE = ("code", "code_pkey")
ALL_TABLES = (*CODE, "account", "account_pkey", "pending_set", "pending_set_pkey",
              "event", "event_pkey", "event_waiting_idx")
FIRST = "connection and first call"

TARGETS = [
    Target("right", "right code, 16 clients, durable, notify off, against the bare statement",
           over("default", "bare"), 0.9),
    Target("right", "right code, 16 clients, durable, notify each, against PL/pgSQL with pg_notify",
           over("each", "hand_notify"), 1.0),
    Target("processor", "right code, fsync off, against the bare statement", over("default", "bare"), 0.8),
    Target("processor", "right code, fsync off, against hand-written PL/pgSQL", over("default", "hand"), 1.1),
    Target("wrong", "wrong code, durable, against the bare DELETE and UPDATE",
           over("default", "bare", at="durable"), 0.85),
    Target("wrong", "wrong code, fsync off, against the bare DELETE and UPDATE",
           over("default", "bare", at="processor"), 0.85),
    Target("malformed", "mistyped code, against SELECT 1", over("default", "select_1"), 0.8),
    Target("read", "remaining, against the bare count", over("remaining", "count"), 0.85),
    Target("read", "status, against the bare count", over("status", "count"), 0.85),
    Target("notify", "notify coalesced against off, 16 clients, while a client drains",
           over("coalesced", "off", at=16), 0.9),
    Target("notify", "notify coalesced against off, 64 clients, while a client drains",
           over("coalesced", "off", at=64), 0.9),
    Target("drain", "events drained by one client, durable", alone("default"), 20_000, "/s"),
    Target("drain_delivered", "events drained by one client, beside 10,000,000 delivered ones",
           alone("default"), 20_000, "/s"),
    Target("framework", "short codes, wrong attempt: framework style (bcrypt 10) against ours, in hashes",
           equal_cost(10), 8),
    Target("framework", "short codes, wrong attempt: framework style (bcrypt 12) against ours, in hashes",
           equal_cost(12), 8),
    Target("bulk", "100,000 users in one statement, against inserting the same rows",
           over("default", "bare", "enrolment", 100_000), 0.8),
    Target("connect", "first call of a connection: consume, more than an empty C function",
           more("consume", "soundex", FIRST),
           3, " ms", False),
    Target("connect", "first call of a connection: remaining, more than an empty C function",
           more("remaining", "soundex", FIRST),
           3, " ms", False),
    Target("disk", "a stored code on disk: the code table and its index", total("size", *CODE), 118, " bytes", False),
    Target("disk", "a stored code on disk: all tables and indexes", total("size", *ALL_TABLES), 145, " bytes", False),
    Target("paths", "an attempt with Argon2id, in bare Argon2ids",
           over("argon2id", "bare_argon2id", "attempt"), 1.15, "", False),
]

# Computed the same way, without a target.
FIGURES = [
    ("partitions", "16 partitions against plain tables", over("partitioned", "default")),
    ("read", "a function that returns the columns of status and reads nothing, against the bare count",
     over("no_table", "count")),
    ("bulk", "100,000 users one by one in one statement, against inserting the same rows",
     over("each", "bare", "enrolment", 100_000)),
    ("disk", "a stored code, users one by one in random order: the code table and its index",
     total("size, users one by one in random order", *CODE)),
    ("disk", "a stored code, users one by one in random order: all tables and indexes",
     total("size, users one by one in random order", *ALL_TABLES)),
    ("right", "the bare DELETE against the bare statement", over("bare_delete", "bare")),
    ("right", "keyed against default", over("keyed", "default")),
    ("right", "notify coalesced against off", over("coalesced", "default")),
    ("right", "default against hand-written", over("default", "hand")),
    ("processor", "keyed against default", over("keyed", "default")),
    ("wal", "an accepted code against the bare statement", over("accepted", "bare", "WAL")),
    ("paths", "keyed against default (time)", over("keyed", "default", "attempt")),
    ("strangers", "an unknown user against a known one (time)", over("unknown", "known", "attempt")),
    *(
        ("enrol", f"{users:,} users, against inserting the same rows", over("default", "bare", "enrolment", users))
        for users in (1_000, 10_000, 100_000, 1_000_000)
    ),
]
