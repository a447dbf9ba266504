"""A right code: against the least work, hand-written SQL, by clients and by stored codes."""

import statistics

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
        length = {"transactions": ARGON2ID_TRANSACTIONS} if supply is slow else {"seconds": lab.seconds}
        record.add(supply.contender.name, supply.spend(**length).tps)

    lab.interleave(record, [*supplies, slow], measure, lambda supply: supply.ready(ARGON2ID_TRANSACTIONS if supply is slow else None), server)
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
        self.next = None

    def ready(self, transactions=None):
        if self.next is None or self.next + transactions > self.part:
            self.lab.copy(self.server, self.database, self.template)
            self.next, self.codes = 0, self.count()


def processor(lab, record):
    server = lab.server("processor")
    supplies = [Supply(lab, server, CONTENDERS[name], CLIENTS) for name in ("bare", "hand", "default", "keyed")]
    lab.interleave(
        record, supplies, lambda supply: record.add(supply.contender.name, supply.spend(lab.seconds).tps), Supply.ready, server
    )
    for supply in supplies:
        supply.drop()


def clients(lab, record):
    server = lab.server("durable")
    for count in (1, 2, 4, 8, 16, 32, 64):
        supplies = [Supply(lab, server, CONTENDERS[name], count) for name in ("bare", "hand", "default")]

        def measure(supply):
            prefix = WORK / f"log-{supply.contender.name}-{count}"
            run = supply.spend(lab.seconds, log=prefix)
            middle, slowest = percentiles(prefix)
            record.add(supply.contender.name, run.tps, at=count)
            record.add(supply.contender.name, middle, "p50", "ms", count)
            record.add(supply.contender.name, slowest, "p99", "ms", count)

        lab.interleave(record, supplies, measure, Supply.ready, server)
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
SIZE_TRANSACTIONS = 4_000


def size(lab, record):
    """As many transactions at every size, so that the smallest is not used up."""
    server = lab.server("processor")
    for codes in SIZES:
        for count in (1, CLIENTS):
            supplies = [Supply(lab, server, CONTENDERS[name], count, codes // 10) for name in ("bare", "default")]
            each = SIZE_TRANSACTIONS // count

            def measure(supply):
                run = supply.spend(transactions=each)
                record.add(supply.contender.name, 1e6 / run.tps, f"time with {count} clients" if count > 1 else "time with 1 client", "µs", codes)

            lab.interleave(record, supplies, measure, lambda supply: supply.ready(each), server)
            for supply in supplies:
                supply.drop()
