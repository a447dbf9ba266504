# Sourced by bench/against: a result file of single measurements, ratios, and codes to spend.
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/env.sh"
cd "$root"
rounds=${ROUNDS:-7}
results=$root/target/against.tsv
export PGUSER=postgres
sql() { "$bin/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
record() {
  [ -n "$2" ] || die "$1 could not be measured"
  printf '%s\t%s\n' "$1" "$2" >>"$results"
}
values() { awk -F '\t' -v what="$1" '$1 == what {print $2}' "$results"; }
# The median of the ratios of the rounds.
ratio() {
  paste <(values "$1") <(values "$2") | awk '{print $1 / $2}' | sort -g | awk '{v[NR] = $1} END {printf "%.2f", v[int((NR + 1) / 2)]}'
}
# bench FIELD [pgbench's arguments]: a line of its report; anything that it complains about fails the run.
bench() {
  "$bin/pgbench" -n -M prepared "${@:2}" >"$root/target/pgbench.log" 2>&1 || die "pgbench: $(tail -n 3 "$root/target/pgbench.log")"
  sed -n "s/^$1 = \([0-9.]*\).*/\1/p" "$root/target/pgbench.log"
}
# Average latency in microseconds.
latency() { bench 'latency average' "$@" | awk '{print $1 * 1000}'; }
# Transactions per second, connecting left out.
throughput() { bench tps "$@"; }

# enrol DATABASE: a fresh database with the extension.
enrol() {
  sql -d postgres -c "DROP DATABASE IF EXISTS $1" -c "CREATE DATABASE $1" 2>/dev/null
  sql -d "$1" -c 'CREATE EXTENSION backup_codes'
}
# fill DATABASE USERS: ten codes for each, and a table with every code that was shown.
fill() {
  sql -d "$1" -c "CREATE TABLE shown AS
    SELECT row_number() OVER (ORDER BY s.n, u.id) - 1 AS n, u.id, s.code
      FROM generate_series(1, $2) AS u (id), backup_codes_generate(u.id) WITH ORDINALITY AS s (code, n)" \
    -c 'ALTER TABLE shown ADD PRIMARY KEY (n)' -c 'VACUUM ANALYZE'
}
# Each client spends its own part of the table, and begins where it stopped: every code is right, once.
spend_script() {
  cat <<'SQL'
\set n :client_id * :part + :next
\set next :next + 1
SELECT backup_codes_consume(id, code) FROM shown WHERE n = :n;
SQL
}
