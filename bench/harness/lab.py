"""What the parts of a run share: its length, its clusters, its databases to copy, and what they record."""

import base64
import os
import secrets
import shutil
import sys
from pathlib import Path

from .server import Server

CODES = 10
COMMON = {"max_wal_size": "8GB", "checkpoint_timeout": "1h", "autovacuum": "off"}
CLUSTERS = {
    "durable": {"fsync": "on"},
    "processor": {"fsync": "off"},
    "wal": {"fsync": "off", "full_page_writes": "off"},
}


def say(text):
    print(f"\033[1m==> {text}\033[0m", file=sys.stderr, flush=True)


class Lab:
    def __init__(self, rounds, seconds, full):
        self.rounds = rounds
        self.seconds = seconds
        self.full = full
        # Enough for a round at more than 50,000 codes a second.
        self.users = 10_000 * max(2, round(seconds))
        self.settings = {"shared_buffers": "2GB" if full else "512MB", **COMMON}
        self._servers = {}
        self._templates = set()
        self._key = None

    def server(self, kind):
        if kind not in self._servers:
            say(f"Starting the cluster {kind}")
            self._servers[kind] = Server(kind, {**self.settings, **CLUSTERS[kind]})
        return self._servers[kind]

    def close(self):
        for server in self._servers.values():
            server.stop()
        if self._key:
            self._key[0].unlink(missing_ok=True)

    def key(self):
        """A key file with one key, and the key in hexadecimal."""
        if not self._key:
            path, key = Path(os.environ["BENCH_PRIVATE"]) / "bench.keys", secrets.token_bytes(32)
            path.touch(mode=0o600)
            path.write_text(f"1 {base64.b64encode(key).decode()}\n")
            if os.getuid() == 0:
                shutil.chown(path, "postgres")
            self._key = path, key.hex()
        return self._key

    def template(self, server, kind, users, options=None):
        """A database with sets of that kind for so many users, to be copied; see bench/sql/template_*.sql."""
        name = f"template_{kind}_{users}"
        if (server.directory, name) not in self._templates:
            server.sql("postgres", f"CREATE DATABASE {name}")
            server.file(name, "template_extension")
            if kind in ("hashed", "keyed", "bare", "partitioned"):
                server.file(name, "accounts", users=users)
            if kind == "hashed":
                server.file(name, "hand")
            if kind != "extension":
                variables = {"key": self.key()[1]} if kind == "keyed" else {}
                server.file(name, f"template_{kind}", users=users, options=options, **variables)
            server.sql(name, "VACUUM ANALYZE")
            self._templates.add((server.directory, name))
        return name

    def copy(self, server, database, template):
        """A fresh copy of a template, in shared buffers."""
        self.drop(server, database)
        server.sql("postgres", f"CREATE DATABASE {database} TEMPLATE {template}")
        server.file(database, "prewarm")
        return database

    def drop(self, server, database):
        server.sql("postgres", f"DROP DATABASE IF EXISTS {database}")

    def version(self):
        """Of PostgreSQL, as the first cluster tells it."""
        return next(iter(self._servers.values())).sql("postgres", "SHOW server_version")

    def interleave(self, record, contenders, measure, prepare=None, server=None, rounds=None):
        """Measures every contender once a round, in the opposite order every other round."""
        rounds = rounds or self.rounds
        for round_ in range(rounds):
            say(f"{record.part}, round {round_ + 1} of {rounds}")
            for contender in contenders if prepare else ():
                prepare(contender)
            if server:
                server.checkpoint()
            for contender in reversed(contenders) if round_ % 2 else contenders:
                measure(contender)
