"""Events: what notifying costs while a mailer works, and how fast one mailer drains."""

from dataclasses import replace

from ..contenders import CONTENDERS, Supply, knows_claim, knows_coalesced
from ..server import Failure, finish, joined

WAITING = 100_000
BATCH = 100
DELIVERED = 10_000_000
SECONDS_LONGER = 1
MISSING = "this version has no backup_codes_events_claim and backup_codes_events_ack"


def notify(lab, record):
    server = lab.server("durable")
    if not knows_claim(server, lab.template(server, "extension", 0)):
        return record.skip("notify", MISSING)
    if not knows_coalesced(server):
        return record.skip("notify", "this version has no backup_codes.notify = coalesced")
    for clients in (16, 64):
        supplies = [
            Supply(lab, server, replace(CONTENDERS[base], name=f"drained_{name}"), clients)
            for name, base in (("off", "default"), ("coalesced", "coalesced"))
        ]

        def measure(supply):
            server.use_key_file(None)
            drain = server.start_pgbench(supply.database, joined("drain"), seconds=lab.seconds + SECONDS_LONGER)
            run = supply.spend()
            finish(drain)
            record.add(supply.contender.name.removeprefix("drained_"), run.tps, at=clients)

        lab.interleave(record, supplies, measure, Supply.refill, server)
        for supply in supplies:
            supply.drop()


def drain(lab, record):
    drain_beside(lab, record, 0)


def drain_delivered(lab, record):
    drain_beside(lab, record, DELIVERED)


def drain_beside(lab, record, delivered):
    """One client claims and acknowledges all that waits, beside so many events that were delivered before."""
    server = lab.server("durable")
    template = lab.template(server, "extension", 0)
    if not knows_claim(server, template):
        return record.skip("drain", MISSING)
    database = lab.copy(server, "drain", template)
    if delivered:
        server.file(database, "delivered_events", events=delivered)

    def prepare(_):
        server.file(database, "waiting_events", events=WAITING)
        server.sql(database, "VACUUM ANALYZE backup_codes.event")

    def measure(_):
        run = server.pgbench(database, joined("drain"), transactions=WAITING // BATCH)
        left = server.sql(database, "SELECT count(*) FROM backup_codes.event WHERE delivered_at IS NULL")
        if left != "0":
            raise Failure(f"{left} events wait after {run.transactions} batches")
        record.add("default", run.tps * BATCH)

    lab.interleave(record, ["default"], measure, prepare, server)
    lab.drop(server, database)
