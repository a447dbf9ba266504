"""What the page says about each part: a heading, and how it was measured."""

TITLE = "# Performance"
INTRODUCTION = """\
`make bench` measures the extension against the least work that the server could do for the same result, and against what one
would otherwise write, on private clusters. `make bench-full` adds the curves. Both write
[performance.json](performance.json), which holds every single measurement, and from it this page and its plots;
`bench/report` writes them again.

In every round each contender runs once, after a checkpoint, and the order is reversed every other round. A ratio is computed
round by round, so that what slows the machine down for a while slows both sides. Tables give the median and, in brackets, the
lowest and the highest round. Autovacuum is off while rounds run. Load comes from pgbench with prepared statements, on the same
machine as the server and sharing its cores. The contenders' SQL is in `bench/sql` and `bench/pgbench`."""

PARTS = {
    "right": ("A right code", """\
16 clients spend codes of users in random order, each code once, with fsync on. After every run the number of stored codes must
have fallen by the number of transactions. All contenders work on the extension's own tables and leave the same rows behind,
`bare_delete` excepted. `bare` is one SQL statement that deletes the code, updates the account and inserts the event, and that
pays for no hash; `bare_delete` is the DELETE alone; `hand` is PL/pgSQL with pgcrypto, and `hand_notify` the same with
`pg_notify`. The others are `backup_codes_consume`: `default` with notify off, `keyed` the same under a key, `each` and
`coalesced` with that value of `backup_codes.notify`, and `argon2id` with codes of eight decimal digits and notify off. Codes
are 18 decimal digits hashed with SHA-256 elsewhere, because pgbench counts in integers."""),
    "processor": ("A right code, bound by the processor", "The same with fsync off."),
    "wrong": ("A wrong code", """\
16 clients try codes that nobody has on users who have sets, with fsync on and off. `bare` is one statement with the DELETE that
finds nothing and the UPDATE of the counter. The failures that were counted must be as many as the transactions. Locking is out
of the way, with `max_failures` at 100. What the bare statement need not do: read the account before, since nothing can be
hashed without its salt, and switch to the owner and the search_path of a function."""),
    "malformed": ("A mistyped code", """\
16 clients send a code of the default form in which one letter is wrong, so that the check symbol tells. `select_1` is the
statement `SELECT 1`."""),
    "read": ("What a page reads", """\
16 clients ask for users in random order. `count` is `SELECT count(*)` on the code table with the user's id.
`no_table` is status for no user at all: it reads nothing, and shows what a function costs that returns a table of eleven
columns. Most of what status takes more than remaining is that, and the rest the look for a pending set."""),
    "notify": ("Notifying while a mailer works", """\
16 and then 64 clients spend right codes, with fsync on, while one more client claims and acknowledges events in batches of 100,
in two transactions as a mailer does. The mailer is the same with `backup_codes.notify` off and coalesced. What coalesced costs
is the look for waiting events: with many clients it passes over events that others have not committed yet, or that were claimed
a moment ago."""),
    "drain": ("Draining events", """\
One client claims and acknowledges 100,000 waiting events in batches of 100, with fsync on. None may be left."""),
    "drain_delivered": ("Draining events beside many delivered ones", """\
The same with 10,000,000 delivered events in the table."""),
    "framework": ("Short codes against framework style", """\
A wrong attempt on a set of ten codes of eight decimal digits, one client. Framework style (`framework_10`, `framework_12`)
keeps ten salted bcrypt hashes and loops over them, here in PL/pgSQL with pgcrypto, at cost 10 and 12; `crypt_10` and `crypt_12`
are one such hash. Ours (`argon2id`) computes one Argon2id; `bare_argon2id` is one outside of PostgreSQL. At equal cost of one
hash, the ratio of the two attempts is that of the hashes that each takes."""),
    "bulk": ("Enrolling in one statement", """\
`default` calls `backup_codes_generate_many` for all users in one statement of a fresh install, with fsync on; `each` calls
`backup_codes_generate` for every user, in one statement as well. `bare` is one statement that inserts the same rows, hashed
before, from staging tables into the same tables and indexes. Private memory is what the backend holds at the end (RssAnon),
peak memory its highest resident size (VmHWM)."""),
    "enrol": ("Enrolling 1,000 to 1,000,000 users in one statement", "The same for more numbers of users."),
    "connect": ("The first call of a connection", """\
A new connection for every call, one client, with fsync off. `consume` is a wrong code for a user who has a set, `remaining`
their unused codes; `soundex` is a function of another C extension (fuzzystrmatch), which does next to nothing. The time covers
connecting, loading the library, planning and the call."""),
    "disk": ("Bytes on disk", """\
100,000 users with bigint ids and ten codes each, enrolled in one statement with `backup_codes_generate_many` and
vacuumed; and the same one by one in random order, as users come by themselves; bytes are given per stored code. A
table counts with its free space and visibility maps."""),
    "wal": ("WAL for an operation", """\
Bytes between two positions of the WAL, divided by the operations in between, with one client and with `full_page_writes` off in
this cluster, so that page images are left out. `accepted` is a right code with notify off, `wrong` a counted failure, `locked`
an attempt on a locked user, `generate` a set of ten that replaces another."""),
    "paths": ("One client", """\
Milliseconds of an attempt by one client, with fsync on: a right code without and with a key, and a wrong code of eight decimal
digits under Argon2id, against one Argon2id of the same cost outside of PostgreSQL."""),
    "strangers": ("Strangers", """\
A well-formed wrong code for a user who has a set, and for one who does not exist, one client, with fsync on. A wrong attempt on
a known user writes and flushes the count, one on a stranger does not."""),
    "clients": ("By number of clients", """\
A right code with fsync on, notify off, from 1 to 64 clients. Percentiles are those of the transactions that pgbench
logged."""),
    "partitions": ("With partitions", """\
A right code with fsync off, on plain tables and on tables in 16 partitions as `sql/partition.sql` makes them."""),
    "size": ("By number of stored codes", """\
A right code with fsync off, by stored codes: time is the reciprocal of throughput. The tables are in shared buffers as far as
these hold them."""),
}
