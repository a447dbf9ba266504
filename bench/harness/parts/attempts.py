"""Attempts that spend nothing, and what a page reads."""

from ..contenders import OFF
from ..server import Failure, joined

CLIENTS = 16
# Out of the way: a locked user is answered from a plain read.
PATIENT = {**OFF, "backup_codes.max_failures": "100"}
FAILED = "SELECT coalesce(sum(failures), 0) FROM backup_codes.account"


def forgive(server, database):
    """Nobody comes near his hundredth failure, which removes the set."""
    server.sql(database, "UPDATE backup_codes.account SET failures = 0, locked_until = NULL WHERE failures > 0",
               "VACUUM backup_codes.account")


def wrong(lab, record):
    for kind in ("durable", "processor"):
        server = lab.server(kind)
        databases = {
            "default": lab.copy(server, "wrong_default", lab.template(server, "hashed", lab.users)),
            "bare": lab.copy(server, "wrong_bare", lab.template(server, "bare", lab.users)),
        }
        scripts = {"default": joined("wrong_code", "consume"), "bare": joined("wrong_code", "bare_wrong")}

        def measure(name):
            database = databases[name]
            run = server.pgbench(database, scripts[name], clients=CLIENTS, seconds=lab.seconds,
                                 variables={"users": lab.users}, options=PATIENT)
            counted = int(server.sql(database, FAILED))
            if counted != run.transactions:
                raise Failure(f"{database}: {run.transactions} wrong codes, {counted} failures counted")
            record.add(name, run.tps, at=kind)

        lab.interleave(record, list(databases), measure, lambda name: forgive(server, databases[name]), server)
        for database in databases.values():
            lab.drop(server, database)


ENROLLED = 1_000


def enrolled(lab, server, database):
    """A database with real sets of the default form."""
    return lab.copy(server, database, lab.template(server, "shown", ENROLLED))


def mistyped(code):
    """The code with one letter changed into another that base32 has as well."""
    letters = "GHJKMNPQRSTVWXYZ"
    at = next(i for i, symbol in enumerate(code) if symbol in letters)
    return code[:at] + letters[(letters.index(code[at]) + 1) % len(letters)] + code[at + 1:]


def malformed(lab, record):
    server = lab.server("durable")
    database = enrolled(lab, server, "malformed")
    code = mistyped(server.sql(database, "SELECT code FROM shown WHERE id = 1 LIMIT 1"))
    status = server.sql(database, f"SELECT status FROM backup_codes_attempt(1, '{code}')")
    if status != "malformed":
        raise Failure(f"a mistyped code is {status}")
    scripts = {"default": joined("any_user", "consume"), "select_1": joined("any_user", "one")}

    def measure(name):
        run = server.pgbench(database, scripts[name], clients=CLIENTS, seconds=lab.seconds,
                             variables={"users": ENROLLED, "code": code})
        record.add(name, run.tps)

    lab.interleave(record, list(scripts), measure, server=server)
    lab.drop(server, database)


def read(lab, record):
    server = lab.server("durable")
    database = lab.copy(server, "read", lab.template(server, "hashed", lab.users))
    scripts = {name: joined("any_user", name) for name in ("remaining", "status", "count", "no_table")}
    unused = server.sql(database, "SELECT backup_codes_remaining(1), remaining FROM backup_codes_status(1)")
    if unused != "10|10":
        raise Failure("the users have no ten codes")

    def measure(name):
        run = server.pgbench(database, scripts[name], clients=CLIENTS, seconds=lab.seconds,
                             variables={"users": lab.users})
        record.add(name, run.tps)

    lab.interleave(record, list(scripts), measure, server=server)
    lab.drop(server, database)


# Every symbol 0, whose check symbol is 0 as well: well-formed, and nobody has it.
NOBODYS = "00000-00000-00000-00000-00000"
CONNECTIONS = 200


def connect(lab, record):
    """With fsync off: what is asked for is loading and planning, not the flush of a failure."""
    server = lab.server("processor")
    database = enrolled(lab, server, "first_call")
    server.sql(database, "CREATE EXTENSION fuzzystrmatch")
    scripts = {name: joined("any_user", name) for name in ("consume", "remaining", "soundex")}

    def measure(name):
        run = server.pgbench(database, scripts[name], transactions=CONNECTIONS, reconnect=True,
                             variables={"users": ENROLLED, "code": NOBODYS})
        record.add(name, run.latency_ms, "connection and first call", "ms")

    lab.interleave(record, list(scripts), measure, lambda _: forgive(server, database), server)
    lab.drop(server, database)


def strangers(lab, record):
    server = lab.server("durable")
    database = enrolled(lab, server, "strangers")
    scripts = {"known": joined("any_user", "consume"), "unknown": joined("stranger", "consume")}

    def measure(name):
        # Few enough that no user comes near his hundredth failure.
        run = server.pgbench(database, scripts[name], transactions=4_000, options=PATIENT,
                             variables={"users": ENROLLED, "code": NOBODYS})
        record.add(name, run.latency_ms * 1000, "attempt", "µs")

    lab.interleave(record, list(scripts), measure, lambda _: forgive(server, database), server)
    lab.drop(server, database)
