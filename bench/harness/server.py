"""Private clusters, and psql and pgbench on them."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "bench"
SQL = ROOT / "bench" / "sql"
PGBENCH = ROOT / "bench" / "pgbench"


class Failure(Exception):
    """A measurement that cannot be trusted."""


@dataclass(frozen=True)
class Run:
    """What pgbench reports."""

    transactions: int
    tps: float
    latency_ms: float

    @classmethod
    def parse(cls, output):
        def number(pattern):
            found = re.search(pattern, output, re.MULTILINE)
            if not found:
                raise Failure(f"pgbench printed no {pattern}:\n{output}")
            return float(found[1])

        if number(r"^number of failed transactions: (\d+)") != 0:
            raise Failure(f"pgbench had failed transactions:\n{output}")
        return cls(
            int(number(r"^number of transactions actually processed: (\d+)")),
            number(r"^tps = ([\d.e+]+) "),
            number(r"^latency average = ([\d.e+]+) ms"),
        )


def joined(*names):
    """A pgbench script put together from files of bench/pgbench."""
    path = WORK / ("-".join(names) + ".sql")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((PGBENCH / f"{name}.sql").read_text() for name in names))
    return path


class Server:
    """A running private cluster."""

    def __init__(self, name, settings):
        self.directory = Path(os.environ["BENCH_PRIVATE"]) / f"bench-{name}"
        self.key_file = None
        self.bin = Path(subprocess.check_output([os.environ["PG_CONFIG"], "--bindir"], text=True).strip())
        self._cluster("start", *(f"{key}={value}" for key, value in settings.items()))

    def _cluster(self, verb, *arguments):
        subprocess.run([ROOT / "scripts" / "cluster", verb, self.directory, *arguments], check=True)

    def stop(self):
        self._cluster("stop")

    def _environment(self, options):
        set_ = " ".join(f"-c {name}={value}" for name, value in (options or {}).items())
        return {**os.environ, "PGHOST": str(self.directory), "PGUSER": "postgres", "PGOPTIONS": set_}

    def psql(self, database, *arguments, options=None, text=None):
        """What psql prints, unaligned and without headings."""
        command = [self.bin / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, *arguments]
        done = subprocess.run(command, env=self._environment(options), input=text, text=True, capture_output=True)
        if done.returncode != 0:
            raise Failure(f"psql failed in {database}: {done.stderr}")
        return done.stdout.strip()

    def sql(self, database, *statements, options=None):
        """Runs statements, each in its own transaction."""
        return self.psql(database, *(word for text in statements for word in ("-c", text)), options=options)

    def file(self, database, name, options=None, **variables):
        """Runs a file of bench/sql."""
        settings = [word for key, value in variables.items() for word in ("-v", f"{key}={value}")]
        return self.psql(database, *settings, "-f", str(SQL / f"{name}.sql"), options=options)

    def checkpoint(self):
        self.sql("postgres", "CHECKPOINT")

    def use_key_file(self, path):
        """Sets or, with None, resets backup_codes.key_file, and waits until new connections see it."""
        if path == self.key_file:
            return
        change = "RESET backup_codes.key_file" if path is None else f"SET backup_codes.key_file = '{path}'"
        self.sql("postgres", "LOAD 'backup_codes'", f"ALTER SYSTEM {change}", "SELECT pg_reload_conf()")
        while self.sql("postgres", "LOAD 'backup_codes'", "SHOW backup_codes.key_file") != str(path or ""):
            pass
        self.key_file = path

    def _pgbench_command(self, database, script, clients, seconds, transactions, variables, log, reconnect):
        amount = ["-T", str(seconds)] if transactions is None else ["-t", str(transactions)]
        command = [self.bin / "pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2)), *amount]
        command += [word for key, value in (variables or {}).items() for word in ("-D", f"{key}={value}")]
        command += ["-C"] if reconnect else []
        command += ["-l", f"--log-prefix={log}"] if log else []
        return [*command, "-f", script, database]

    def start_pgbench(self, database, script, *, clients=1, seconds=None, transactions=None, variables=None,
                      options=None, log=None, reconnect=False):
        command = self._pgbench_command(database, script, clients, seconds, transactions, variables, log, reconnect)
        return subprocess.Popen(command, env=self._environment(options), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def pgbench(self, database, script, **how):
        return finish(self.start_pgbench(database, script, **how))


def finish(process):
    """Waits for pgbench; anything but a clean end is a failure."""
    output, errors = process.communicate()
    if process.returncode != 0 or "pgbench: error" in errors:
        raise Failure(f"pgbench failed:\n{output}\n{errors}")
    return Run.parse(output)
