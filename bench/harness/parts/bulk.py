"""Enrolling many users in one statement, against inserting the same rows, already hashed."""

from ..server import SQL, Failure

# Between two readings of the clock, and then the backend's memory in KiB.
TIMED = r"""
SELECT pg_backend_pid() AS pid \gset
\setenv BACKEND :pid
SELECT extract(epoch FROM clock_timestamp()) AS begun \gset
{statement}
SELECT extract(epoch FROM clock_timestamp()) - :begun;
\! awk '/^(RssAnon|VmHWM)/ {{print $2}}' /proc/$BACKEND/status
"""

# How ours enrol, each in a database that is new every time.
FILES = {"default": "enrol", "each": "enrol_each"}


def timed(server, database, file, users):
    """Seconds, and the peak of resident memory and the private memory of the backend in MiB."""
    text = TIMED.format(statement=(SQL / f"{file}.sql").read_text())
    seconds, peak, private = server.psql(database, "-v", f"users={users}", text=text).split()
    if server.sql(database, "SELECT count(*) FROM backup_codes.code") != str(10 * users):
        raise Failure(f"{file} did not leave {10 * users} codes")
    return float(seconds), int(peak) / 1024, int(private) / 1024


def measure_size(lab, record, users, rounds):
    server = lab.server("durable")
    template = lab.template(server, "extension", 0)
    bare = lab.copy(server, f"enrol_bare_{users}", template)
    server.file(bare, "stage", users=users)

    def prepare(name):
        if name == "bare":
            server.sql(bare, "TRUNCATE backup_codes.account, backup_codes.code, backup_codes.event")
        else:
            lab.copy(server, f"enrol_{name}", template)

    def measure(name):
        if name == "bare":
            seconds, _, _ = timed(server, bare, "bare_enrol", users)
        else:
            seconds, peak, private = timed(server, f"enrol_{name}", FILES[name], users)
            record.add(name, peak, "peak of resident memory, shared buffers included", "MiB", users)
            record.add(name, private, "private memory", "MiB", users)
        record.add(name, users / seconds, "enrolment", "users/s", users)

    lab.interleave(record, [*FILES, "bare"], measure, prepare, server, rounds)
    lab.drop(server, bare)
    for name in FILES:
        lab.drop(server, f"enrol_{name}")


def bulk(lab, record):
    measure_size(lab, record, 10_000, lab.rounds)
    measure_size(lab, record, 100_000, lab.rounds)


def enrol(lab, record):
    for users in (1_000, 10_000, 100_000):
        measure_size(lab, record, users, lab.rounds)
    measure_size(lab, record, 1_000_000, min(lab.rounds, 3))
