"""Who spends right codes, and the databases that they spend from."""

from collections import Counter
from dataclasses import dataclass, field

from .lab import CODES
from .server import Failure, joined

OFF = {"backup_codes.notify": "off"}


@dataclass(frozen=True)
class Contender:
    name: str
    script: str
    template: str = "hashed"
    options: dict = field(default_factory=dict)
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
        Contender("partitioned", "consume", "partitioned", OFF),
        Contender("each", "consume", options={"backup_codes.notify": "each"}),
        Contender("coalesced", "consume", options={"backup_codes.notify": "coalesced"}),
    )
}


class Supply:
    """A database whose codes one contender spends, each once. `next` is where its clients go on.

    A run takes so many transactions of each client, or else the seconds of the lab.
    """

    def __init__(self, lab, server, contender, clients, users=None, transactions=None):
        self.lab = lab
        self.server = server
        self.contender = contender
        self.clients = clients
        self.transactions = transactions
        users = users or lab.users
        self.part = users // clients
        self.template = lab.template(server, contender.template, users)
        self.database = f"{contender.name}_{clients}_{users}"
        self.script = joined("next_code", contender.script)
        self.next = None
        self.most = 0

    def refill(self):
        """Fills the database again when the next run could run out of codes."""
        if self.next is None or not self.enough():
            self.lab.copy(self.server, self.database, self.template)
            self.next, self.left = 0, self.count()

    def enough(self):
        return self.next + (self.transactions or 2 * self.most) <= self.part * CODES

    def count(self):
        """The codes that each client has left."""
        by_client = f"""SELECT client, count(*) FROM (SELECT (user_id::bigint - 1) / {self.part} AS client
                          FROM backup_codes.code) AS held GROUP BY client"""
        lines = self.server.sql(self.database, by_client).splitlines()
        return Counter({client: int(codes) for client, codes in (line.split("|") for line in lines)})

    def spend(self, log=None):
        """Runs pgbench; every transaction must have taken a code away."""
        self.server.use_key_file(self.lab.key()[0] if self.contender.keyed else None)
        run = self.server.pgbench(
            self.database, self.script, clients=self.clients, seconds=self.lab.seconds, transactions=self.transactions,
            log=log, variables={"part": self.part, "next": self.next}, options=self.contender.options,
        )
        before, self.left = self.left, self.count()
        spent = before - self.left
        if spent.total() != run.transactions:
            raise Failure(f"{self.database}: {run.transactions} transactions took {spent.total()} codes away")
        # All clients go on where the fastest has stopped.
        self.most = self.transactions or max(spent.values())
        self.next += self.most
        return run

    def drop(self):
        self.lab.drop(self.server, self.database)


def knows_coalesced(server):
    """Whether this version has backup_codes.notify = coalesced."""
    question = "SELECT 'coalesced' = ANY (enumvals) FROM pg_settings WHERE name = 'backup_codes.notify'"
    return server.sql("postgres", "LOAD 'backup_codes'", question) == "t"


def knows_claim(server, database):
    """Whether this version has the functions of the mailer."""
    return server.sql(database, "SELECT count(*) FROM pg_proc WHERE proname = 'backup_codes_events_claim'") != "0"
