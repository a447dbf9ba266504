"""Bytes: on disk for a stored code, and of WAL for an operation."""

from ..contenders import CONTENDERS, OFF, Supply
from ..server import Failure, joined
from .attempts import ENROLLED as USERS
from .attempts import NOBODYS, PATIENT, enrolled, forgive, mistyped

DISK_USERS = 100_000
OPERATIONS = 500


def disk(lab, record):
    server = lab.server("processor")
    template = lab.template(server, "extension", 0)
    for file, what in (("enrol", "size"), ("enrol_random", "size, users one by one in random order")):
        database = lab.copy(server, "disk", template)
        server.file(database, file, users=DISK_USERS)
        codes = int(server.sql(database, "SELECT count(*) FROM backup_codes.code"))
        server.sql(database, "VACUUM")
        for line in server.file(database, "sizes").splitlines():
            relation, size = line.split("|")
            record.add(relation, int(size) / codes, what, "bytes/code")
    lab.drop(server, database)


def wal(lab, record):
    """Full-page images are off in this cluster, so that what is counted belongs to the operation."""
    server = lab.server("wal")
    database = enrolled(lab, server, "wal")
    code = mistyped(server.sql(database, "SELECT code FROM shown WHERE id = 1 LIMIT 1"))
    spent = {
        name: Supply(lab, server, CONTENDERS[contender], 1, transactions=OPERATIONS)
        for name, contender in (("accepted", "default"), ("bare", "bare"), ("bare_delete", "bare_delete"))
    }
    attempts = {"wrong": NOBODYS, "malformed": code, "locked": NOBODYS}

    def prepare(name):
        if name in spent:
            spent[name].refill()
        forgive(server, database)

    def operate(name):
        if name in spent:
            return spent[name].spend()
        script = joined("any_user", "generate" if name == "generate" else "consume")
        options = OFF if name == "generate" else PATIENT
        return server.pgbench(database, script, transactions=OPERATIONS, options=options,
                              variables={"users": USERS, "code": attempts.get(name, NOBODYS)})

    def measure(name):
        locked = "clock_timestamp() + interval '1 hour'" if name == "locked" else "NULL"
        server.sql(database, f"UPDATE backup_codes.account SET locked_until = {locked}", "VACUUM backup_codes.account")
        failures = server.sql(database, "SELECT sum(failures) FROM backup_codes.account")
        before = server.sql("postgres", "SELECT pg_current_wal_insert_lsn()")
        operate(name)
        written = server.sql("postgres", f"SELECT pg_current_wal_insert_lsn() - '{before}'::pg_lsn")
        counted = int(server.sql(database, "SELECT sum(failures) FROM backup_codes.account")) - int(failures)
        if name in attempts and counted != (OPERATIONS if name == "wrong" else 0):
            raise Failure(f"{name}: {counted} failures were counted")
        record.add(name, int(written) / OPERATIONS, "WAL", "bytes")

    lab.interleave(record, [*spent, *attempts, "generate"], measure, prepare, server)
    for supply in spent.values():
        supply.drop()
    lab.drop(server, database)
