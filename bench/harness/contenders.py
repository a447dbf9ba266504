"""Who spends right codes, and the databases that they spend from."""

from dataclasses import dataclass, field

from .lab import CODES
from .server import Failure, joined

OFF = {"backup_codes.notify": "off"}


@dataclass(frozen=True)
class Contender:
    name: str
    script: str
    template: str = "hashed"
    options: dict = field(default_factory=dict, hash=False)
    keyed: bool = False


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("bare", "bare", "bare"),
        Contender("bare_delete", "bare_delete", "bare"),
        Contender("hand", "hand"),
        Contender("hand_notify", "hand_notify"),
        Contender("default", "consume", options=OFF),
        Contender("keyed", "consume", "keyed", OFF, keyed=True),
        Contender("each", "consume", options={"backup_codes.notify": "each"}),
        Contender("coalesced", "consume", options={"backup_codes.notify": "coalesced"}),
    )
}


class Supply:
    """A database whose codes one contender spends, each once. `next` is where its clients go on."""

    def __init__(self, lab, server, contender, clients, users=None):
        self.lab = lab
        self.server = server
        self.contender = contender
        self.clients = clients
        users = users or lab.users
        self.part = users // clients
        self.template = lab.template(server, contender.template, users)
        self.database = f"{contender.name}_{clients}_{users}"
        self.script = joined("next_code", contender.script)
        self.next = None
        self.most = 0

    def ready(self, transactions=None):
        """Fills the database again when the next round could run out of codes."""
        wanted = transactions or round(max(1.5 * self.most, self.part * CODES / 2))
        if self.next is None or self.next + wanted > self.part * CODES:
            self.lab.copy(self.server, self.database, self.template)
            self.next, self.codes = 0, self.count()

    def count(self):
        return int(self.server.sql(self.database, "SELECT count(*) FROM backup_codes.code"))

    def spend(self, seconds=None, transactions=None, log=None):
        """Runs pgbench; every transaction must have taken a code away."""
        self.server.use_key_file(self.lab.key()[0] if self.contender.keyed else None)
        run = self.server.pgbench(
            self.database, self.script, clients=self.clients, seconds=seconds, transactions=transactions, log=log,
            variables={"part": self.part, "next": self.next}, options=self.contender.options,
        )
        self.settle(run, transactions)
        return run

    def settle(self, run, transactions=None):
        before, self.codes = self.codes, self.count()
        if before - self.codes != run.transactions:
            raise Failure(f"{self.database}: {run.transactions} transactions took {before - self.codes} codes away")
        before, self.next = self.next, self.next + transactions if transactions else self.most_spent()
        self.most = self.next - before

    def most_spent(self):
        """How far the client that spent most has come."""
        by_client = f"""SELECT max({self.part * CODES} - n)
          FROM (SELECT count(c.user_id) AS n
                  FROM generate_series(1, {self.part * self.clients}) AS u
                  LEFT JOIN backup_codes.code AS c ON c.user_id = u::text
                 GROUP BY (u - 1) / {self.part}) AS by_client"""
        return int(self.server.sql(self.database, by_client))

    def drop(self):
        self.lab.drop(self.server, self.database)


def knows_coalesced(server):
    """Whether this version has backup_codes.notify = coalesced."""
    question = "SELECT 'coalesced' = ANY (enumvals) FROM pg_settings WHERE name = 'backup_codes.notify'"
    return server.sql("postgres", "LOAD 'backup_codes'", question) == "t"


def knows_claim(server, database):
    """Whether this version has the functions of the mailer."""
    return server.sql(database, "SELECT count(*) FROM pg_proc WHERE proname = 'backup_codes_events_claim'") != "0"
