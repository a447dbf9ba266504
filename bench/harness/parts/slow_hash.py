"""Short codes: one Argon2id an attempt, against one outside the server and against a loop over ten bcrypts."""

import os
import subprocess
from functools import partial

from ..contenders import CONTENDERS, Supply
from ..server import ROOT, WORK, Failure, joined
from .attempts import PATIENT, forgive
from .consume import ARGON2ID, percentiles

USERS = 5
MEMORY_KIB, ITERATIONS, ATTEMPTS = 19_456, 2, 50
TRANSACTIONS = {10: 3, 12: 1}


def bare_argon2id():
    """Milliseconds of one Argon2id of the default cost, outside of PostgreSQL."""
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    program = f"{target}/release/bare_argon2"
    return int(subprocess.check_output([program, str(MEMORY_KIB), str(ITERATIONS), str(ATTEMPTS)])) / 1000


def short_codes(lab, server, database):
    lab.copy(server, database, lab.template(server, "shown", USERS, ARGON2ID))
    if server.sql(database, "SELECT DISTINCT scheme FROM backup_codes.overview") != "argon2id":
        raise Failure("short codes are not hashed with Argon2id")
    return database


def attempt(server, database):
    """Milliseconds of a wrong attempt on a set of ten short codes: the median, as of the bare ones."""
    forgive(server, database)
    log = WORK / "log-attempt"
    server.pgbench(database, joined("any_user", "consume"), transactions=ATTEMPTS, options=PATIENT, log=log,
                   variables={"users": USERS, "code": "00000000"})
    return percentiles(log)[0]


def paths(lab, record):
    server = lab.server("durable")
    supplies = {name: Supply(lab, server, CONTENDERS[name], 1) for name in ("default", "keyed")}
    database = short_codes(lab, server, "paths_argon2id")

    def prepare(name):
        if name in supplies:
            supplies[name].refill()

    def measure(name):
        if name in supplies:
            value = supplies[name].spend().latency_ms
        else:
            value = attempt(server, database) if name == "argon2id" else bare_argon2id()
        record.add(name, value, "attempt", "ms")

    lab.interleave(record, [*supplies, "argon2id", "bare_argon2id"], measure, prepare, server)
    for supply in supplies.values():
        supply.drop()
    lab.drop(server, database)


def framework(lab, record):
    server = lab.server("processor")
    database = short_codes(lab, server, "framework")
    server.file(database, "framework")

    def bcrypt(script, cost, transactions):
        run = server.pgbench(database, joined(script), transactions=transactions, variables={"cost": cost})
        return run.latency_ms

    measures = {
        "argon2id": lambda: attempt(server, database),
        "bare_argon2id": bare_argon2id,
        **{f"framework_{cost}": partial(bcrypt, "framework", cost, count) for cost, count in TRANSACTIONS.items()},
        **{f"crypt_{cost}": partial(bcrypt, "crypt", cost, 5 * count) for cost, count in TRANSACTIONS.items()},
    }

    def measure(name):
        record.add(name, measures[name](), "attempt", "ms")

    lab.interleave(record, list(measures), measure, server=server)
    lab.drop(server, database)
