"""A right code: against the least work, hand-written SQL, by clients and by stored codes."""

import statistics
from collections import Counter

from ..contenders import CONTENDERS, OFF, Contender, Supply, knows_coalesced
from ..server import WORK, joined

CLIENTS = 16
# An attempt takes some 30 ms of a core: few are enough, and making the codes is as slow.
ARGON2ID = {"backup_codes.alphabet": "decimal", "backup_codes.length": "8"}
ARGON2ID_TRANSACTIONS = 4


def right(lab, record):
    server = lab.server("durable")
    names = ["bare", "bare_delete", "hand", "default", "keyed", "each", "coalesced", "hand_notify"]
    if not knows_coalesced(server):
        names.remove("coalesced")
        record.skip("coalesced", "this version has no backup_codes.notify = coalesced")
    supplies = [Supply(lab, server, CONTENDERS[name], CLIENTS) for name in names]
    slow = ShownSupply(lab, server)

    def measure(supply):
        record.add(supply.contender.name, supply.spend().tps)

    lab.interleave(record, [*supplies, slow], measure, Supply.refill, server)
    for supply in [*supplies, slow]:
        supply.drop()


class ShownSupply(Supply):
    """Short codes as the extension made them, hashed with Argon2id, from a table of what was shown."""

    def __init__(self, lab, server):
        self.lab = lab
        self.server = server
        self.contender = Contender("argon2id", "consume_shown", "shown", OFF)
        self.clients = CLIENTS
        users = -(-CLIENTS * ARGON2ID_TRANSACTIONS * min(lab.rounds, 5) // 10)
        self.part = users * 10 // CLIENTS
        self.template = lab.template(server, "shown", users, ARGON2ID)
        self.database = "argon2id"
        self.script = joined("next_shown", "consume_shown")
        self.transactions = ARGON2ID_TRANSACTIONS
        self.next = None

    def count(self):
        left = int(self.server.sql(self.database, "SELECT count(*) FROM backup_codes.code"))
        return Counter({"all": left})

    def enough(self):
        return self.next + self.transactions <= self.part


def processor(lab, record):
    compare(lab, record, ("bare", "hand", "default", "keyed"))


def partitions(lab, record):
    compare(lab, record, ("default", "partitioned"))


def compare(lab, record, names):
    server = lab.server("processor")
    supplies = [Supply(lab, server, CONTENDERS[name], CLIENTS) for name in names]

    def measure(supply):
        record.add(supply.contender.name, supply.spend().tps)

    lab.interleave(record, supplies, measure, Supply.refill, server)
    for supply in supplies:
        supply.drop()


def clients(lab, record):
    server = lab.server("durable")
    for count in (1, 2, 4, 8, 16, 32, 64):
        supplies = [Supply(lab, server, CONTENDERS[name], count) for name in ("bare", "hand", "default")]

        def measure(supply):
            prefix = WORK / f"log-{supply.contender.name}-{count}"
            run = supply.spend(log=prefix)
            middle, slowest = percentiles(prefix)
            record.add(supply.contender.name, run.tps, at=count)
            record.add(supply.contender.name, middle, "p50", "ms", count)
            record.add(supply.contender.name, slowest, "p99", "ms", count)

        lab.interleave(record, supplies, measure, Supply.refill, server)
        for supply in supplies:
            supply.drop()


def percentiles(prefix):
    """Median and 99th percentile, in milliseconds, of what pgbench logged; the log is removed."""
    latencies = []
    for log in prefix.parent.glob(f"{prefix.name}.*"):
        with log.open() as lines:
            latencies += [int(line.split()[2]) / 1000 for line in lines]
        log.unlink()
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return cuts[49], cuts[98]


SIZES = (10_000, 1_000_000, 10_000_000)
SIZE_TRANSACTIONS = 8_000


def size(lab, record):
    """As many transactions at every size, so that the smallest is not used up."""
    server = lab.server("processor")
    for codes in SIZES:
        for count in (1, CLIENTS):
            each = SIZE_TRANSACTIONS // count
            supplies = [
                Supply(lab, server, CONTENDERS[name], count, codes // 10, each) for name in ("bare", "default")
            ]

            def measure(supply):
                # Of the largest, shared buffers hold one contender's tables at a time.
                server.file(supply.database, "prewarm")
                what = f"time with {count} client{'s' if count > 1 else ''}"
                record.add(supply.contender.name, 1e6 / supply.spend().tps, what, "µs", codes)

            lab.interleave(record, supplies, measure, Supply.refill, server)
            for supply in supplies:
                supply.drop()
